import type { AddressInfo } from 'net';
import path from 'path';
import { createStrapi } from '@strapi/strapi';
import type { Core } from '@strapi/strapi';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { createDatabase } from '../support/database';
import { setEnvironment } from '../support/environment';

const ROOT = path.resolve(__dirname, '../..');
const PASSWORD = 'Correct-horse-1';
const USERS = 'plugin::users-permissions';

export const CHROME_ON_WINDOWS =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0';

export interface SessionFields {
  user_agent?: string | null;
  ip?: string | null;
  description?: string;
  opened_at?: number;
  rotated_at?: number;
}

export type Panel = Awaited<ReturnType<typeof startPanel>>;

/** Boots a Strapi with its built admin panel, with its own database and a real clock. */
export async function startPanel(env: Record<string, string> = {}) {
  const database = await createDatabase('sqlite');
  setEnvironment({ ...database.env, ...env });
  const strapi = createStrapi({ appDir: ROOT, distDir: path.join(ROOT, 'dist') });
  strapi.log.level = 'error';
  await strapi.load();
  strapi.server.mount();
  await new Promise<void>((resolve) => {
    strapi.server.httpServer.listen(0, '127.0.0.1', resolve);
  });
  const { port } = strapi.server.httpServer.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  await createAdmins(strapi);

  return {
    strapi,
    url,
    ...createUsers(strapi, url),
    /** Takes an admin's permissions away. */
    async withdraw(admin: Admin) {
      const roles = strapi.service('admin::role') as any;
      await roles.assignPermissions((await roles.findOne({ name: admin })).id, []);
    },
    async stop() {
      await strapi.destroy();
      await database.drop();
    },
  };
}

/** Admins of the tests, and what each may do beyond opening users in the content manager. */
const ADMINS = {
  root: null,
  reader: ['sessions.read'],
  temporary: ['sessions.read'],
  editor: [],
} as const;

export type Admin = keyof typeof ADMINS;

const READ_USERS = {
  action: 'plugin::content-manager.explorer.read',
  subject: `${USERS}.user`,
  properties: { fields: ['username', 'email'] },
  conditions: [],
};

async function createAdmins(strapi: Core.Strapi): Promise<void> {
  const [roles, users] = ['role', 'user'].map((name) => strapi.service(`admin::${name}`) as any);
  for (const [name, actions] of Object.entries(ADMINS)) {
    const role = actions ? await roles.create({ name }) : await roles.getSuperAdmin();
    if (actions) {
      const permissions = actions.map((uid) => ({ action: `${USERS}.${uid}` }));
      await roles.assignPermissions(role.id, [READ_USERS, ...permissions]);
    }
    await users.create({
      firstname: name,
      lastname: 'Admin',
      email: `${name}@admin.test`,
      password: PASSWORD,
      isActive: true,
      roles: [role.id],
    });
  }
}

function createUsers(strapi: Core.Strapi, url: string) {
  const sessions = strapi.service(`${USERS}.refresh-session`) as any;
  return {
    /** Makes a user of the API. */
    async user(username: string): Promise<{ id: number; documentId: string; username: string }> {
      const role = await strapi.db
        .query(`${USERS}.role`)
        .findOne({ where: { type: 'authenticated' } });
      return strapi.service(`${USERS}.user`)!.add({
        username,
        email: `${username}@example.com`,
        password: PASSWORD,
        provider: 'local',
        confirmed: true,
        role: role.id,
      });
    },
    /** Signs a user in. @returns the session, and what a request with its access token is answered */
    async session(user: { id: number }, fields: SessionFields = {}) {
      const { sid, jwt } = await sessions.signIn(user.id);
      const changes = { user_agent: CHROME_ON_WINDOWS, ip: '203.0.113.7', ...fields };
      await strapi.db.connection('up_refresh_sessions').where({ sid }).update(changes);
      const me = async () => {
        const headers = { Authorization: `Bearer ${jwt}` };
        return (await fetch(`${url}/api/users/me`, { headers })).status;
      };
      return { sid, me };
    },
    /** Signs a user in with Firefox, steals the refresh token, and replays it with curl. The clock has no grace period. */
    async replay(user: { username: string }) {
      const post = (route: string, userAgent: string, body: object, headers = {}) =>
        fetch(`${url}/api${route}`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', 'User-Agent': userAgent, ...headers },
          body: JSON.stringify(body),
        });
      const credentials = { identifier: user.username, password: PASSWORD };
      const { refreshToken } = await (await post('/auth/local', FIREFOX, credentials)).json();
      const next = await (await post('/token/refresh', FIREFOX, { refreshToken })).json();
      await fetch(`${url}/api/users/me`, { headers: { Authorization: `Bearer ${next.jwt}` } });
      const replayed = await post('/token/refresh', 'curl/8.5.0', { refreshToken });
      if (replayed.status !== 401) throw new Error(`The replay was answered ${replayed.status}.`);
    },
    /** Removes all sessions, so that each test starts with none. */
    clear: () => strapi.db.connection('up_refresh_sessions').del(),
  };
}

/** Signs an admin in with the form, once: further pages get its cookies and storage. */
const signedIn = new WeakMap<Panel, Map<Admin, BrowserContextOptions['storageState']>>();

export async function openContext(
  browser: Browser,
  panel: Panel,
  admin: Admin,
  options: BrowserContextOptions = {}
): Promise<{ context: BrowserContext; page: Page }> {
  const states = signedIn.get(panel) ?? new Map();
  signedIn.set(panel, states);
  if (!states.has(admin)) {
    const first = await browser.newContext();
    await signInAs(await first.newPage(), panel, admin);
    states.set(admin, await first.storageState());
    await first.close();
  }
  const context = await browser.newContext({ storageState: states.get(admin), ...options });
  context.setDefaultTimeout(60_000);
  await stayOnMachine(context);
  return { context, page: await context.newPage() };
}

/** Strapi's admin panel asks its makers for news. */
const stayOnMachine = (context: BrowserContext) =>
  context.route(
    (address) => address.hostname !== '127.0.0.1',
    (route) => route.abort()
  );

async function signInAs(page: Page, { url }: Panel, admin: Admin): Promise<void> {
  await stayOnMachine(page.context());
  await page.goto(`${url}/admin/auth/login`);
  await page.getByLabel('Email').fill(`${admin}@admin.test`);
  await page.locator('input[name=password]').fill(PASSWORD);
  await page.getByRole('button', { name: 'Login' }).click();
  await page.waitForURL(/\/admin\/?$/);
}
