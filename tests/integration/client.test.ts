import { execFile } from 'child_process';
import { readFileSync } from 'fs';
import { createServer } from 'http';
import type { AddressInfo } from 'net';
import path from 'path';
import { promisify } from 'util';
import ts from 'typescript';
import { createSession } from '../../client/session';
import type { Session } from '../../client/session';
import {
  useDevices,
  heldAnswer,
  isRefresh,
  keychain,
  setGlobal,
  until,
  webLocks,
} from '../support/devices';
import { DAY, pass, PASSWORD } from '../support/server';

/** Lifetime of an access token, in seconds. */
const LIFE = 360;

/** What a proxy in front of Strapi returns instead, by path. */
const outages = new Map<string, { status: number; body?: unknown }>();

const devices = useDevices({ NODE_ENV: 'production' }, (strapi) =>
  strapi.server.app.use(async (ctx, next) => {
    const outage = outages.get(ctx.path);
    if (outage) Object.assign(ctx, { status: outage.status, body: outage.body ?? 'Out of order' });
    else await next();
  })
);
afterEach(() => outages.clear());

const device: typeof devices.device = (options) => devices.device(options);
const signedIn: typeof devices.signedIn = (options) => devices.signedIn(options);

/** The existing access tokens are rejected from now on, but their sessions continue. */
function withdrawAccessTokens(): void {
  const name = 'plugin::users-permissions.jwtSecret';
  devices.server.strapi.config.set(name, `${devices.server.strapi.config.get(name)}-next`);
}

describe('A page', () => {
  test('signs in and makes requests with the access token; no script can read the refresh token', async () => {
    const { username } = await devices.server.user();
    const browser = device();
    const tab = browser.tab();
    const user = await tab.signIn({ identifier: username, password: PASSWORD });

    expect(user.username).toBe(username);
    expect(await tab.me()).toBe(200);
    expect(tab.events).toEqual([{ type: 'signed-in', user }]);
    expect(browser.asked).toEqual(['POST /api/auth/local 200', 'GET /api/users/me 200']);
    expect(JSON.stringify(browser.answers)).not.toContain(browser.cookies.get('refreshToken'));
  });

  test('gets the reason if it could not sign in', async () => {
    const tab = device().tab();
    const wrong = tab.signIn({ identifier: 'nobody', password: 'wrong-password' });
    await expect(wrong).rejects.toMatchObject({
      status: 400,
      message: 'Invalid identifier or password',
    });
    expect(tab.events).toEqual([]);
  });

  test('registers with the same function', async () => {
    const browser = device();
    const tab = browser.tab();
    const fields = { username: 'newcomer', email: 'newcomer@test.local', password: PASSWORD };
    expect((await tab.signIn(fields, '/auth/local/register')).username).toBe('newcomer');
    expect(await tab.me()).toBe(200);
  });

  test('that is reloaded continues with its cookie, with one refresh for all concurrent calls', async () => {
    const { browser } = await signedIn();
    const again = browser.tab();
    const statuses = await Promise.all(Array.from({ length: 20 }, () => again.me()));

    expect(statuses).toEqual(Array(20).fill(200));
    expect(browser.refreshes()).toBe(1);
    expect(again.events).toEqual([
      { type: 'refreshed', expiresAt: Date.now() + LIFE * 1000, by: 'this tab' },
    ]);
  });

  test('also shares a refresh that fails', async () => {
    const { browser } = await signedIn();
    const again = browser.tab();
    outages.set('/api/token/refresh', { status: 503 });
    const calls = await Promise.allSettled(Array.from({ length: 5 }, () => again.me()));
    expect(calls.map(({ status }) => status)).toEqual(Array(5).fill('rejected'));
    expect(browser.asked).toEqual(['POST /api/token/refresh 503']);
  });

  test('of a visitor checks once whether there is a session, and never again', async () => {
    const browser = device();
    const tab = browser.tab();
    expect([await tab.me(), await tab.me()]).toEqual([403, 403]);
    expect(await tab.accessToken()).toBeNull();
    expect(browser.refreshes()).toBe(1);
    expect(tab.events).toEqual([]);
  });

  test('refreshes shortly before the access token expires', async () => {
    const { browser, tab } = await signedIn();
    pass(LIFE - 31);
    await tab.me();
    expect(browser.refreshes()).toBe(0);
    pass(2);
    await tab.me();
    expect(browser.asked).toEqual([
      'GET /api/users/me 200',
      'POST /api/token/refresh 200',
      'GET /api/users/me 200',
    ]);
  });

  test('does not refresh at every call if access tokens expire sooner than the leeway', async () => {
    const { browser, tab, id } = await signedIn();
    const sid = (await devices.server.rows()).at(-1)!.sid;
    const tokens = devices.server.strapi.plugin('users-permissions').service('jwt');
    await tab.adopt({ jwt: tokens.issue({ id, sid, gen: 0 }, { expiresIn: 10 }) });
    pass(4);
    expect(await tab.me()).toBe(200);
    expect(browser.refreshes()).toBe(0);
    pass(2);
    expect(await tab.me()).toBe(200);
    expect(browser.refreshes()).toBe(1);
  });

  test.each([
    ['ahead', DAY],
    ['behind', -DAY],
  ])('on a device whose clock is a day %s refreshes at the right time', async (_way, offset) => {
    const { browser, username } = await signedIn();
    // The files as a page loads them, with the clock of that device.
    const clock = { now: () => Date.now() + offset * 1000 };
    const load = (name: string): { createSession: typeof createSession } => {
      const source = readFileSync(path.resolve(__dirname, '../../client', `${name}.ts`), 'utf8');
      const module = {} as ReturnType<typeof load>;
      const { outputText } = ts.transpileModule(source, {
        compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2020 },
      });
      new Function('exports', 'require', 'Date', outputText)(module, load, clock);
      return module;
    };

    const asked: string[] = [];
    const session = load('./session').createSession({
      baseUrl: devices.baseUrl,
      transport: 'body',
      fetch: async (input, init) => {
        asked.push(new URL(String(input)).pathname);
        return fetch(input, init);
      },
    });
    await session.signIn({ identifier: username, password: PASSWORD });
    pass(LIFE - 31);
    expect((await session.fetch('/api/users/me')).status).toBe(200);
    pass(2);
    expect((await session.fetch('/api/users/me')).status).toBe(200);
    expect(asked).toEqual([
      '/api/auth/local',
      '/api/users/me',
      '/api/token/refresh',
      '/api/users/me',
    ]);
    expect(browser.refreshes()).toBe(0);
  });

  test('whose access token is rejected refreshes once for all concurrent calls, and resends them', async () => {
    const { browser, tab } = await signedIn();
    withdrawAccessTokens();
    const statuses = await Promise.all(Array.from({ length: 5 }, () => tab.me()));

    expect(statuses).toEqual(Array(5).fill(200));
    expect(browser.refreshes()).toBe(1);
    expect(browser.asked.filter((line) => line === 'GET /api/users/me 401')).toHaveLength(5);
    expect(browser.asked).toHaveLength(11);
  });

  test('gets a 401 that a new access token does not fix after one refresh', async () => {
    const { browser, tab } = await signedIn();
    outages.set('/api/users/me', { status: 401 });
    expect(await tab.me()).toBe(401);
    expect(browser.asked).toEqual([
      'GET /api/users/me 401',
      'POST /api/token/refresh 200',
      'GET /api/users/me 401',
    ]);
    outages.clear();
    expect(await tab.me()).toBe(200);
    expect(tab.events.map(({ type }) => type)).toEqual(['refreshed']);
  });

  test('gets the network’s errors, which cause no refresh and do not end the session', async () => {
    const { browser, tab } = await signedIn();
    browser.onNetwork(async () => {
      throw new TypeError('fetch failed');
    });
    await expect(tab.me()).rejects.toThrow('fetch failed');
    await expect(tab.refresh()).rejects.toThrow('fetch failed');
    expect(browser.asked).toEqual([]);

    browser.onNetwork((request, send) => send(request));
    expect(await tab.me()).toBe(200);
    expect(browser.refreshes()).toBe(0);
    expect(tab.events).toEqual([]);
  });

  test.each<[string, { status: number; body?: unknown }]>([
    ['the database is down', { status: 500, body: { data: null, error: { status: 500 } } }],
    ['Strapi is restarted', { status: 503 }],
    [
      'there are too many requests',
      { status: 429, body: { error: { message: 'Too many requests' } } },
    ],
    [
      'the origin is refused',
      { status: 403, body: { error: { details: { code: 'origin_refused' } } } },
    ],
    ['a proxy requires a password', { status: 401 }],
    ['a proxy responds with its own page', { status: 200 }],
  ])('stays signed in when a refresh fails because %s', async (_why, outage) => {
    const { browser, tab } = await signedIn();
    outages.set('/api/token/refresh', outage);
    await expect(tab.refresh()).rejects.toMatchObject({ status: outage.status });

    // The token is still valid for a moment, which is enough.
    pass(LIFE - 10);
    expect(await tab.me()).toBe(200);
    // The 401 is returned: why the refresh failed does not concern the request.
    withdrawAccessTokens();
    expect(await tab.me()).toBe(401);
    pass(11);
    await expect(tab.me()).rejects.toMatchObject({ status: outage.status });
    expect(tab.events).toEqual([]);

    outages.clear();
    expect(await tab.me()).toBe(200);
    // The rejected call tried twice: before the token expired, and after its 401.
    expect(browser.refreshes()).toBe(6);
    expect(tab.events.map(({ type }) => type)).toEqual(['refreshed']);
  });

  test.each<[string, string, (own: Awaited<ReturnType<typeof signedIn>>) => unknown]>([
    [
      'its cookie was stolen and used',
      'refresh_token_reused',
      async ({ browser, tab }) => {
        const thief = device();
        browser.cookies.forEach((value, name) => thief.cookies.set(name, value));
        await thief.tab().me();
        pass(60);
        await tab.refresh();
      },
    ],
    [
      'its user was blocked',
      'session_ended',
      ({ id }) =>
        devices.server.strapi.db
          .query('plugin::users-permissions.user')
          .update({ where: { id }, data: { blocked: true } }),
    ],
    [
      'it was signed out on another device',
      'session_ended',
      ({ id }) =>
        devices.server.strapi
          .service('plugin::users-permissions.refresh-session')
          .signOut({ userId: id }),
    ],
    ['no one used it for days', 'refresh_token_expired', () => pass(3 * DAY)],
    [
      'its cookies were signed with other keys',
      'refresh_token_invalid',
      ({ browser }) => {
        browser.cookies.set('refreshToken.sig', 'AAAA');
        withdrawAccessTokens();
      },
    ],
    [
      'its cookies were deleted',
      'refresh_token_missing',
      ({ browser }) => {
        browser.cookies.clear();
        withdrawAccessTokens();
      },
    ],
  ])('learns once that the session is over if %s: %s', async (_case, code, bringAbout) => {
    const own = await signedIn();
    const { browser, tab } = own;
    await bringAbout(own);
    expect([401, 403]).toContain(await tab.me());

    expect(tab.events).toEqual([{ type: 'ended', code, message: expect.any(String) }]);
    expect(await tab.accessToken()).toBeNull();
    const refreshes = browser.refreshes();
    await tab.me();
    expect(browser.refreshes()).toBe(refreshes);
  });

  test('that signs out is signed out immediately, here and at the server', async () => {
    const { browser, tab } = await signedIn();
    const jwt = await tab.accessToken();
    const signingOut = tab.signOut();
    expect(tab.events).toEqual([{ type: 'ended', code: 'signed_out' }]);
    await signingOut;

    expect(browser.cookies.size).toBe(0);
    const withOld = { headers: { Authorization: `Bearer ${jwt}` } };
    expect((await tab.fetch('/api/users/me', withOld)).status).toBe(401);
    expect(browser.asked).toEqual(['POST /api/token/revoke 200', 'GET /api/users/me 401']);
  });

  test('that signs out without its cookie ends the session with the access token', async () => {
    const { browser, tab } = await signedIn();
    const before = (await devices.server.rows()).length;
    browser.cookies.clear();
    await tab.signOut();
    expect(await devices.server.rows()).toHaveLength(before - 1);
  });

  test('that signs out without a network gets an error, and can try again', async () => {
    const { browser, tab } = await signedIn();
    browser.onNetwork(async () => {
      throw new TypeError('fetch failed');
    });
    await expect(tab.signOut()).rejects.toThrow('fetch failed');
    expect(await tab.accessToken()).toBeNull();

    browser.onNetwork((request, send) => send(request));
    outages.set('/api/token/revoke', { status: 503 });
    await expect(tab.signOut()).rejects.toMatchObject({ status: 503 });
    outages.clear();
    await tab.signOut();
    expect(browser.cookies.size).toBe(0);
    expect(tab.events).toHaveLength(1);
  });

  test('that signs out during a refresh stays signed out', async () => {
    const { browser, tab } = await signedIn();
    const { network, arrived, release } = heldAnswer();
    browser.onNetwork(network);
    const late = tab.refresh();
    await arrived;
    const signingOut = tab.signOut();
    release();

    expect(await late).toBeNull();
    await signingOut;
    expect(await tab.accessToken()).toBeNull();
    expect(tab.events.map(({ type }) => type)).toEqual(['ended']);
    expect(browser.cookies.size).toBe(0);
  });

  test('that signs out during a sign-in ends up signed out', async () => {
    const { username } = await devices.server.user();
    const browser = device();
    const tab = browser.tab();
    const signingIn = tab.signIn({ identifier: username, password: PASSWORD });
    await Promise.all([signingIn, tab.signOut()]);
    expect(await tab.accessToken()).toBeNull();
    expect(browser.cookies.size).toBe(0);
    expect(await browser.tab().accessToken()).toBeNull();
  });

  test('changes the password, and continues with the response', async () => {
    const { browser, tab } = await signedIn();
    const password = 'another horse 2';
    const response = await tab.fetch('/api/auth/change-password', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        currentPassword: PASSWORD,
        password,
        passwordConfirmation: password,
      }),
    });
    await tab.adopt((await response.json()) as { jwt: string });
    expect(await tab.me()).toBe(200);
    await tab.refresh();
    expect(await tab.me()).toBe(200);
    expect(browser.refreshes()).toBe(1);
    expect(tab.events.map(({ type }) => type)).toEqual(['signed-in', 'refreshed']);
  });

  test('resends a Request with its body', async () => {
    const { browser, tab } = await signedIn();
    withdrawAccessTokens();
    const password = 'another horse 2';
    const request = new Request(`${devices.baseUrl}/api/auth/change-password`, {
      method: 'POST',
      credentials: 'include',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        currentPassword: PASSWORD,
        password,
        passwordConfirmation: password,
      }),
    });
    expect((await tab.fetch(request)).status).toBe(200);
    expect(browser.asked).toEqual([
      'POST /api/auth/change-password 401',
      'POST /api/token/refresh 200',
      'POST /api/auth/change-password 200',
    ]);
  });

  test.each<[string, () => any]>([
    ['of the web', () => new Blob(['{}']).stream()],
    [
      'of Node',
      () =>
        (async function* chunks() {
          yield new TextEncoder().encode('{}');
        })(),
    ],
  ])('sends a stream %s once, and refreshes for the next call', async (_kind, body) => {
    const { browser, tab } = await signedIn();
    withdrawAccessTokens();
    const upload = async () =>
      (
        await tab.fetch('/api/auth/change-password', {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: body(),
          duplex: 'half',
        } as RequestInit)
      ).status;
    expect([await upload(), await upload()]).toEqual([401, 400]);
    expect(browser.refreshes()).toBe(1);
  });

  test('keeps working if its own listener fails, immediately or later', async () => {
    const { tab } = await signedIn();
    const reported: unknown[] = [];
    const spy = jest.spyOn(console, 'error').mockImplementation((error) => reported.push(error));
    const failures = [
      () => {
        throw new Error('at once');
      },
      async () => {
        await Promise.resolve();
        throw new Error('later');
      },
    ].map((listener) => tab.subscribe(listener));
    await tab.refresh();
    failures.forEach((stop) => stop());
    await tab.refresh();
    await until(() => reported.length === 2);
    spy.mockRestore();
    expect(reported).toEqual([new Error('at once'), new Error('later')]);
    expect(await tab.me()).toBe(200);
    expect(tab.events).toHaveLength(2);
  });
});

describe('The access token', () => {
  test.each<[string, (foreign: string) => Parameters<Session['fetch']>[0]]>([
    ['an address', (foreign) => foreign],
    ['a URL', (foreign) => new URL(foreign)],
    ['a Request', (foreign) => new Request(foreign)],
  ])('is not sent to another origin, given as %s', async (_kind, inputOf) => {
    const seen: unknown[] = [];
    const other = createServer((request, response) => {
      seen.push(request.headers.authorization ?? null);
      response.end();
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { tab, browser } = await signedIn();
    await tab.fetch(inputOf(`http://127.0.0.1:${(other.address() as AddressInfo).port}/`));
    expect(seen).toEqual([null]);
    expect(browser.refreshes()).toBe(0);
    other.close();
  });

  test('is not sent to a host whose name only starts with that of baseUrl', async () => {
    const seen: [string, string | null][] = [];
    const session = createSession({
      baseUrl: 'https://api.test',
      fetch: async (input, init) => {
        seen.push([String(input), new Headers(init?.headers).get('Authorization')]);
        return new Response();
      },
    });
    await session.adopt({ jwt: 'a.b.c' });
    const foreign = [
      'https://api.test.evil.test/',
      'https://api.test@evil.test/',
      'https://api.testing/',
      'https://api.test:8443/',
      'http://api.test/',
      '//evil.test/',
      '/\\evil.test/',
    ];
    const own = ['https://api.test/x', '/x', new URL('https://api.test/x?y')];
    for (const address of [...foreign, ...own]) await session.fetch(address);
    expect(seen).toEqual([
      ...foreign.map((address) => [address, null]),
      ['https://api.test/x', 'Bearer a.b.c'],
      ['https://api.test/x', 'Bearer a.b.c'],
      ['https://api.test/x?y', 'Bearer a.b.c'],
    ]);
  });

  test('does not replace the request’s own Authorization header', async () => {
    const { tab, browser } = await signedIn();
    const headers = { authorization: 'Bearer an-api-token' };
    expect((await tab.fetch('/api/users/me', { headers })).status).toBe(401);
    expect(
      (await tab.fetch(new Request(`${devices.baseUrl}/api/users/me`, { headers }))).status
    ).toBe(401);
    expect(browser.refreshes()).toBe(0);
  });

  test('is sent in addition to the request’s own headers', async () => {
    const { tab, browser } = await signedIn();
    let headers = new Headers();
    browser.onNetwork(async (request, send) => {
      headers = request.headers;
      return send(request);
    });
    await tab.fetch('/api/users/me', { headers: [['X-Own', 'kept']] });
    expect([headers.get('X-Own'), headers.has('Authorization')]).toEqual(['kept', true]);
    await tab.fetch(
      new Request(`${devices.baseUrl}/api/users/me`, { headers: { 'X-Own': 'too' } })
    );
    expect([headers.get('X-Own'), headers.has('Authorization')]).toEqual(['too', true]);
  });
});

describe.each([
  ['with Web Locks', webLocks],
  ['without Web Locks', () => undefined],
])('Two tabs, %s,', (_with, locks) => {
  let restore = () => {};
  beforeAll(() => {
    restore = setGlobal('navigator', { locks: locks() });
  });
  afterAll(() => restore());

  async function twoTabs() {
    const { browser, tab, ...user } = await signedIn({ shared: true });
    const other = browser.tab();
    await other.refresh();
    await until(() => tab.events.length === 1);
    browser.asked.length = 0;
    tab.events.length = 0;
    other.events.length = 0;
    return { browser, tab, other, ...user };
  }

  test('share the refresh of one tab', async () => {
    const { browser, tab, other } = await twoTabs();
    pass(LIFE - 10);
    await tab.me();
    await until(() => other.events.length === 1);
    expect(await other.me()).toBe(200);

    const refreshed = { type: 'refreshed', expiresAt: Date.now() + LIFE * 1000 };
    expect(tab.events).toEqual([{ ...refreshed, by: 'this tab' }]);
    expect(other.events).toEqual([{ ...refreshed, by: 'another tab' }]);
    expect(browser.refreshes()).toBe(1);
    expect(await other.accessToken()).toBe(await tab.accessToken());
  });

  test('that refresh at the same moment both continue in one session', async () => {
    const { browser, tab, other } = await twoTabs();
    pass(LIFE);
    expect(await Promise.all([tab.me(), other.me()])).toEqual([200, 200]);
    // Without locks, both refresh, and within the grace period the server gives them the same next token.
    expect(browser.refreshes()).toBe(locks() ? 1 : 2);
    pass(LIFE);
    expect([await tab.me(), await other.me()]).toEqual([200, 200]);
    expect([...tab.events, ...other.events].map(({ type }) => type)).not.toContain('ended');
  });

  test('are signed out together immediately', async () => {
    const { browser, tab, other } = await twoTabs();
    const signingOut = tab.signOut();
    await until(() => other.events.length > 0);
    await signingOut;
    expect(other.events).toEqual([{ type: 'ended', code: 'signed_out', message: undefined }]);
    expect(await other.me()).toBe(403);
    expect(browser.asked).toEqual(['POST /api/token/revoke 200', 'GET /api/users/me 403']);
  });

  test('are signed in together', async () => {
    const { tab, other, username } = await twoTabs();
    await tab.signOut();
    await until(() => other.events.length === 1);
    const user = await tab.signIn({ identifier: username, password: PASSWORD });
    await until(() => other.events.length === 2);
    expect(other.events[1]).toEqual({ type: 'signed-in', user });
    expect(await other.accessToken()).toBe(await tab.accessToken());
  });

  test('are both notified of a theft', async () => {
    const { browser, tab, other } = await twoTabs();
    const thief = device();
    browser.cookies.forEach((value, name) => thief.cookies.set(name, value));
    await thief.tab().me();
    pass(60);
    expect(await tab.refresh()).toBeNull();
    await until(() => other.events.length > 0);
    const ended = { type: 'ended', code: 'refresh_token_reused', message: expect.any(String) };
    expect([tab.events, other.events]).toEqual([[ended], [ended]]);
  });

  test('stay signed out if one was refreshing meanwhile', async () => {
    const { browser, tab, other } = await twoTabs();
    const { network, arrived, release } = heldAnswer();
    browser.onNetwork(network);
    const late = tab.refresh();
    await arrived;
    const signingOut = other.signOut();
    await until(() => tab.events.length === 1);
    release();
    expect(await late).toBeNull();
    await signingOut;
    expect([await tab.accessToken(), await other.accessToken()]).toEqual([null, null]);
    expect(tab.events.map(({ type }) => type)).toEqual(['ended']);
  });

  test('continue when one is closed', async () => {
    const { tab, other } = await twoTabs();
    other.close();
    await tab.refresh();
    await tab.signOut();
    expect(other.events).toEqual([]);
  });

  test('in a browser without BroadcastChannel find out by themselves', async () => {
    const restore = setGlobal('BroadcastChannel', undefined);
    try {
      const { browser, tab } = await signedIn({ shared: true });
      const other = browser.tab();
      expect(await other.me()).toBe(200);
      pass(LIFE);
      expect(await Promise.all([tab.me(), other.me()])).toEqual([200, 200]);
      await tab.signOut();
      expect(await other.me()).toBe(401);
      expect(other.events.at(-1)).toMatchObject({ type: 'ended', code: 'refresh_token_missing' });
    } finally {
      restore();
    }
  });
});

describe('Messages from other tabs', () => {
  /** The channel of the tabs, as another tab holds it. */
  const channel = () => new BroadcastChannel(`refresh-token cookie ${devices.baseUrl}/api`);

  test('that arrive after the lock is released are waited for', async () => {
    const locks = webLocks();
    const restore = setGlobal('navigator', { locks });
    const { browser, tab } = await signedIn({ shared: true });
    const jwt = (await tab.accessToken())!;
    const other = channel();
    // The other tab: its lock is released before its message has arrived.
    const refreshed = locks.request(
      '',
      {},
      () => new Promise((resolve) => setTimeout(resolve, 50))
    );
    const waiting = tab.refresh();
    await refreshed;
    setTimeout(() => other.postMessage({ type: 'refreshed', jwt, since: Date.now() }), 100);
    expect(await waiting).toBe(jwt);
    expect(browser.refreshes()).toBe(0);

    // It was closed meanwhile, so there is no message.
    const closed = locks.request('', {}, () => new Promise((resolve) => setTimeout(resolve, 50)));
    const alone = tab.refresh();
    await closed;
    expect(await alone).not.toBeNull();
    expect(browser.refreshes()).toBe(1);
    other.close();
    restore();
  });

  test('that are older or from another session change nothing', async () => {
    const { tab } = await signedIn({ shared: true });
    const foreign = await (await signedIn()).tab.accessToken();
    const old = await tab.accessToken();
    const since = Date.now();
    pass(10);
    const jwt = await tab.refresh();
    const other = channel();
    other.postMessage({ type: 'refreshed', jwt: old, since });
    other.postMessage({ type: 'refreshed', jwt: foreign, since: Date.now() });
    // The last message arrives after the others.
    other.postMessage({ type: 'refreshed', jwt, since: Date.now() + 1 });
    await until(() => tab.events.length === 2);
    expect(tab.events.map((event) => 'by' in event && event.by)).toEqual([
      'this tab',
      'another tab',
    ]);
    expect(await tab.accessToken()).toBe(jwt);
    other.close();
  });

  test('do not sign a user in again who has signed out', async () => {
    const { tab } = await signedIn({ shared: true });
    const jwt = await tab.accessToken();
    await tab.signOut();
    const other = channel();
    other.postMessage({ type: 'refreshed', jwt, since: Date.now() });
    other.postMessage({ type: 'ended', code: 'signed_out' });
    other.postMessage({ type: 'signed-in', jwt, since: Date.now() });
    await until(() => tab.events.length === 2);
    expect(tab.events.map(({ type }) => type)).toEqual(['ended', 'signed-in']);
    other.close();
  });
});

describe('An app', () => {
  test('stores the refresh token before it uses the access token', async () => {
    const store = keychain();
    const { browser, tab } = await signedIn({ transport: 'body', store });
    browser.cookies.set('refreshToken', 'of another session');
    browser.onNetwork(async (request, send) => {
      if (isRefresh(request)) expect(request.headers.get('Cookie')).toBeNull();
      const response = await send(request);
      store.steps.push(new URL(request.url).pathname);
      return response;
    });
    pass(LIFE);
    await Promise.all([tab.me(), tab.me()]);
    expect(store.steps).toEqual([
      'stored',
      '/api/token/refresh',
      'stored',
      '/api/users/me',
      '/api/users/me',
    ]);
    expect(browser.cookies.size).toBe(1);
  });

  test('continues its session after a restart, but not after it has signed out', async () => {
    const store = keychain();
    const { browser } = await signedIn({ transport: 'body', store });
    pass(DAY);
    const again = browser.tab();
    expect(await again.me()).toBe(200);
    await again.signOut();
    expect(store.read()).toBeNull();
    browser.asked.length = 0;

    const later = browser.tab();
    expect(await later.accessToken()).toBeNull();
    await later.signOut();
    expect(browser.asked).toEqual([]);
    expect(later.events).toEqual([]);
  });

  test('whose store fails loses nothing', async () => {
    const store = keychain();
    const { tab } = await signedIn({ transport: 'body', store });
    const { set } = store;
    store.set = async () => {
      throw new Error('The phone is locked.');
    };
    pass(LIFE);
    await expect(tab.me()).rejects.toThrow('The phone is locked.');
    store.set = set;
    pass(60);
    expect(await tab.me()).toBe(200);
    pass(LIFE);
    expect(await tab.me()).toBe(200);
  });

  test('that signs in again during a refresh keeps the new session', async () => {
    const store = keychain();
    const { browser, tab } = await signedIn({ transport: 'body', store });
    const { username } = await devices.server.user();
    const { network, arrived, release } = heldAnswer();
    browser.onNetwork(network);
    const late = tab.refresh();
    await arrived;
    const leaving = tab.signOut();
    const entering = tab.signIn({ identifier: username, password: PASSWORD });
    release();
    await Promise.all([late, leaving, entering]);

    const me = async () => ((await (await tab.fetch('/api/users/me')).json()) as any).username;
    expect(await me()).toBe(username);
    pass(LIFE);
    expect(await me()).toBe(username);
  });

  test('that signs out while the refresh token is being stored is signed out', async () => {
    const store = keychain();
    const { tab } = await signedIn({ transport: 'body', store });
    const { set } = store;
    let leaving: Promise<void> | undefined;
    store.set = async (token) => {
      leaving = tab.signOut();
      await set(token);
    };
    expect(await tab.refresh()).toBeNull();
    await leaving;
    expect(await tab.accessToken()).toBeNull();
    expect(store.read()).toBeNull();
    expect(tab.events.map(({ type }) => type)).toEqual(['ended']);
  });

  test('is notified when its session was ended, and its store is cleared', async () => {
    const store = keychain();
    const { tab, id } = await signedIn({ transport: 'body', store });
    await devices.server.strapi
      .service('plugin::users-permissions.refresh-session')
      .signOut({ userId: id });
    expect(await tab.me()).toBe(401);
    expect(tab.events).toEqual([
      { type: 'ended', code: 'session_ended', message: expect.any(String) },
    ]);
    expect(store.read()).toBeNull();
  });

  test('does not touch a token that another of its processes has stored meanwhile', async () => {
    const store = keychain();
    const { browser, tab, id } = await signedIn({ transport: 'body', store });
    const { network, arrived, release } = heldAnswer();
    await devices.server.strapi
      .service('plugin::users-permissions.refresh-session')
      .signOut({ userId: id });
    browser.onNetwork(network);
    const late = tab.refresh();
    await arrived;
    const { username } = await devices.server.user();
    const process = device({ transport: 'body', store }).tab();
    await process.signIn({ identifier: username, password: PASSWORD });
    release();
    expect(await late).toBeNull();
    pass(LIFE);
    expect(await process.me()).toBe(200);
  });

  test('does not adopt a response without a refresh token, and says how to get one', async () => {
    const tab = device({ transport: 'body' }).tab();
    await expect(tab.adopt({ jwt: 'a.b.c' })).rejects.toThrow(/requestRefresh: true/);
    expect(await tab.accessToken()).toBeNull();
  });

  test('times out a refresh that never gets a response, and the next one succeeds', async () => {
    const { browser, tab } = await signedIn({ transport: 'body' });
    const schedule = globalThis.setTimeout;
    // Half a minute passes immediately.
    jest
      .spyOn(globalThis, 'setTimeout')
      .mockImplementation(((task: () => void, delay = 0) =>
        schedule(task, delay >= 10_000 ? 50 : delay)) as never);
    browser.onNetwork(
      (request) =>
        new Promise((_resolve, reject) => {
          request.signal.addEventListener('abort', () => reject(request.signal.reason));
        })
    );
    await expect(tab.refresh()).rejects.toThrow(/timed out/i);
    jest.restoreAllMocks();
    browser.onNetwork((request, send) => send(request));
    expect(await tab.refresh()).not.toBeNull();
    expect(tab.events.map(({ type }) => type)).toEqual(['refreshed']);
  });
});

describe('On a server', () => {
  test.each(['cookie', 'body'] as const)(
    'the sessions of two users in one process are separate, with %s',
    async (transport) => {
      const one = await signedIn({ transport });
      const two = await signedIn({ transport });
      await two.tab.refresh();
      await one.tab.signOut();
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(two.tab.events.map(({ type }) => type)).toEqual(['refreshed']);
      expect(await two.tab.me()).toBe(200);
    }
  );

  test('a script exits when it is done, even if its session listens to others', async () => {
    const session = path.resolve(__dirname, '../../dist/client/session.js');
    const script = `require(${JSON.stringify(session)}).createSession({ baseUrl: '${devices.baseUrl}', shared: true })`;
    // If it keeps running, it is killed and the test fails.
    await promisify(execFile)(process.execPath, ['-e', script], { timeout: 20_000 });
  });

  test('a page can be prerendered without a baseUrl; only a request needs one', async () => {
    const session = createSession();
    session.subscribe(() => {});
    await expect(session.accessToken()).rejects.toThrow(/baseUrl/);
    await expect(session.fetch('/api/users/me')).rejects.toThrow(/baseUrl/);
    await expect(session.signIn({})).rejects.toThrow(/baseUrl/);
    session.close();
  });

  test('a listener that fails does not end the process', async () => {
    const session = path.resolve(__dirname, '../../dist/client/session.js');
    const script = `
      const session = require(${JSON.stringify(session)}).createSession({ baseUrl: '${devices.baseUrl}' });
      session.subscribe(() => { throw new Error('at once'); });
      session.subscribe(async () => { throw new Error('later'); });
      session.adopt({ jwt: 'a.b.c' }).then(() => setTimeout(() => console.log('still here'), 100));`;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['-e', script]);
    expect(stdout).toBe('still here\n');
    expect(stderr).toMatch(/at once[^]*later/);
  });

  test('a path in baseUrl and a custom prefix are respected', async () => {
    const asked: string[] = [];
    const session = createSession({
      baseUrl: 'https://example.test/cms/',
      prefix: '/rest',
      fetch: async (input) => {
        asked.push(String(input));
        return new Response('{}', { status: 503 });
      },
    });
    await expect(session.refresh()).rejects.toMatchObject({ status: 503 });
    await expect(session.fetch('/rest/x')).rejects.toMatchObject({ status: 503 });
    await session.fetch('https://example.test/rest/x');
    expect(asked).toEqual([
      'https://example.test/cms/rest/token/refresh',
      'https://example.test/cms/rest/token/refresh',
      'https://example.test/rest/x',
    ]);
  });
});
