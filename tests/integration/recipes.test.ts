import { execFile } from 'child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'fs';
import { createServer } from 'http';
import { createRequire } from 'module';
import type { AddressInfo } from 'net';
import { tmpdir } from 'os';
import path from 'path';
import { promisify } from 'util';
import * as apolloClient from '@apollo/client';
import * as urqlCore from '@urql/core';
import ts from 'typescript';
import * as client from '../../client/session';
import { createBrowser } from '../support/browser';
import { createDatabase } from '../support/database';
import type { Database } from '../support/database';
import { graphqlProject } from '../support/project';
import { boot, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

/** The code of `docs/recipes.md`, run as it stands there, with this server's address in place of its example. */

const ROOT = path.resolve(__dirname, '../..');
const EXAMPLE = 'https://api.example.com';
const LIFE = 360;
const CLIENT_FILES = ['session.ts', 'session-tokens.ts', 'session-http.ts', 'session-page.ts'];

const project = graphqlProject();

const DELETE_ACCOUNT = {
  method: 'POST',
  path: '/delete-account',
  handler: (ctx: any) => ctx.send({ deleted: ctx.request.body.id }),
  config: {
    auth: { scope: [] },
    policies: [{ name: 'plugin::users-permissions.recent-sign-in', config: { within: '10m' } }],
  },
  info: {},
};

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
    {
      NODE_ENV: 'production',
      REFRESH_COOKIE_SECURE: 'false',
      REFRESH_TOKEN_ACCESS: 'true',
      TRUST_PROXY: 'true',
    },
    (strapi) => {
      const { graphql } = run(fileOf('config/plugins.ts'), {}).default;
      strapi.config.set('plugin::graphql.apolloServer', graphql.config.apolloServer);
      strapi.server.routes({ type: 'content-api', routes: [DELETE_ACCOUNT as any] });
      strapi.server.app.use(async (ctx, next) => {
        const [status, target] = [outages.get(ctx.path), redirects.get(ctx.path)];
        if (status) Object.assign(ctx, { status, body: {} });
        else if (target) {
          ctx.redirect(target);
          ctx.status = 307;
        } else await next();
      });
    },
    database,
    project.folder
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
  project.remove();
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

/** The path that a block's first line says it belongs to. */
const pathOf = (code: string): string | undefined => /^\/\/ (\S+\.ts)\n/.exec(code)?.[1];

interface Surroundings {
  fetch?: typeof fetch;
  modules?: Record<string, unknown>;
  env?: Record<string, string>;
}

/** Runs the block of a section as a module. */
const load = (heading: string, surroundings: Surroundings = {}): any =>
  run(blocksOf(heading)[0], surroundings);

/** The block of a file, with this server's address. */
function fileOf(file: string): string {
  const code = [...recipes().values()].flat().find((block) => pathOf(block.code) === file)?.code;
  if (!code) throw new Error(`docs/recipes.md has no code for ${file}.`);
  return code.replaceAll(EXAMPLE, baseUrl);
}

/** Runs a block of TypeScript as a separate module. */
function run(code: string, surroundings: Surroundings): any {
  const { outputText } = ts.transpileModule(code, {
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

test('Every recipe compiles under strict, next to the client', async () => {
  mkdirSync(path.join(ROOT, '.tmp'), { recursive: true });
  const folder = mkdtempSync(path.join(ROOT, '.tmp/recipes-'));
  const write = (name: string, text: string) => {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  };
  try {
    for (const name of CLIENT_FILES) {
      write(name, readFileSync(path.join(ROOT, 'client', name), 'utf8'));
    }
    // What this repository does not install.
    write(
      'expo-secure-store.d.ts',
      `declare module 'expo-secure-store' {
         export const AFTER_FIRST_UNLOCK_THIS_DEVICE_ONLY: number;
         export function getItemAsync(key: string): Promise<string | null>;
         export function setItemAsync(
           key: string,
           value: string,
           options?: { keychainAccessible?: number }
         ): Promise<void>;
         export function deleteItemAsync(key: string): Promise<void>;
       }`
    );
    const blocks = [...recipes().values()].flat().filter(({ language }) => language === 'ts');
    expect(blocks.length).toBe(10);
    // A block without an import is a module all the same.
    blocks.forEach(({ code }, index) =>
      write(pathOf(code) ?? `recipe-${index}.ts`, `${code}\nexport {};\n`)
    );
    const compilerOptions = {
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: ['node'],
      lib: ['ES2022', 'DOM', 'DOM.Iterable'],
      target: 'ES2022',
      module: 'ESNext',
      moduleResolution: 'Bundler',
      paths: { '@/*': ['./*'] },
    };
    write('tsconfig.json', JSON.stringify({ compilerOptions, include: ['**/*.ts'] }));
    const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc');
    await promisify(execFile)(process.execPath, [compiler, '-p', folder]).catch((error) => {
      // What does not compile is told there.
      throw new Error(error.stdout || error.message);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('The client compiles to ES modules of Node when “.js” is added to its imports', async () => {
  mkdirSync(path.join(ROOT, '.tmp'), { recursive: true });
  const folder = mkdtempSync(path.join(ROOT, '.tmp/modules-'));
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, args, { cwd: folder }).catch((error) => {
      throw new Error(error.stdout || error.message);
    });
  try {
    for (const name of CLIENT_FILES) {
      const source = readFileSync(path.join(ROOT, 'client', name), 'utf8');
      const withExtensions = source.replace(/ from '(\.\/.*)'/g, " from '$1.js'");
      writeFileSync(path.join(folder, name), withExtensions);
    }
    writeFileSync(path.join(folder, 'package.json'), '{ "type": "module" }');
    const options = [
      '--module',
      'nodenext',
      '--strict',
      '--verbatimModuleSyntax',
      '--types',
      'node',
    ];
    await run(path.join(ROOT, 'node_modules/typescript/bin/tsc'), ...options, 'session.ts');
    const script = `import { createSession } from './session.js';
      createSession({ transport: 'body' }).accessToken().then(console.log);`;
    writeFileSync(path.join(folder, 'script.js'), script);
    expect((await run('script.js')).stdout).toBe('null\n');
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

  test('continues with the cookie when the page is reloaded', async () => {
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

  test('never loops, and stays signed in while the server is down', async () => {
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

  test('ends when the refresh says so', async () => {
    const { browser, get, post, refreshOnce } = await signedIn();
    await post('/token/revoke', {});
    expect([await get('/users/me'), await get('/users/me')]).toEqual([401, 403]);
    expect(browser.refreshes()).toBe(1);
    await refreshOnce();
  });

  test('signs out, also when the page has just been reloaded', async () => {
    const { browser, get, recipe } = await signedIn();
    await recipe.signOut();
    expect(browser.cookies.size).toBe(0);
    expect(await get('/users/me')).toBe(403);
    expect(browser.asked).toEqual(['POST /api/token/revoke 200', 'GET /api/users/me 403']);

    const reloaded = await page((await signedIn()).browser);
    await reloaded.recipe.signOut();
    expect(reloaded.browser.cookies.size).toBe(0);
  });

  test('says when a sign-out has not reached the server, and can repeat it', async () => {
    const { browser, get, recipe } = await signedIn();
    outages.set('/api/token/revoke', 503);
    await expect(recipe.signOut()).rejects.toThrow(/503/);
    expect(await get('/users/me')).toBe(403);
    outages.clear();
    await recipe.signOut();
    expect(browser.cookies.size).toBe(0);
  });

  test('is not signed in again by a refresh that was in progress during a sign-out', async () => {
    const { browser, get, recipe, refreshOnce } = await signedIn();
    let release!: () => void;
    const held = new Promise<void>((resolve) => (release = resolve));
    browser.onNetwork(async (request, send) => {
      const response = await send(request);
      if (request.url.endsWith('/token/refresh')) await held;
      return response;
    });
    const refreshing = refreshOnce();
    await recipe.signOut();
    release();
    await refreshing;
    expect(await get('/users/me')).toBe(403);
  });

  test('throws network errors, and does not refresh because of them', async () => {
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

  test('never sends one user’s request as another user', async () => {
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

  test.each(['/api/auth/local', '/api/token/refresh', '/api/token/revoke', '/api/users/me'])(
    'does not follow a redirect of a request for %s to another host',
    async (route) => {
      const { get, post, recipe, refreshOnce, signIn } = await signedIn();
      redirects.set(route, elsewhere + route);
      const { username } = await server.user();
      await signIn(username, PASSWORD).catch(() => {});
      await refreshOnce().catch(() => {});
      await get('/users/me').catch(() => {});
      await post('/users/me', { secret: 'body' }).catch(() => {});
      await recipe.signOut().catch(() => {});
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

  test('to the API, no matter how its address is written', async () => {
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

  test('but does not replace one that the caller sends, whose 401 is passed on', async () => {
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
  const SITE = 'https://www.shop.test';

  /** A request as the browser sends it to Next. */
  const ask = (route: string, headers: Record<string, string> = {}, fields?: object) =>
    new Request(SITE + route, {
      method: fields ? 'POST' : 'GET',
      headers: {
        'User-Agent': 'Phone/1.0',
        // What a caller can write, and what the platform writes.
        'X-Forwarded-For': '6.6.6.6',
        'X-Real-IP': '203.0.113.7',
        Origin: SITE,
        'Sec-Fetch-Site': 'same-origin',
        'Sec-Fetch-Mode': 'cors',
        'Sec-Fetch-Dest': 'empty',
        'Content-Type': 'application/json',
        ...headers,
      },
      body: fields && JSON.stringify(fields),
    });
  const cookieOf = (response: Response) =>
    response.headers
      .getSetCookie()
      .filter((line) => !/max-age=0/i.test(line))
      .map((line) => line.split(';')[0])
      .join('; ');

  /** The handler of `examples/next`, which tests/examples runs in Next. */
  function handler(settings: Record<string, string> = {}) {
    const env = { STRAPI_URL: baseUrl, CLIENT_ADDRESS_HEADER: 'x-real-ip', ...settings };
    const read = (file: string, modules = {}) =>
      run(readFileSync(path.join(ROOT, 'examples/next', file), 'utf8'), { env, modules });
    return read('app/api/[...path]/route.ts', { '@/lib/strapi': read('lib/strapi.ts') });
  }

  async function signIn() {
    const { username } = await server.user();
    const response: Response = await handler().POST(
      ask('/api/auth/local', {}, { identifier: username, password: PASSWORD })
    );
    return { response, username };
  }

  /** What Strapi gets of what is asked meanwhile. */
  async function arriving(asking: () => Promise<unknown>) {
    const got: { url: string; headers: Record<string, unknown> }[] = [];
    const note = (request: any) => got.push({ url: request.url, headers: request.headers });
    server.strapi.server.httpServer.on('request', note);
    await asking();
    server.strapi.server.httpServer.off('request', note);
    return got;
  }

  test('forwards the cookie both ways, and the caller’s address', async () => {
    const { GET, POST } = handler();
    const { response, username } = await signIn();
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect((await server.rows()).at(-1)).toMatchObject({
      ip: '203.0.113.7',
      user_agent: 'Phone/1.0',
    });

    const refreshed: Response = await POST(
      ask('/api/token/refresh', { Cookie: cookieOf(response) }, {})
    );
    const { jwt } = (await refreshed.json()) as { jwt: string };
    for (const name of ['refreshToken', 'refreshToken.sig']) {
      expect(refreshed.headers.getSetCookie().join('\n')).toMatch(new RegExp(`^${name}=[^;]`, 'm'));
    }
    const me: Response = await GET(ask('/api/users/me?x=1', { Authorization: `Bearer ${jwt}` }));
    expect(((await me.json()) as any).username).toBe(username);
  });

  test('lets no untrusted page use the cookie', async () => {
    const { POST } = handler();
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

  test.each([
    ['who calls, guesses from one address are limited, and others are not locked out', 'x-real-ip'],
    ['nothing, guesses are limited for everybody together', ''],
  ])('with a platform that says %s', async (_title, header) => {
    const settings = server.strapi.config.get('plugin::users-permissions.ratelimit') as object;
    server.strapi.config.set('plugin::users-permissions.ratelimit', { ...settings, max: 10 });
    // What the limiter counted in other tests is long past.
    pass(24 * 3600);
    try {
      const { POST } = handler({ CLIENT_ADDRESS_HEADER: header });
      const signInFrom = async (headers: Record<string, string>, password: string) => {
        const response: Response = await POST(
          ask('/api/auth/local', headers, { identifier: 'ada', password })
        );
        return response.status;
      };
      const statuses: number[] = [];
      for (let turn = 0; turn < 40; turn += 1) {
        const forged = `198.51.100.${turn}`;
        const headers = {
          'X-Forwarded-For': forged,
          Forwarded: `for=${forged}`,
          'X-Client-IP': forged,
        };
        statuses.push(await signInFrom(headers, 'wrong'));
      }
      expect(statuses).toEqual([...Array(10).fill(400), ...Array(30).fill(429)]);
      const other = await signInFrom({ 'X-Real-IP': '203.0.113.8' }, 'ada-password');
      expect(other).toBe(header ? 200 : 429);
    } finally {
      server.strapi.config.set('plugin::users-permissions.ratelimit', settings);
    }
  });

  test('passes on no header that is not listed', async () => {
    const [{ headers }] = await arriving(() =>
      handler().POST(
        ask(
          '/api/token/revoke',
          {
            Forwarded: 'for=6.6.6.6;host=evil.test',
            'Proxy-Authorization': 'Basic eDp5',
            'X-Forwarded-Host': 'evil.test',
            'X-Forwarded-Proto': 'http',
            'X-HTTP-Method-Override': 'DELETE',
            'X-Original-URL': '/admin',
            Via: '1.1 evil.test',
            TE: 'trailers',
          },
          {}
        )
      )
    );
    expect(headers).toMatchObject({
      'x-forwarded-for': '203.0.113.7',
      'x-forwarded-host': 'www.shop.test',
      'x-forwarded-proto': 'https',
      'user-agent': 'Phone/1.0',
      origin: SITE,
      'sec-fetch-site': 'same-origin',
      'sec-fetch-mode': 'cors',
      'sec-fetch-dest': 'empty',
    });
    expect(JSON.stringify(headers)).not.toMatch(/evil|6\.6\.6\.6|proxy-auth|DELETE|admin|trailers/);
  });

  test.each([
    '/api/../admin/init',
    '/api/%2e%2e/admin/init',
    '/api/x/../../admin/init',
    '/apis',
    '/',
  ])('asks Strapi for nothing but its API: %s', async (route) => {
    const got = await arriving(async () => {
      const response: Response = await handler().GET(ask(route));
      expect(response.status).toBe(404);
    });
    expect(got).toEqual([]);
  });

  test('lets the browser follow redirects, for example to a provider', async () => {
    const store = server.strapi.store({ type: 'plugin', name: 'users-permissions', key: 'grant' });
    const grant = (await store.get({})) as Record<string, object>;
    const github = { ...grant.github, enabled: true, key: 'key', secret: 'secret' };
    await store.set({ value: { ...grant, github } });
    const there: Response = await handler().GET(
      ask('/api/connect/github', { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' })
    );
    await store.set({ value: grant });
    expect(there.status).toBe(302);
    expect(there.headers.get('location')).toMatch(/^https:\/\/github\.com\/login\/oauth/);
    expect(cookieOf(there)).toMatch(/refreshTokenVisit=.*koa\.sess\.sig=/);

    redirects.set('/api/users/me', `${elsewhere}/taken`);
    const other: Response = await handler().POST(ask('/api/users/me', {}, { secret: 'body' }));
    expect([other.status, other.headers.get('location')]).toEqual([307, `${elsewhere}/taken`]);
    expect(stolen).toEqual([]);
  });

  test('passes on requests and responses without a body, and large ones', async () => {
    const { DELETE, POST } = handler();
    const Cookie = cookieOf((await signIn()).response);
    const bare = new Request(`${SITE}/api/token/refresh`, {
      method: 'POST',
      headers: { Cookie, Origin: SITE, 'Sec-Fetch-Site': 'same-origin' },
    });
    expect(((await POST(bare)) as Response).status).toBe(200);

    const large = { x: 'y'.repeat(3_000_000) };
    const tooLarge: Response = await POST(ask('/api/token/refresh', { Cookie }, large));
    expect(tooLarge.status).toBe(413);

    outages.set('/api/articles/1', 204);
    const request = new Request(`${SITE}/api/articles/1`, { method: 'DELETE' });
    const empty: Response = await DELETE(request);
    expect([empty.status, await empty.text()]).toEqual([204, '']);

    outages.set('/api/token/refresh', 503);
    const busy: Response = await POST(ask('/api/token/refresh', { Cookie }, {}));
    expect([busy.status, cookieOf(busy)]).toEqual([503, '']);
  });
});

describe('The recipe for Expo', () => {
  /**
   * The native module cannot run here: what its functions do on iOS, with a map for the keychain. An entry that is there keeps
   * its accessibility (SecureStoreModule.swift, `update`), which is that of an unlocked device by default.
   */
  function createPhone() {
    const keychain = new Map<string, { value: string; accessible: string }>();
    const phone = { isLocked: false, keychain };
    const SecureStore = {
      AFTER_FIRST_UNLOCK: 'after first unlock',
      AFTER_FIRST_UNLOCK_THIS_DEVICE_ONLY: 'after first unlock, this device',
      WHEN_UNLOCKED: 'when unlocked',
      getItemAsync: async (key: string) => {
        const entry = keychain.get(key);
        if (entry && phone.isLocked && entry.accessible === SecureStore.WHEN_UNLOCKED) {
          throw new Error('User interaction is not allowed.');
        }
        return entry?.value ?? null;
      },
      setItemAsync: async (key: string, value: string, options: any = {}) => {
        const wanted = options.keychainAccessible ?? SecureStore.WHEN_UNLOCKED;
        keychain.set(key, { value, accessible: keychain.get(key)?.accessible ?? wanted });
      },
      deleteItemAsync: async (key: string) => void keychain.delete(key),
    };
    const start = () =>
      load('React Native, Expo', {
        modules: { 'expo-secure-store': SecureStore, './session': client },
      }).session as client.Session;
    return { phone, start };
  }

  test('keeps the session in the keychain', async () => {
    const { phone, start } = createPhone();
    const { username } = await server.user();
    await start().signIn({ identifier: username, password: PASSWORD });
    for (const { value } of phone.keychain.values()) expect(value.length).toBeLessThan(1024);
    pass(LIFE);
    const again = start();
    expect((await again.fetch('/api/users/me')).status).toBe(200);
    await again.signOut();
    expect(phone.keychain.size).toBe(0);
  });

  test('refreshes in the background while the device is locked', async () => {
    const { phone, start } = createPhone();
    const { username } = await server.user();
    await start().signIn({ identifier: username, password: PASSWORD });
    phone.isLocked = true;
    for (let turn = 0; turn < 2; turn += 1) {
      pass(LIFE);
      expect((await start().fetch('/api/users/me')).status).toBe(200);
    }
  });

  test('does not let a backup bring the token to another device', async () => {
    const { phone, start } = createPhone();
    const { username } = await server.user();
    await start().signIn({ identifier: username, password: PASSWORD });
    expect([...phone.keychain.values()].map(({ accessible }) => accessible)).toEqual([
      'after first unlock, this device',
    ]);
  });
});

describe.each(['Apollo Client', 'urql'])('The recipe for %s', (library) => {
  const ME = '{ me { username } }';
  const SESSIONS = '{ mySessions { id } }';

  /** Both are the same to their caller. */
  function page(browser = createBrowser()) {
    const own: typeof client = {
      ...client,
      createSession: (options) => client.createSession({ ...options, fetch: browser.fetch }),
    };
    const shared = run(fileOf('session-fetch.ts'), { modules: { './session': own } });
    const session = shared.session as client.Session;
    const modules = { './session-fetch': shared };
    if (library === 'urql') {
      const recipe = run(fileOf('urql.ts'), { modules: { ...modules, '@urql/core': urqlCore } });
      return {
        browser,
        session,
        signIn: (identifier: string) => session.signIn({ identifier, password: PASSWORD }),
        async query(query: string): Promise<any> {
          const { data, error } = await recipe.urql.query(query, {});
          if (error) throw error;
          return data;
        },
      };
    }
    const recipe = run(fileOf('apollo.ts'), {
      modules: { ...modules, '@apollo/client': apolloClient },
    });
    return {
      browser,
      session,
      signIn: (identifier: string) => recipe.signIn(identifier, PASSWORD),
      query: async (query: string): Promise<any> =>
        (await recipe.apollo.query({ query: apolloClient.gql(query) })).data,
    };
  }

  async function signedIn() {
    const { username } = await server.user();
    const own = page();
    await own.signIn(username);
    own.browser.asked.length = 0;
    return { ...own, username };
  }

  test('signs in by cookie, and calls with the access token', async () => {
    const { browser, query, username } = await signedIn();
    expect((await query(ME)).me.username).toBe(username);
    expect(browser.asked).toEqual(['POST /graphql 200']);
    expect(JSON.stringify(browser.answers)).not.toContain('"refreshToken":"');
  });

  test('refreshes by REST before the access token expires, once for all calls', async () => {
    const { browser, query } = await signedIn();
    pass(LIFE);
    const answers = await Promise.all([query(ME), query(SESSIONS)]);
    expect(answers.every(Boolean)).toBe(true);
    expect(browser.refreshes()).toBe(1);
  });

  test('refreshes on 401, and sends the call again', async () => {
    const { browser, query } = await signedIn();
    withdrawAccessTokens();
    expect((await query(SESSIONS)).mySessions).toHaveLength(1);
    expect(browser.asked).toEqual([
      'POST /graphql 401',
      'POST /api/token/refresh 200',
      'POST /graphql 200',
    ]);
  });

  test('refreshes on the code of a call without a sign-in, and learns of one elsewhere', async () => {
    const { browser, query, session } = page();
    await expect(query(SESSIONS)).rejects.toThrow('Sign in first');
    // A server action, or another front end, signs the user in.
    const { username } = await server.user();
    const signedInElsewhere = new Promise((resolve) => session.subscribe(resolve));
    await browser.fetch(`${baseUrl}/api/auth/local`, {
      method: 'POST',
      credentials: 'include',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ identifier: username, password: PASSWORD }),
    });
    await expect(query(SESSIONS)).rejects.toThrow('Sign in first');
    expect(await signedInElsewhere).toMatchObject({ type: 'signed-in' });
    expect((await query(ME)).me.username).toBe(username);
  });

  test('shows the next user nothing of the previous one', async () => {
    const { query, signIn, session, username } = await signedIn();
    expect((await query(ME)).me.username).toBe(username);
    await session.signOut();
    const next = await server.user();
    await signIn(next.username);
    expect((await query(ME)).me.username).toBe(next.username);
  });
});

test('The setting for GraphQL on another origin lets strapi::cors decide', async () => {
  const headers = { Origin: 'https://app.test', 'Content-Type': 'application/json' };
  const body = JSON.stringify({ query: '{ __typename }' });
  const response = await fetch(`${baseUrl}/graphql`, { method: 'POST', headers, body });
  expect(response.status).toBe(200);
  expect(response.headers.get('access-control-allow-origin')).toBe('https://app.test');
  expect(response.headers.get('access-control-allow-credentials')).toBe('true');
});

test('The recipe for a server that cannot set a cookie gets access tokens, and leaves the cookie as it is', async () => {
  const { accessTokenFor } = load('A server that cannot set a cookie');
  const browser = createBrowser();
  const { username } = await server.user();
  await load('fetch', browser).signIn(username, PASSWORD);
  const page = () => {
    const cookie = [...browser.cookies].map((pair) => pair.join('=')).join('; ');
    return new Request('https://www.shop.test/', { headers: { cookie } });
  };
  const sidOf = (token: string) => JSON.parse(atob(token.split('.')[1])).sid;

  for (let turn = 0; turn < 3; turn += 1) {
    pass(LIFE);
    const token = await accessTokenFor(page());
    const headers = { Authorization: `Bearer ${token}` };
    const me: any = await (await fetch(`${baseUrl}/api/users/me`, { headers })).json();
    expect([me.username, sidOf(token)]).toEqual([
      username,
      sidOf(browser.cookies.get('refreshToken')!),
    ]);
  }
  expect(await accessTokenFor(new Request('https://www.shop.test/'))).toBeNull();
  outages.set('/api/token/access', 503);
  await expect(accessTokenFor(page())).rejects.toThrow('503');
  outages.clear();
  await load('fetch', browser).refreshOnce();
  pass(60);
  expect(await accessTokenFor(page())).toBeTruthy();
});

describe('The recipe for a recent sign-in', () => {
  async function signedIn() {
    const { fetchRecent } = load('A recent sign-in');
    const { username } = await server.user();
    const browser = createBrowser();
    const session = client.createSession({ baseUrl, fetch: browser.fetch });
    await session.signIn({ identifier: username, password: PASSWORD });
    const init = {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ id: username }),
    };
    const asked = jest.fn();
    const send = (password: string | null): Promise<Response> =>
      fetchRecent(session, '/api/delete-account', init, async () => {
        asked();
        return password;
      });
    return { username, asked, send, session };
  }

  test('asks for nothing right after a sign-in', async () => {
    const { asked, send } = await signedIn();
    expect((await send(PASSWORD)).status).toBe(200);
    expect(asked).not.toHaveBeenCalled();
  });

  test('asks for the password, and repeats the request with its body', async () => {
    const { username, asked, send } = await signedIn();
    pass(601);
    const response = await send(PASSWORD);
    expect(await response.json()).toEqual({ deleted: username });
    expect((await send(PASSWORD)).status).toBe(200);
    expect(asked).toHaveBeenCalledTimes(1);
  });

  test('stays signed in after a wrong password, and if the user cancels', async () => {
    const { send, session } = await signedIn();
    pass(601);
    await expect(send('wrong')).rejects.toMatchObject({ status: 400 });
    expect((await send(null)).status).toBe(403);
    expect((await session.fetch('/api/users/me')).status).toBe(200);
  });
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
    // A curl that records its arguments, which everyone on the machine can read.
    const note = `printf '%s\\n' "$@" >> ${path.join(folder, 'arguments')}`;
    writeFileSync(path.join(folder, 'curl'), `#!/bin/sh\n${note}\nPATH=$REAL exec curl "$@"\n`, {
      mode: 0o755,
    });
    const env = { PATH: `${folder}:${process.env.PATH}`, REAL: process.env.PATH };
    const before = (await server.rows()).length;
    const [byCookie, byBody] = blocksOf('curl');
    for (const code of [byCookie, byBody]) {
      const options = { cwd: folder, env };
      const { stdout } = await promisify(execFile)('sh', ['-eu', '-c', code], options);
      expect(stdout).toMatch(/\{"ok":true\}$/);
      expect(stdout).toContain(code === byCookie ? '"jwt":' : '"username":"ada"');
      expect(await server.rows()).toHaveLength(before);
      const seen = readFileSync(path.join(folder, 'arguments'), 'utf8');
      expect(seen).toContain('/api/token/refresh');
      expect(seen).not.toMatch(/ada-password|eyJ/);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
