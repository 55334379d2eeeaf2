import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'fs';
import path from 'path';
import { launch } from '../browser/browser';
import {
  contents,
  copyInto,
  createProject,
  FOLDER,
  otherRepository,
  PANEL,
  scratch,
} from '../support/copied';
import { install, installPackage, run, whileUp } from './project';

/** The owner's own extension, as in Strapi's documentation: one more route. */
const OWN = `(plugin) => {
  const stock = plugin.routes['content-api'];
  plugin.routes['content-api'] = (context) => {
    const router = typeof stock === 'function' ? stock(context) : stock;
    const handler = (ctx) => { ctx.body = { mine: true }; };
    const route = { method: 'GET', path: '/mine', handler, config: { auth: false, prefix: '' } };
    return { ...router, routes: [...router.routes, route] };
  };
  return plugin;
};
`;

const PROJECTS = [
  {
    language: 'typescript',
    extension: 'ts',
    own: `export default ${OWN.replaceAll(/\((\w+)\) =>/g, '($1: any) =>')}`,
    compile: ['npx', 'tsc'],
    app: 'src/admin/app.tsx',
    built: 'dist/build',
  },
  {
    language: 'javascript',
    extension: 'js',
    own: `module.exports = ${OWN}`,
    compile: null,
    app: 'src/admin/app.js',
    built: 'build',
  },
] as const;

/** The tables of the project's SQLite file. */
function tablesOf(project: string): string[] {
  // It has no types.
  const Database = jest.requireActual<any>('better-sqlite3');
  const database = new Database(path.join(project, '.tmp/data.db'), { readonly: true });
  try {
    return database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all();
  } finally {
    database.close();
  }
}

const call = async (url: string, name: string, body?: object) => {
  const response = await fetch(`${url}/api${name}`, {
    method: body ? 'POST' : 'GET',
    headers: { 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : text };
};

const ADMIN = { email: 'root@example.com', password: 'Root-password-1' };

/** Signs the first admin in, and looks for a user's session, with a browser if TEST_BROWSER names one. */
async function expectPanel(url: string, user: string): Promise<void> {
  const registered = await fetch(`${url}/admin/register-admin`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...ADMIN, firstname: 'Root' }),
  });
  const { data } = await registered.json();
  const listed = await fetch(`${url}/users-permissions/sessions`, {
    headers: { Authorization: `Bearer ${data.token}` },
  });
  expect([listed.status, await listed.text()]).toEqual([200, expect.stringContaining(user)]);
  const page = await fetch(`${url}/admin/settings/users-permissions/sessions`);
  expect([page.status, await page.text()]).toEqual([
    200,
    expect.stringContaining('<div id="strapi"'),
  ]);
  if (process.env.TEST_BROWSER) await expectPage(url, user);
}

/** Finds the page as a new operator would. */
async function expectPage(url: string, user: string): Promise<void> {
  const browser = await launch();
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    // Strapi's admin panel asks its makers for news.
    await page.route(
      (address) => address.hostname !== '127.0.0.1',
      (route) => route.abort()
    );
    await page.goto(`${url}/admin/auth/login`);
    await page.getByLabel('Email').fill(ADMIN.email);
    await page.locator('input[name=password]').fill(ADMIN.password);
    await page.getByRole('button', { name: 'Login' }).click();
    await page.waitForURL(/\/admin\/?$/);
    await page.goto(`${url}/admin/settings`);
    await page.getByRole('link', { name: 'Sessions' }).click();
    const row = page.getByRole('grid', { name: 'Sessions' }).getByRole('row', { name: user });
    await row.first().waitFor();
  } finally {
    await browser.close();
  }
}

test.each(PROJECTS)(
  'a new $language project with its own extension can install, build, sign in, refresh, open the admin panel, upgrade without losing an edit, and remove the extension again',
  async ({ language, extension, own, compile, app, built }) => {
    const here = scratch();
    const project = path.join(here, 'project');
    const edit = (name: string, from: string | RegExp, to: string) => {
      const file = path.join(project, name);
      expect(readFileSync(file, 'utf8')).toMatch(from);
      writeFileSync(file, readFileSync(file, 'utf8').replace(from, to));
    };
    try {
      createProject(project, language);
      mkdirSync(path.join(project, FOLDER), { recursive: true });
      writeFileSync(path.join(project, FOLDER, `strapi-server.${extension}`), own);

      const tools = path.join(here, 'tools');
      mkdirSync(tools);
      await run(here, await installPackage(tools), 'project', '--combine');
      edit(`config/plugins.${extension}`, / *jwtManagement: 'refresh',\n/, '');
      await install(project);
      await run(project, 'npm', 'run', 'build');
      // The page is loaded on demand, from a file of its own.
      const assets = Object.keys(contents(path.join(project, built)));
      expect(assets).toContainEqual(expect.stringMatching(/sessions-page-.*\.js$/));

      let kept = '';
      await whileUp(project, async (url) => {
        const user = { username: 'ada', email: 'ada@example.com', password: 'ada-password' };
        const registered = await call(url, '/auth/local/register', user);
        expect(registered).toMatchObject({ status: 200, body: { user: { username: 'ada' } } });

        const signedIn = await call(url, '/auth/local', {
          identifier: 'ada',
          password: 'ada-password',
          requestRefresh: true,
        });
        const { refreshToken } = signedIn.body;
        const refreshed = await call(url, '/token/refresh', { refreshToken });
        expect(refreshed).toMatchObject({ status: 200, body: { jwt: expect.any(String) } });
        kept = refreshed.body.refreshToken;
        expect(await call(url, '/mine')).toEqual({ status: 200, body: { mine: true } });
        await expectPanel(url, 'ada');
      });

      edit(`${FOLDER}/errors.${extension}`, 'The session has ended.', 'You were signed out.');
      const newer = path.join(here, 'newer');
      otherRepository(newer, '99.0.0', (name, text) =>
        name === 'errors.ts' ? text.replace('Missing refresh token. Send', 'Please send') : text
      );
      expect(copyInto(newer, project)).toMatchObject({
        status: 0,
        said: expect.stringContaining(`merged with your edits, please review: errors.${extension}`),
      });
      if (compile) await run(project, compile[0], ...compile.slice(1));

      await whileUp(project, async (url) => {
        const refreshed = await call(url, '/token/refresh', { refreshToken: kept });
        expect(refreshed.status).toBe(200);
        const { refreshToken } = refreshed.body;
        expect(await call(url, '/token/revoke', { refreshToken })).toMatchObject({ status: 200 });
        expect((await call(url, '/token/refresh', { refreshToken })).body.error).toMatchObject({
          message: 'You were signed out. Sign in again.',
          details: { code: 'session_ended' },
        });
        expect((await call(url, '/token/refresh', {})).body.error.message).toMatch(/^Please send/);
        expect((await call(url, '/mine')).status).toBe(200);
      });

      // docs/removing.md
      for (const name of [FOLDER, PANEL]) rmSync(path.join(project, name), { recursive: true });
      rmSync(path.join(project, app));
      if (compile) {
        rmSync(path.join(project, 'dist', FOLDER), { recursive: true });
        await run(project, compile[0], ...compile.slice(1));
      }
      await whileUp(project, async (url) => {
        const signedIn = await call(url, '/auth/local', {
          identifier: 'ada',
          password: 'ada-password',
        });
        expect(signedIn).toMatchObject({ status: 200, body: { jwt: expect.any(String) } });
        expect((await call(url, '/token/refresh', {})).status).toBe(405);
      });
      expect(tablesOf(project).filter((name) => name.startsWith('up_refresh'))).toEqual([]);
    } finally {
      rmSync(here, { recursive: true, force: true });
    }
  }
);
