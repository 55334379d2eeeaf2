/// <reference lib="dom" />
import { spawn } from 'child_process';
import type { ChildProcess } from 'child_process';
import { once } from 'events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'fs';
import { createServer } from 'http';
import type { AddressInfo } from 'net';
import { tmpdir } from 'os';
import path from 'path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import ts from 'typescript';
import { createSession } from '../../client/session';
import { createDatabase } from '../support/database';
import type { Database } from '../support/database';
import { demoEnvironment } from '../support/demo';
import { freePort } from '../support/port';
import { currentProject } from '../support/project';
import type { Project } from '../support/project';
import { launch, launchWithProfile } from '../browser/browser';
import { proxyTo, serveHosts } from './hosts';
import type { Host } from './hosts';

/** `docs/social-sign-in.md`: each row of its tables, with its settings and without one of them, and its code. */

const ROOT = path.resolve(__dirname, '../..');
const PAGE = readFileSync(path.join(ROOT, 'docs/social-sign-in.md'), 'utf8');
const NAMES = ['www.example.com', 'api.example.com', 'www.shop.com', 'api.other.com'];
/** An ES module, which Jest cannot load, so it runs as a separate command. */
const PROVIDER = path.join(ROOT, 'node_modules/oauth2-mock-server/dist/oauth2-mock-server.mjs');

let provider: ChildProcess;
let providerUrl: string;
let database: Database;
let project: Project;
let hosts: Awaited<ReturnType<typeof serveHosts>>;
let browser: Browser;
beforeAll(async () => {
  const port = await freePort();
  providerUrl = `http://localhost:${port}`;
  provider = spawn(process.execPath, [PROVIDER, '-a', 'localhost', '-p', String(port)]);
  await once(provider.stdout!, 'data');
  database = await createDatabase('sqlite');
  project = currentProject();
  hosts = await serveHosts(NAMES);
  browser = await launch(hosts.rules);
});
afterAll(async () => {
  await browser?.close();
  hosts?.stop();
  provider?.kill();
  project?.remove();
  await database?.drop();
});

/** The rows of a table of the page, as their cells. */
const rows = PAGE.split('\n')
  .filter((line) => /^\| \d \|/.test(line))
  .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim()));

/** What a cell has in backticks. */
const codeIn = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code);

interface Place {
  front: string;
  api: string;
  settings: string[];
}

/** Where a row says that the front end and the API are, and its settings. */
function place(number: number): Place {
  const [, front, api, settings] = rows.find(([first]) => first === String(number))!;
  return { front: codeIn(front)[0], api: codeIn(api)[0], settings: codeIn(settings) };
}

/** A row without the settings that start with one of these. */
const without = ({ settings, ...rest }: Place, ...starts: string[]): Place => {
  const kept = settings.filter((setting) => !starts.some((start) => setting.startsWith(start)));
  expect(kept.length).toBe(settings.length - starts.length);
  return { ...rest, settings: kept };
};

const MIDDLEWARES = [
  ...['logger', 'errors', 'security', 'cors', 'poweredBy', 'query', 'body', 'session', 'favicon'],
  'public',
].map((name) => `'strapi::${name}'`);

/** Runs the project as in production, or in development on localhost. */
async function startStrapi({ front, api, settings }: Place, port: number) {
  const write = (name: string, code: string) => {
    mkdirSync(path.dirname(path.join(project.folder, name)), { recursive: true });
    writeFileSync(path.join(project.folder, name), code);
  };
  const isVariable = (setting: string) => /^[A-Z_]+=/.test(setting);
  const isMiddleware = (setting: string) => setting.startsWith('{');
  const server = settings.filter((setting) => !isVariable(setting) && !isMiddleware(setting));
  write(
    'config/server.js',
    `module.exports = ({ env }) => ({
      host: env('HOST'), port: env.int('PORT'), app: { keys: env.array('APP_KEYS') }, ${server.join(', ')}
    });`
  );
  const middlewares = MIDDLEWARES.map(
    (name) => settings.find((setting) => setting.startsWith(`{ name: ${name}`)) ?? name
  );
  write('config/middlewares.js', `module.exports = [${middlewares.join(', ')}];`);
  write(
    'config/admin.js',
    `const { default: admin } = require(${JSON.stringify(path.join(ROOT, 'dist/config/admin.js'))});
     module.exports = (context) => ({ ...admin(context), serveAdminPanel: false });`
  );
  const grant = {
    enabled: true,
    icon: 'house',
    key: 'client',
    secret: 'secret',
    oauth: 2,
    authorize_url: `${providerUrl}/authorize`,
    access_url: `${providerUrl}/token`,
    callback: `${front}/connect/github/redirect`,
    scope: ['email'],
  };
  write(
    'src/index.js',
    `const grantConfig = ${JSON.stringify(grant)};
     const authCallback = async ({ accessToken }) => {
       const headers = { Authorization: 'Bearer ' + accessToken };
       const { sub } = await (await fetch('${providerUrl}/userinfo', { headers })).json();
       return { email: sub + '@provider.test', username: sub };
     };
     module.exports = {
       register({ strapi }) {
         strapi.plugin('users-permissions').service('providers-registry').add('house', { enabled: true, icon: 'house', grantConfig, authCallback });
       },
       async bootstrap({ strapi }) {
         await strapi.store({ type: 'plugin', name: 'users-permissions', key: 'grant' }).set({ value: { house: grantConfig } });
       },
     };`.replaceAll('github', 'house')
  );
  const environment = {
    ...demoEnvironment(port),
    ...database.env,
    NODE_ENV: new URL(api).hostname === 'localhost' ? 'development' : 'production',
    HOST: '127.0.0.1',
    RATE_LIMIT_MAX: '1000',
    STRAPI_TELEMETRY_DISABLED: 'true',
    ...Object.fromEntries(settings.filter(isVariable).map((setting) => setting.split('='))),
  } as NodeJS.ProcessEnv;
  const script = path.join(ROOT, 'node_modules/@strapi/strapi/bin/strapi.js');
  const child = spawn(process.execPath, [script, 'start'], {
    cwd: project.folder,
    env: environment,
  });
  let said = '';
  child.stdout.on('data', (text) => (said += text));
  child.stderr.on('data', (text) => (said += text));
  for (;;) {
    if (child.exitCode !== null) throw new Error(`Strapi ended:\n${said}`);
    if ((await fetch(`http://127.0.0.1:${port}/_health`).catch(() => null))?.ok) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    log: () => said,
    async stop() {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

const blocks = (language: string): string[] =>
  [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(
    ([, code]) => code
  );

/** A block of the page as a module for the browser. */
const moduleOf = (code: string, api: string): string =>
  ts
    .transpileModule(code, {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    })
    .outputText.replaceAll('https://api.example.com', api)
    .replaceAll('github', 'house')
    .replace(`'./session'`, `'/client/session.js'`);

/** The blocks of TypeScript on the page. */
const [WITH_CLIENT, WITHOUT_CLIENT, IN_WEB_VIEW, IN_APP] = [0, 1, 2, 3];

/** The front end: the page's link, and its code where the user comes back to. */
const frontEnd =
  (api: string): Host =>
  (request, response) => {
    const { pathname } = new URL(request.url!, 'http://front');
    const [, name] = /^\/client\/([\w-]+\.js)$/.exec(pathname) ?? [];
    const script = (type: string) => response.setHeader('content-type', type);
    if (name) {
      script('text/javascript');
      return response.end(readFileSync(path.join(ROOT, 'dist/browser', name)));
    }
    const [, finish] = /^\/finish-(\d)\.js$/.exec(pathname) ?? [];
    if (finish) {
      script('text/javascript');
      return response.end(moduleOf(blocks('ts')[Number(finish)], api));
    }
    script('text/html');
    const [link] = blocks('html');
    return response.end(
      `<!doctype html><link rel="icon" href="data:,">
       ${link.replace('https://api.example.com', api).replace('github', 'house')}
       <p id="result"></p>
       <script type="module">
         const show = (text) => { document.getElementById('result').textContent = text; };
         if (location.pathname === '/connect/house/redirect') {
           const { finishSignIn } = await import('/finish-' + (localStorage.block ?? ${WITH_CLIENT}) + '.js');
           finishSignIn?.().then((who) => show(who.user?.username ?? who), (error) => show(error.message));
         } else {
           const { createSession } = await import('/client/session.js');
           const session = createSession({ baseUrl: ${JSON.stringify(api)} });
           globalThis.whoIsIt = () => session.restore().then((user) => user?.username ?? 'nobody');
           globalThis.isReady = true;
         }
       </script>`
    );
  };

/** Starts everything for a row of the table. */
async function setUp(where: Place, dropped: string[] = []) {
  const port = await freePort();
  const strapi = `http://127.0.0.1:${port}`;
  const isLocal = new URL(where.api).hostname === 'localhost';
  const local = createServer((request, response) => frontEnd(api)(request, response));
  let { front, api } = where;
  if (isLocal) {
    await new Promise<void>((resolve) => {
      local.listen(0, '127.0.0.1', resolve);
    });
    [front, api] = [
      `http://localhost:${(local.address() as AddressInfo).port}`,
      `http://localhost:${port}`,
    ];
  } else {
    const toStrapi = proxyTo(strapi, dropped);
    const page = frontEnd(api);
    hosts.hosts.set(new URL(api).host, toStrapi);
    hosts.hosts.set(new URL(front).host, (request, response) =>
      front === api && request.url!.startsWith('/api/')
        ? toStrapi(request, response)
        : page(request, response)
    );
  }
  const server = await startStrapi({ ...where, front, api }, port);
  const contexts: BrowserContext[] = [];
  return {
    front,
    api,
    strapi,
    log: server.log,
    async newPage(): Promise<Page> {
      const context = await browser.newContext({ ignoreHTTPSErrors: true });
      context.setDefaultTimeout(60_000);
      contexts.push(context);
      return context.newPage();
    },
    async stop() {
      for (const context of contexts) await context.close();
      await server.stop();
      hosts.hosts.clear();
      local.close();
      local.closeAllConnections();
    },
  };
}

type Setup = Awaited<ReturnType<typeof setUp>>;

/** Follows the link to the provider. @returns what the page shows in the end */
async function signIn(page: Page, { front }: Setup): Promise<string> {
  await page.goto(front);
  await page.waitForFunction(() => 'isReady' in window);
  await page.getByRole('link', { name: 'Sign in with' }).click();
  const result = await page.waitForFunction(() => {
    const text = document.body?.innerText ?? '';
    const isPage = document.getElementById('result') !== null;
    return isPage ? document.getElementById('result')!.textContent : text;
  });
  return (await result.jsonValue())!;
}

/** Opens the front end again. @returns who is signed in, or the reason why that is unknown */
async function whoIsIt(page: Page, { front }: Setup): Promise<string> {
  await page.goto(front);
  await page.waitForFunction(() => 'isReady' in window);
  return page.evaluate(() => (globalThis as any).whoIsIt().catch((error: Error) => error.message));
}

/** Requests the callback on the front end's page. */
const callback = (page: Page, api: string, init: RequestInit) =>
  page.evaluate(
    async ([url, options]) => {
      const response = await fetch(url, options);
      const { error } = await response.json();
      return `${response.status} ${error?.details?.code ?? error?.message ?? ''}`.trim();
    },
    [`${api}/api/auth/house/callback`, init] as const
  );

/** Goes to the provider and back, without finishing the sign-in. */
async function visit(page: Page, { front, api }: Setup): Promise<void> {
  await page.route('**/finish-*.js', (route) => route.abort());
  await page.goto(`${api}/api/connect/house`);
  await page.waitForURL(`${front}/connect/house/redirect`);
}

const CREDENTIALS: RequestInit = { credentials: 'include' };

/** For tests that need one row of the table. */
function withRow(make: () => Place, dropped: string[] = []) {
  const setup = {} as Setup;
  let stop: () => Promise<void>;
  beforeAll(async () => {
    const made = await setUp(make(), dropped);
    ({ stop } = made);
    Object.assign(setup, made);
  });
  afterAll(() => stop?.());
  return setup;
}

describe('Row 5: front end and API on localhost, in development', () => {
  const setup = withRow(() => place(5));

  test('work', async () => {
    const page = await setup.newPage();
    expect(await signIn(page, setup)).toBe('johndoe');
    expect(new URL(page.url()).pathname).toBe('/');
    expect(await whoIsIt(page, setup)).toBe('johndoe');
  });

  test('work without the client', async () => {
    const page = await setup.newPage();
    await page.goto(setup.front);
    await page.evaluate((block) => localStorage.setItem('block', block), `${WITHOUT_CLIENT}`);
    expect(await signIn(page, setup)).toBe('johndoe');
    expect(await whoIsIt(page, setup)).toBe('johndoe');
  });

  test('show the reason if the provider refused', async () => {
    const page = await setup.newPage();
    await page.goto(`${setup.front}/connect/house/redirect?error=access_denied`);
    await page.getByText('access_denied').waitFor();
  });

  test('are refused without credentials, and after the sign-in', async () => {
    const page = await setup.newPage();
    await visit(page, setup);
    expect(await callback(page, setup.api, {})).toBe('400 invalid_request');
    expect(await callback(page, setup.api, CREDENTIALS)).toBe('200');
    expect(await callback(page, setup.api, CREDENTIALS)).toBe('400 invalid_request');
  });

  test('are refused if one of them is called 127.0.0.1', async () => {
    const page = await setup.newPage();
    await visit(page, setup);
    const other = setup.api.replace('localhost', '127.0.0.1');
    expect(await callback(page, other, CREDENTIALS)).toBe('400 invalid_request');
  });

  test('are refused if the callback is opened as a page', async () => {
    const page = await setup.newPage();
    await visit(page, setup);
    const answer = await page.goto(`${setup.api}/api/auth/house/callback`);
    expect([answer!.status(), await answer!.text()]).toEqual([
      403,
      expect.stringContaining('Request it from your front end with fetch'),
    ]);
  });

  test('hand the tokens to an app by a page in its web view', async () => {
    const page = await setup.newPage();
    await page.goto(setup.front);
    await page.evaluate((block) => localStorage.setItem('block', block), `${IN_WEB_VIEW}`);
    let onPost!: (data: string) => void;
    const posted = new Promise<string>((resolve) => (onPost = resolve));
    await page.exposeFunction('post', (data: string) => onPost(data));
    await page.addInitScript(() => {
      const postMessage = (data: string) => (globalThis as any).post(data);
      Object.assign(window, { ReactNativeWebView: { postMessage } });
    });
    await page.goto(`${setup.api}/api/connect/house?requestRefresh=true`);
    const data = await posted;
    expect((await page.context().cookies()).map(({ name }) => name)).not.toContain('refreshToken');

    const session = createSession({ baseUrl: setup.api, transport: 'body' });
    const module: any = {};
    const { outputText } = ts.transpileModule(blocks('ts')[IN_APP], {
      compilerOptions: { module: ts.ModuleKind.CommonJS },
    });
    new Function('exports', outputText)(module);
    await module.onMessage(session, data);
    expect((await session.restore())!.username).toBe('johndoe');
    expect(await session.refresh()).not.toBeNull();
    await session.signOut();
  });

  test.each(['', '&access_token=token-of-the-providers-sdk'])(
    'refuse the request of an app that has no cookies of the visit%s',
    async (token) => {
      const query = `?requestRefresh=true${token}`;
      const response = await fetch(`${setup.api}/api/auth/house/callback${query}`);
      expect(response.status).toBe(400);
    }
  );

  test('share their cookies with everything else on localhost', async () => {
    const page = await setup.newPage();
    await signIn(page, setup);
    const another = createServer((request, response) => {
      response.end(request.headers.cookie);
    });
    await new Promise<void>((resolve) => {
      another.listen(0, '127.0.0.1', resolve);
    });
    const { port } = another.address() as AddressInfo;
    const answer = await page.goto(`http://localhost:${port}`);
    expect(await answer!.text()).toContain('refreshToken=');
    another.close();
    another.closeAllConnections();
  });
});

describe('Row 1: front end and API behind one address', () => {
  describe('with its settings', () => {
    const setup = withRow(() => place(1));

    test('work', async () => {
      const page = await setup.newPage();
      expect(await signIn(page, setup)).toBe('johndoe');
      expect(await whoIsIt(page, setup)).toBe('johndoe');
    });
  });

  describe('if the proxy does not pass `location` back', () => {
    const setup = withRow(() => place(1), ['location']);

    test('stop at a page that says “Redirecting to”', async () => {
      expect(await signIn(await setup.newPage(), setup)).toMatch(/^Redirecting to/);
    });
  });

  describe('with the API’s own address as `url`', () => {
    const setup = withRow(() => ({
      ...without(place(1), 'url:'),
      settings: [`url: 'https://api.example.com'`, `proxy: { koa: true }`],
    }));

    test('lose the state of the visit', async () => {
      hosts.hosts.set('api.example.com', proxyTo(setup.strapi));
      expect(await signIn(await setup.newPage(), setup)).toBe('OAuth2 state mismatch');
    });
  });

  describe('without `url`', () => {
    const setup = withRow(() => without(place(1), 'url:'));

    test('send the browser to Strapi’s host and port', async () => {
      const page = await setup.newPage();
      const asked: string[] = [];
      page.on('request', (request) => asked.push(request.url().split('?')[0]));
      expect(await signIn(page, setup)).toBe('Internal Server Error');
      expect(asked).toContain(`${setup.strapi}/api/connect/house/callback`);
    });
  });
});

describe('Row 2: front end and API on two hosts of one site', () => {
  describe('with its settings', () => {
    const setup = withRow(() => place(2));

    test('work', async () => {
      const page = await setup.newPage();
      expect(await signIn(page, setup)).toBe('johndoe');
      expect(await whoIsIt(page, setup)).toBe('johndoe');
    });
  });

  describe('without REFRESH_ALLOWED_ORIGINS', () => {
    const setup = withRow(() => without(place(2), 'REFRESH_ALLOWED_ORIGINS'));

    test('are refused, and the message says what to add', async () => {
      expect(await signIn(await setup.newPage(), setup)).toMatch(
        /add https:\/\/www\.example\.com to REFRESH_ALLOWED_ORIGINS/
      );
    });
  });

  describe('with CORS for another front end', () => {
    const cors = `{ name: 'strapi::cors', config: { origin: ['https://www.shop.com'] } }`;
    const setup = withRow(() => ({ ...place(2), settings: [...place(2).settings, cors] }));

    test('cannot read the response', async () => {
      expect(await signIn(await setup.newPage(), setup)).toBe('Failed to fetch');
    });
  });

  describe('without `proxy`', () => {
    const setup = withRow(() => without(place(2), 'proxy:'));

    test('fail at the redirect back', async () => {
      const page = await setup.newPage();
      expect(await signIn(page, setup)).toBe('Internal Server Error');
      expect(page.url()).toMatch(`${setup.api}/api/connect/house/callback`);
      expect(setup.log()).toContain('Cannot send secure cookie over unencrypted connection');
    });
  });
});

describe('Row 3: front end and API on different sites', () => {
  /** A browser with a profile, whose setting for third-party cookies a user has chosen. */
  async function signInWhere(setup: Setup, allowsThirdParty: boolean): Promise<string[]> {
    const folder = mkdtempSync(path.join(tmpdir(), 'refresh-token-profile-'));
    mkdirSync(path.join(folder, 'Default'));
    const profile = {
      cookie_controls_mode: allowsThirdParty ? 0 : 1,
      block_third_party_cookies: !allowsThirdParty,
    };
    writeFileSync(path.join(folder, 'Default/Preferences'), JSON.stringify({ profile }));
    const context = await launchWithProfile(folder, hosts.rules);
    try {
      const page = await context.newPage();
      return [await signIn(page, setup), await whoIsIt(page, setup)];
    } finally {
      await context.close();
      rmSync(folder, { recursive: true, force: true });
    }
  }

  const LOST = /OAuth authentication requires a completed provider session|did not come back/;

  describe('with its settings', () => {
    const setup = withRow(() => place(3));

    test('work in a browser that allows third-party cookies', async () => {
      expect(await signInWhere(setup, true)).toEqual(['johndoe', 'johndoe']);
    });

    test('fail in a browser that blocks them', async () => {
      const [result, who] = await signInWhere(setup, false);
      expect(result).toMatch(LOST);
      expect(who).toBe('nobody');
    });
  });

  test('fail with a partitioned cookie in a browser that blocks third-party cookies', async () => {
    const { settings, ...rest } = place(3);
    const partitioned = [...settings, 'REFRESH_COOKIE_PARTITIONED=true'];
    const setup = await setUp({ ...rest, settings: partitioned });
    try {
      expect(await signInWhere(setup, false)).toEqual([expect.stringMatching(LOST), 'nobody']);
    } finally {
      await setup.stop();
    }
  });

  test.each(['REFRESH_COOKIE_SAMESITE', `{ name: 'strapi::session'`])(
    'fail everywhere without %s',
    async (setting) => {
      const setup = await setUp(without(place(3), setting));
      try {
        expect(await signInWhere(setup, true)).toEqual([expect.stringMatching(LOST), 'nobody']);
      } finally {
        await setup.stop();
      }
    }
  );
});

describe('Row 4: different sites over http', () => {
  const setup = withRow(() => ({
    ...place(4),
    settings: [
      `url: 'http://api.other.com'`,
      `proxy: { koa: true }`,
      'REFRESH_ALLOWED_ORIGINS=http://www.shop.com',
      'REFRESH_COOKIE_SECURE=false',
      `{ name: 'strapi::session', config: { secure: false } }`,
    ],
  }));

  test('cannot work', async () => {
    expect(await signIn(await setup.newPage(), setup)).toMatch(/did not come back|OAuth/);
  });
});
