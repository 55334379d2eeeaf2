import { execFile } from 'child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'fs';
import { createRequire } from 'module';
import type { AddressInfo } from 'net';
import { tmpdir } from 'os';
import path from 'path';
import { promisify } from 'util';
import ts from 'typescript';
import * as client from '../../client/session';
import { createBrowser } from '../support/browser';
import { createDatabase } from '../support/database';
import type { Database } from '../support/database';
import { boot, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

/** The code of `docs/recipes.md`, run as it stands there, with this server's address in place of its example. */

const ROOT = path.resolve(__dirname, '../..');
const EXAMPLE = 'https://api.example.com';
const LIFE = 360;

let database: Database;
let server: Server;
let baseUrl: string;
const outages = new Map<string, number>();

beforeAll(async () => {
  database = await createDatabase('sqlite');
  server = await boot(
    { NODE_ENV: 'production', REFRESH_COOKIE_SECURE: 'false', TRUST_PROXY: 'true' },
    (strapi) =>
      // A proxy in front of Strapi that answers instead of it.
      strapi.server.app.use(async (ctx, next) => {
        const status = outages.get(ctx.path);
        if (status) Object.assign(ctx, { status, body: {} });
        else await next();
      }),
    database
  );
  const { port } = server.strapi.server.httpServer.address() as AddressInfo;
  baseUrl = `http://127.0.0.1:${port}`;
  await server.user({ username: 'ada', password: 'ada-password', email: 'ada@test.local' });
});
afterEach(() => outages.clear());
afterAll(async () => {
  await server.stop();
  await database.drop();
});

/** The blocks of code, by the heading that they stand under. */
function recipes(): Map<string, { language: string; code: string }[]> {
  const page = readFileSync(path.join(ROOT, 'docs/recipes.md'), 'utf8');
  return new Map(
    page
      .split(/^## /m)
      .slice(1)
      .map((section) => [
        section.split('\n')[0],
        [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, code]) => ({
          language,
          code,
        })),
      ])
  );
}

function blocksOf(heading: string): string[] {
  const blocks = recipes().get(heading);
  if (!blocks?.length) throw new Error(`docs/recipes.md has no code under "${heading}".`);
  return blocks.map(({ code }) => code.replaceAll(EXAMPLE, baseUrl));
}

/** Runs a block of TypeScript as a module of its own. */
function load(
  heading: string,
  surroundings: { fetch?: typeof fetch; modules?: Record<string, unknown>; env?: object } = {}
): any {
  const { outputText } = ts.transpileModule(blocksOf(heading)[0], {
    compilerOptions: {
      module: ts.ModuleKind.CommonJS,
      target: ts.ScriptTarget.ES2022,
      esModuleInterop: true,
    },
  });
  const module = {};
  const require = (name: string) => surroundings.modules?.[name];
  new Function('exports', 'require', 'fetch', 'process', outputText)(
    module,
    require,
    surroundings.fetch ?? fetch,
    { env: surroundings.env ?? {} }
  );
  return module;
}

/** The access tokens that were handed out are refused from now on, and the sessions live on. */
function withdrawAccessTokens(): void {
  const name = 'plugin::users-permissions.jwtSecret';
  server.strapi.config.set(name, `${server.strapi.config.get(name)}-next`);
}

const NEW_PASSWORD = 'another horse 2';
const change = {
  currentPassword: PASSWORD,
  password: NEW_PASSWORD,
  passwordConfirmation: NEW_PASSWORD,
};

test('Every recipe compiles, under strict, beside the client', async () => {
  mkdirSync(path.join(ROOT, '.tmp'), { recursive: true });
  const folder = mkdtempSync(path.join(ROOT, '.tmp/recipes-'));
  const write = (name: string, text: string) => writeFileSync(path.join(folder, name), text);
  try {
    write('session.ts', readFileSync(path.join(ROOT, 'client/session.ts'), 'utf8'));
    // The one module that is of a phone alone.
    write(
      'expo-secure-store.d.ts',
      `declare module 'expo-secure-store' {
         export function getItemAsync(key: string): Promise<string | null>;
         export function setItemAsync(key: string, value: string): Promise<void>;
         export function deleteItemAsync(key: string): Promise<void>;
       }`
    );
    const blocks = [...recipes().values()].flat().filter(({ language }) => language === 'ts');
    expect(blocks.length).toBe(6);
    // A block without an import is a module all the same.
    blocks.forEach(({ code }, index) => write(`recipe-${index}.ts`, `${code}\nexport {};\n`));
    const compilerOptions = {
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: ['node'],
      lib: ['ES2022', 'DOM', 'DOM.Iterable'],
      target: 'ES2022',
      module: 'ESNext',
      moduleResolution: 'Bundler',
    };
    write('tsconfig.json', JSON.stringify({ compilerOptions, include: ['*.ts'] }));
    const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc');
    await promisify(execFile)(process.execPath, [compiler, '-p', folder]).catch((error) => {
      // What does not compile is told there.
      throw new Error(error.stdout || error.message);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe.each(['fetch', 'axios'])('The recipe for %s', (library) => {
  /** Both are the same to their caller. */
  async function page(browser = createBrowser()) {
    if (library === 'fetch') {
      const recipe = load('fetch', browser);
      return {
        browser,
        refreshOnce: recipe.refreshOnce,
        signIn: recipe.signIn as (name: string, password: string) => Promise<void>,
        get: async (route: string): Promise<number> => (await recipe.api(route)).status,
        post: async (route: string, fields: object): Promise<number> =>
          (
            await recipe.api(route, {
              method: 'POST',
              headers: { 'Content-Type': 'application/json' },
              body: JSON.stringify(fields),
            })
          ).status,
      };
    }

    // An axios of this test's own, with the cookies of a browser, which Node's has not.
    const axios = createRequire(__filename)('axios');
    const own = axios.create({ adapter: 'fetch', env: { fetch: browser.fetch } });
    const recipe = load('axios', { modules: { axios: own } });
    const status = (asking: Promise<{ status: number }>) =>
      asking.then(
        (answer) => answer.status,
        (error) => error.response?.status ?? Promise.reject(error)
      );
    return {
      browser,
      refreshOnce: recipe.refreshOnce,
      async signIn(identifier: string, password: string) {
        const { data } = await recipe.api.post('/auth/local', { identifier, password });
        recipe.setAccessToken(data.jwt);
      },
      get: (route: string): Promise<number> => status(recipe.api.get(route)),
      post: (route: string, fields: object): Promise<number> =>
        status(recipe.api.post(route, fields)),
    };
  }

  async function signedIn() {
    const { username } = await server.user();
    const own = await page();
    await own.signIn(username, PASSWORD);
    own.browser.asked.length = 0;
    return own;
  }

  test('calls with the access token, and refreshes once for all calls that are refused', async () => {
    const { browser, get } = await signedIn();
    expect(await get('/users/me')).toBe(200);
    pass(LIFE);
    const statuses = await Promise.all(Array.from({ length: 5 }, () => get('/users/me')));
    expect(statuses).toEqual(Array(5).fill(200));
    expect(browser.refreshes()).toBe(1);
    expect(await get('/users/me')).toBe(200);
    expect(browser.refreshes()).toBe(1);
  });

  test('goes on by the cookie when the page is loaded again', async () => {
    const { browser } = await signedIn();
    const again = await page(browser);
    await Promise.all([again.refreshOnce(), again.refreshOnce()]);
    expect(await again.get('/users/me')).toBe(200);
    expect(browser.refreshes()).toBe(1);
  });

  test('sends a body again', async () => {
    const { browser, post } = await signedIn();
    withdrawAccessTokens();
    expect(await post('/auth/change-password', change)).toBe(200);
    expect(browser.refreshes()).toBe(1);
  });

  test('never loops, and stays signed in while the server is out of order', async () => {
    const { browser, get } = await signedIn();
    outages.set('/api/users/me', 401);
    expect(await get('/users/me')).toBe(401);
    expect(browser.asked).toHaveLength(3);

    outages.clear();
    outages.set('/api/token/refresh', 503);
    withdrawAccessTokens();
    expect(await get('/users/me')).toBe(401);
    expect(browser.asked.slice(3)).toEqual([
      'GET /api/users/me 401',
      'POST /api/token/refresh 503',
    ]);

    outages.clear();
    expect(await get('/users/me')).toBe(200);
  });

  test('is over when the refresh says so', async () => {
    const { browser, get, post, refreshOnce } = await signedIn();
    await post('/token/revoke', {});
    expect([await get('/users/me'), await get('/users/me')]).toEqual([401, 403]);
    expect(browser.refreshes()).toBe(1);
    await refreshOnce();
  });

  test('throws the network’s errors, and does not refresh for them', async () => {
    const { browser, get } = await signedIn();
    browser.onNetwork(async () => {
      throw new TypeError('fetch failed');
    });
    await expect(get('/users/me')).rejects.toThrow();
    expect(browser.asked).toEqual([]);
  });
});

describe('Next.js between browser and Strapi', () => {
  const HEADING = 'Next.js: the browser talks to Next, Next to Strapi';
  const SITE = 'https://www.shop.test';

  /** A request as the browser sends it to Next. */
  const ask = (route: string, headers: Record<string, string> = {}, fields?: object) =>
    new Request(SITE + route, {
      method: fields ? 'POST' : 'GET',
      headers: {
        'User-Agent': 'Phone/1.0',
        'X-Forwarded-For': '203.0.113.7',
        Origin: SITE,
        'Sec-Fetch-Site': 'same-origin',
        'Sec-Fetch-Mode': 'cors',
        'Content-Type': 'application/json',
        ...headers,
      },
      body: fields && JSON.stringify(fields),
    });
  const cookieOf = (response: Response) =>
    response.headers
      .getSetCookie()
      .map((line) => line.split(';')[0])
      .join('; ');

  async function signIn() {
    const { POST } = load(HEADING, { env: { STRAPI_URL: baseUrl } });
    const { username } = await server.user();
    const response: Response = await POST(
      ask('/api/auth/local', {}, { identifier: username, password: PASSWORD })
    );
    return { response, username };
  }

  test('forwards the cookie both ways, and who the caller is', async () => {
    const { GET, POST } = load(HEADING, { env: { STRAPI_URL: baseUrl } });
    const { response, username } = await signIn();
    expect(response.status).toBe(200);
    expect(response.headers.getSetCookie()).toHaveLength(2);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect((await server.rows()).at(-1)).toMatchObject({
      ip: '203.0.113.7',
      user_agent: 'Phone/1.0',
    });

    const refreshed: Response = await POST(
      ask('/api/token/refresh', { Cookie: cookieOf(response) }, {})
    );
    const { jwt } = (await refreshed.json()) as { jwt: string };
    expect(refreshed.headers.getSetCookie()).toHaveLength(2);
    const me: Response = await GET(ask('/api/users/me?x=1', { Authorization: `Bearer ${jwt}` }));
    expect(((await me.json()) as any).username).toBe(username);
  });

  test('lets no foreign page use the cookie', async () => {
    const { POST } = load(HEADING, { env: { STRAPI_URL: baseUrl } });
    const Cookie = cookieOf((await signIn()).response);
    for (const foreign of [
      { Origin: 'https://evil.test', 'Sec-Fetch-Site': 'cross-site' },
      { Origin: 'https://blog.shop.test', 'Sec-Fetch-Site': 'same-site' },
    ]) {
      for (const route of ['/api/token/refresh', '/api/token/revoke']) {
        const refused: Response = await POST(ask(route, { ...foreign, Cookie }, {}));
        expect(refused.status).toBe(403);
      }
    }
    const own: Response = await POST(ask('/api/token/refresh', { Cookie }, {}));
    expect(own.status).toBe(200);
  });

  test('renders a page for who is signed in, and hands on the next cookie', async () => {
    const { GET } = load('Next.js: a page that the server renders for who is signed in', {
      env: { STRAPI_URL: baseUrl },
    });
    const { response, username } = await signIn();
    // By a link on another site.
    const link = { Origin: '', 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' };
    let Cookie = cookieOf(response);
    for (let turn = 0; turn < 3; turn += 1) {
      pass(3600);
      const page: Response = await GET(ask('/', { ...link, Cookie }));
      expect(await page.text()).toBe(`Hello ${username}`);
      Cookie = cookieOf(page);
    }
    const stranger: Response = await GET(ask('/'));
    expect(await stranger.text()).toBe('Please sign in');
    expect((await server.rows()).at(-1)).toMatchObject({ ip: '203.0.113.7' });
  });
});

test('The recipe for Expo keeps the session in the keychain', async () => {
  const keychain = new Map<string, string>();
  // The native module cannot run here: its three functions, with a map for the keychain.
  const SecureStore = {
    getItemAsync: async (key: string) => keychain.get(key) ?? null,
    setItemAsync: async (key: string, value: string) => void keychain.set(key, value),
    deleteItemAsync: async (key: string) => void keychain.delete(key),
  };
  const start = () =>
    load('React Native, Expo', {
      modules: { 'expo-secure-store': SecureStore, './session': client },
    }).session as client.Session;

  const { username } = await server.user();
  await start().signIn({ identifier: username, password: PASSWORD });
  pass(LIFE);
  const again = start();
  expect((await again.fetch('/api/users/me')).status).toBe(200);
  await again.signOut();
  expect(keychain.size).toBe(0);
});

test('The recipe for Node signs in, calls and signs out', async () => {
  const before = (await server.rows()).length;
  const recipe = load('Node, and other scripts', {
    modules: { './session': client },
    env: { ADA_PASSWORD: 'ada-password' },
  });
  expect(await recipe.default).toBe('ada');
  expect(await server.rows()).toHaveLength(before);
});

test('The curl recipes sign in, refresh and sign out, by cookie and by body', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'recipes-'));
  try {
    const before = (await server.rows()).length;
    const [byCookie, byBody] = blocksOf('curl');
    for (const code of [byCookie, byBody]) {
      const { stdout } = await promisify(execFile)('sh', ['-eu', '-c', code], { cwd: folder });
      expect(stdout).toMatch(/\{"ok":true\}$/);
      expect(stdout).toContain(code === byCookie ? '"jwt":' : '"username":"ada"');
      expect(await server.rows()).toHaveLength(before);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
