import { execFile } from 'child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'fs';
import { createServer } from 'http';
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
/** A host that is none of ours, and what it got. */
let elsewhere: string;
const stolen: string[] = [];
const thief = createServer((request, response) => {
  stolen.push(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`);
  request.on('data', (chunk) => stolen.push(String(chunk)));
  request.on('end', () => response.end('{}'));
});
/** What a proxy in front of Strapi answers instead of it, by path. */
const outages = new Map<string, number>();
const redirects = new Map<string, string>();

beforeAll(async () => {
  await new Promise<void>((resolve) => {
    thief.listen(0, '127.0.0.1', resolve);
  });
  elsewhere = `http://127.0.0.1:${(thief.address() as AddressInfo).port}`;
  database = await createDatabase('sqlite');
  server = await boot(
    { NODE_ENV: 'production', REFRESH_COOKIE_SECURE: 'false', TRUST_PROXY: 'true' },
    (strapi) =>
      strapi.server.app.use(async (ctx, next) => {
        const [status, target] = [outages.get(ctx.path), redirects.get(ctx.path)];
        if (status) Object.assign(ctx, { status, body: {} });
        else if (target) {
          ctx.redirect(target);
          ctx.status = 307;
        } else await next();
      }),
    database
  );
  const { port } = server.strapi.server.httpServer.address() as AddressInfo;
  baseUrl = `http://127.0.0.1:${port}`;
  await server.user({ username: 'ada', password: 'ada-password', email: 'ada@test.local' });
});
afterEach(() => {
  outages.clear();
  redirects.clear();
  stolen.length = 0;
});
afterAll(async () => {
  thief.close();
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
        recipe,
        refreshOnce: recipe.refreshOnce,
        signIn: recipe.signIn as (name: string, password: string) => Promise<void>,
        changePassword: async () => {
          const response = await recipe.api('/auth/change-password', {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify(change),
          });
          recipe.setAccessToken((await response.json()).jwt);
        },
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
      recipe,
      refreshOnce: recipe.refreshOnce,
      async signIn(identifier: string, password: string) {
        const { data } = await recipe.api.post('/auth/local', { identifier, password });
        recipe.setAccessToken(data.jwt);
      },
      async changePassword() {
        const { data } = await recipe.api.post('/auth/change-password', change);
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

  test('stays signed in when the user changes their password', async () => {
    const { browser, changePassword, get } = await signedIn();
    await changePassword();
    expect(await get('/users/me')).toBe(200);
    expect(browser.refreshes()).toBe(0);
    pass(LIFE);
    expect(await get('/users/me')).toBe(200);
  });

  test('never sends a request of one user in the name of another', async () => {
    const { browser, get } = await signedIn();
    const otherTab = await page(browser);
    const { username } = await server.user();
    await otherTab.signIn(username, PASSWORD);
    browser.asked.length = 0;

    expect(await get('/users/me')).toBe(401);
    expect(browser.asked).toEqual(['GET /api/users/me 401', 'POST /api/token/refresh 200']);
    // The page still shows the data of the user before.
    expect(await get('/users/me')).toBe(403);

    const loadedAgain = await page(browser);
    await loadedAgain.refreshOnce();
    expect(await loadedAgain.get('/users/me')).toBe(200);
    expect(await otherTab.get('/users/me')).toBe(200);
  });

  test('keeps a newer sign-in when the refresh before it is refused late', async () => {
    const { browser, get, signIn } = await signedIn();
    await server.strapi.service('plugin::users-permissions.refresh-session')!.signOut('everyone');
    const { username } = await server.user();
    let refused = () => {};
    const signedInMeanwhile = new Promise<void>((resolve) => {
      browser.onNetwork(async (request, send) => {
        const response = await send(request);
        if (request.url.endsWith('/token/refresh')) {
          refused();
          await signedInMeanwhile;
        }
        if (request.url.endsWith('/auth/local')) resolve();
        return response;
      });
    });
    const wasRefused = new Promise<void>((resolve) => {
      refused = resolve;
    });

    const late = get('/users/me');
    await wasRefused;
    await signIn(username, PASSWORD);
    expect(await late).toBe(401);
    expect(await get('/users/me')).toBe(200);
  });

  test.each(['/api/auth/local', '/api/token/refresh', '/api/users/me'])(
    'lets nobody take a request for %s to another host by a redirect',
    async (route) => {
      const { get, post, refreshOnce, signIn } = await signedIn();
      redirects.set(route, elsewhere + route);
      const { username } = await server.user();
      await signIn(username, PASSWORD).catch(() => {});
      await refreshOnce().catch(() => {});
      await get('/users/me').catch(() => {});
      await post('/users/me', { secret: 'body' }).catch(() => {});
      expect(stolen).toEqual([]);
    }
  );
});

describe('The recipe for axios sends its access token', () => {
  /** A page that is signed in, and notes to whom it would send which `Authorization`. */
  function page(status = 200) {
    const sent: [string, unknown][] = [];
    const axios = createRequire(__filename)('axios');
    const { api, setAccessToken } = load('axios', { modules: { axios } });
    api.defaults.adapter = async (config: any) => {
      const { href } = new URL(api.getUri(config), baseUrl);
      sent.push([href, config.headers.get('Authorization') ?? null]);
      const response = { status, data: {}, headers: {}, config };
      if (status === 200) return response;
      throw new axios.AxiosError('refused', 'ERR_BAD_REQUEST', config, {}, response);
    };
    setAccessToken('a.token');
    return { api, sent };
  }

  test('to the API, however its address is written', async () => {
    const { api, sent } = page();
    const { port } = new URL(baseUrl);
    for (const address of [
      '/users/me',
      'users/me',
      `${baseUrl}/api/users/me`,
      `HTTP://127.0.0.1:${port}/api/users/me`,
      `http://127.1:${port}/api/users/me`,
      '/users/../users/me',
    ]) {
      await api.get(address);
      expect([address, sent.pop()]).toEqual([
        address,
        [`${baseUrl}/api/users/me`, 'Bearer a.token'],
      ]);
    }
  });

  test.each([
    ['another host', () => ({ url: 'https://evil.test/api/users/me' })],
    ['another host without a scheme', () => ({ url: '//evil.test/api/users/me' })],
    [
      'a host that begins like it',
      () => ({ url: baseUrl.replace('.0.1', '.0.1.evil.test') + '/api/users/me' }),
    ],
    ['a host with its name as the user', () => ({ url: `${baseUrl}@evil.test/api/users/me` })],
    ['another port', () => ({ url: `${elsewhere}/api/users/me` })],
    ['another scheme', () => ({ url: `${baseUrl.replace('http', 'https')}/api/users/me` })],
    ['another base', () => ({ url: '/users/me', baseURL: 'https://evil.test/api' })],
    ['another part of its host', () => ({ url: '/../other' })],
    ['the same, in disguise', () => ({ url: '/%2e%2e/other' })],
    ['a path that begins like it', () => ({ url: `${baseUrl}/apis/users/me` })],
    ['a sign-in', () => ({ url: '/auth/local', method: 'post', data: {} })],
    ['a registration', () => ({ url: '/auth/local/register', method: 'post', data: {} })],
    ['a new password', () => ({ url: '/auth/reset-password', method: 'post', data: {} })],
    ['the callback of a provider', () => ({ url: '/auth/github/callback?code=x' })],
  ])('not to %s', async (_where, request) => {
    const { api, sent } = page(401);
    await expect(api.request(request())).rejects.toThrow('refused');
    expect(sent).toEqual([[expect.any(String), null]]);
  });

  test('not in place of one that the caller sends, whose 401 is theirs', async () => {
    const { api, sent } = page(401);
    const headers = { Authorization: 'Bearer an-api-token' };
    await expect(api.get('/articles', { headers })).rejects.toThrow('refused');
    expect(sent).toEqual([[`${baseUrl}/api/articles`, 'Bearer an-api-token']]);
  });

  test('to change-password and the list of sessions', async () => {
    const { api, sent } = page();
    for (const route of ['/auth/change-password', '/auth/sessions', '/auth/logout']) {
      await api.post(route, {});
      expect(sent.pop()).toEqual([`${baseUrl}/api${route}`, 'Bearer a.token']);
    }
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
