import { createServer } from 'http';
import type { AddressInfo } from 'net';
import { createSession } from '../../client/session';
import { createSessionState } from '../../client/session-state';
import { heldAnswer, keychain, setGlobal, until, useDevices } from '../support/devices';
import { DAY, pass, PASSWORD } from '../support/server';

/** What a proxy in front of Strapi returns instead, by path. */
const outages = new Map<string, number>();
const EMAIL = 'house@provider.test';

let accessUrl: string;
const provider = createServer((_, response) => {
  response.setHeader('Content-Type', 'application/json');
  response.end('{ "access_token": "a-token" }');
});
beforeAll(async () => {
  await new Promise<void>((resolve) => {
    provider.listen(0, '127.0.0.1', resolve);
  });
  accessUrl = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/token`;
});
afterAll(() => provider.close());

const devices = useDevices({}, (strapi) => {
  strapi
    .plugin('users-permissions')
    .service('providers-registry')
    .add('house', {
      enabled: true,
      icon: 'house',
      grantConfig: {
        key: 'client',
        secret: 'secret',
        oauth: 2,
        authorize_url: 'http://provider.test/authorize',
        access_url: accessUrl,
        callback: 'http://front-end.test/back',
      },
      authCallback: () => ({ email: EMAIL, username: 'house' }),
    });
  strapi.server.app.use(async (ctx, next) => {
    const status = outages.get(ctx.path);
    if (status) Object.assign(ctx, { status, body: 'Out of order' });
    else await next();
  });
});
afterEach(() => outages.clear());

const ME = 'GET /api/users/me 200';

describe('restore()', () => {
  test('returns the user whose cookie the reloaded page has, with one refresh', async () => {
    const { browser, username } = await devices.signedIn();
    const tab = browser.tab();
    expect(await tab.restore()).toMatchObject({ username });
    expect(browser.asked).toEqual(['POST /api/token/refresh 200', ME]);
    expect(tab.events).toMatchObject([{ type: 'refreshed' }]);
  });

  test('returns null for a visitor, and does not request the user', async () => {
    const browser = devices.device();
    expect(await browser.tab().restore()).toBeNull();
    expect(browser.asked).toEqual(['POST /api/token/refresh 400']);
  });

  test('returns null after the session has ended elsewhere', async () => {
    const { browser, id } = await devices.signedIn();
    const user = { id, blocked: true };
    await devices.server.strapi.service('plugin::users-permissions.user')!.edit(user.id, user);
    const tab = browser.tab();
    expect(await tab.restore()).toBeNull();
    expect(tab.events).toMatchObject([]);
  });

  test.each([
    ['/api/token/refresh', 503],
    ['/api/token/refresh', 429],
    ['/api/users/me', 503],
    ['/api/users/me', 401],
    ['/api/users/me', 403],
  ])('says neither if %s returns %i', async (route, status) => {
    const { browser, username } = await devices.signedIn();
    outages.set(route, status);
    const tab = browser.tab();
    await expect(tab.restore()).rejects.toMatchObject({ status });
    expect(tab.events.filter(({ type }) => type !== 'refreshed')).toEqual([]);

    outages.clear();
    expect(await tab.restore()).toMatchObject({ username });
  });

  test('throws the network’s error, and says neither', async () => {
    const { browser } = await devices.signedIn();
    browser.onNetwork(async () => {
      throw new TypeError('fetch failed');
    });
    const tab = browser.tab();
    await expect(tab.restore()).rejects.toThrow('fetch failed');
    expect(tab.events).toEqual([]);
  });

  test('returns the user of an app that was restarted', async () => {
    const options = { transport: 'body' as const, store: keychain() };
    const { browser, username } = await devices.signedIn(options);
    expect(await browser.tab().restore()).toMatchObject({ username });
    expect(await devices.device({ transport: 'body' }).tab().restore()).toBeNull();
  });

  test('returns the user who signs in meanwhile', async () => {
    const { browser } = await devices.signedIn();
    const tab = browser.tab();
    const { network, arrived, release } = heldAnswer(({ url }) => url.endsWith('/users/me'));
    browser.onNetwork(network);
    const restoring = tab.restore();
    await arrived;
    const other = await devices.server.user();
    await tab.signIn({ identifier: other.username, password: PASSWORD });
    release();
    expect(await restoring).toMatchObject({ username: other.username });
  });
});

describe('signInBy()', () => {
  /** Goes to the provider and back to the front end. */
  async function visit(device: ReturnType<typeof devices.device>, query = '') {
    const follow = async (path: string) => {
      const init = { credentials: 'include', redirect: 'manual' } as const;
      const response = await device.fetch(devices.baseUrl + path, init);
      return new URL(response.headers.get('location')!);
    };
    const to = await follow(`/api/connect/house${query}`);
    const state = to.searchParams.get('state');
    const back = await follow(`/api/connect/house/callback?code=c&state=${state}`);
    expect(back.origin).toBe('http://front-end.test');
    device.asked.length = 0;
    return back.search;
  }
  const CALLBACK = 'GET /api/auth/house/callback';

  test('signs in, once for all calls of a visit', async () => {
    const device = devices.device();
    const tab = device.tab();
    const query = await visit(device);
    const users = await Promise.all([tab.signInBy('house', query), tab.signInBy('house', query)]);
    expect(users[0]).toMatchObject({ email: EMAIL });
    expect(users[1]).toBe(users[0]);
    expect(await tab.signInBy('house', query)).toBe(users[0]);
    expect(device.asked).toEqual([`${CALLBACK} 200`]);
    expect(tab.events).toEqual([{ type: 'signed-in', user: users[0] }]);
    expect(await tab.me()).toBe(200);
  });

  test('waits for a refresh that is in progress, and sends no access token', async () => {
    const { browser } = await devices.signedIn();
    const query = await visit(browser);
    const tab = browser.tab();
    await tab.refresh();
    browser.asked.length = 0;
    const headers: (string | null)[] = [];
    const { network, arrived, release } = heldAnswer();
    browser.onNetwork((request, send) => {
      if (request.url.includes('/callback')) headers.push(request.headers.get('authorization'));
      return network(request, send);
    });
    const refreshing = tab.refresh();
    await arrived;
    const signingIn = tab.signInBy('house', query);
    release();
    await refreshing;
    expect(await signingIn).toMatchObject({ email: EMAIL });
    expect(browser.asked).toEqual(['POST /api/token/refresh 200', `${CALLBACK} 200`]);
    expect(headers).toEqual([null]);
  });

  test('gives an app the refresh token', async () => {
    const store = keychain();
    const device = devices.device();
    const tab = device.tab({ transport: 'body', store });
    const query = await visit(device);
    // The web view of the app has the cookies, which this session does not send.
    device.onNetwork((request, send) => {
      const cookie = [...device.cookies].map((pair) => pair.join('=')).join('; ');
      request.headers.set('Cookie', cookie);
      return send(request);
    });
    await tab.signInBy('house', query);
    expect(store.read()).toMatch(/^ey/);
    expect(JSON.stringify(tab.events)).not.toContain(store.read());
  });

  test('throws the refusal of a visit that was already used, and can be called again after the next', async () => {
    const device = devices.device();
    await device.tab().signInBy('house', await visit(device));
    const tab = device.tab();
    const again = tab.signInBy('house', '');
    await expect(again).rejects.toMatchObject({ status: 400 });
    expect(tab.events).toEqual([]);
    await visit(device);
    expect(await tab.signInBy('house', '')).toMatchObject({ email: EMAIL });
  });
});

describe('A quiet session', () => {
  const restores: (() => void)[] = [];
  let kept: Map<string, string>;
  const page = (storage: object) => {
    const target = Object.assign(new EventTarget(), { visibilityState: 'visible' });
    restores.push(setGlobal('document', target), setGlobal('localStorage', storage));
    return target;
  };
  beforeEach(() => (kept = new Map()));
  afterEach(() => restores.splice(0).forEach((restore) => restore()));

  const storage = () => ({
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  });
  const visitor = () => devices.device({ quiet: true, shared: false });

  test('requests nothing for a visitor until they need something', async () => {
    const target = page(storage());
    const browser = visitor();
    const tab = browser.tab();
    expect(await tab.restore()).toBeNull();
    expect(await tab.accessToken()).toBeNull();
    target.dispatchEvent(new Event('visibilitychange'));
    expect(browser.asked).toEqual([]);
    expect(await tab.me()).toBe(403);
    expect(browser.asked).toEqual(['GET /api/users/me 403']);
  });

  test('is restored after a sign-in, and no longer after a sign-out', async () => {
    page(storage());
    const browser = visitor();
    const { username } = await devices.server.user();
    const tab = browser.tab();
    await tab.signIn({ identifier: username, password: PASSWORD });
    expect([...kept.values()].join('')).toBe('');
    expect(await browser.tab().restore()).toMatchObject({ username });

    outages.set('/api/token/revoke', 503);
    await expect(tab.signOut()).rejects.toMatchObject({ status: 503 });
    // The server still has the session, so the next page shows it.
    expect(kept.size).toBe(1);
    outages.clear();
    await tab.signOut();
    browser.asked.length = 0;
    expect(await browser.tab().restore()).toBeNull();
    expect(browser.asked).toEqual([]);
  });

  test('asks once after its session has ended elsewhere', async () => {
    page(storage());
    const browser = visitor();
    const { username } = await devices.server.user();
    await browser.tab().signIn({ identifier: username, password: PASSWORD });
    pass(3 * DAY);
    expect(await browser.tab().restore()).toBeNull();
    expect(await browser.tab().restore()).toBeNull();
    expect(browser.refreshes()).toBe(1);
  });

  test('asks when refresh() is called, as after a server action', async () => {
    page(storage());
    const { browser, username } = await devices.signedIn({ quiet: true, shared: false });
    kept.clear();
    const tab = browser.tab();
    expect(await tab.restore()).toBeNull();
    await tab.refresh();
    expect(await tab.restore()).toMatchObject({ username });
  });

  test('asks as usual where storage is blocked', async () => {
    page({});
    restores.push(setGlobal('localStorage', undefined));
    Object.defineProperty(globalThis, 'localStorage', {
      configurable: true,
      get() {
        throw Object.assign(new Error('Denied.'), { name: 'SecurityError' });
      },
    });
    const browser = visitor();
    expect(await browser.tab().restore()).toBeNull();
    expect(browser.refreshes()).toBe(1);
  });
});

describe('The state of a session', () => {
  /** The state of a tab, and every state that its listener has seen. */
  function watch(tab: ReturnType<typeof createSession>) {
    const store = createSessionState(tab);
    const seen: string[] = [];
    const stop = store.subscribe(() => {
      const { status, user } = store.get();
      seen.push([status, user?.username].filter(Boolean).join(' '));
    });
    return { store, seen, stop };
  }

  test('asks once for all listeners, and then follows the session', async () => {
    const { browser, username } = await devices.signedIn();
    const tab = browser.tab();
    const { store, seen } = watch(tab);
    store.subscribe(() => {});
    expect(store.get()).toEqual({ status: 'loading', user: null });
    await until(() => seen.length === 1);
    expect(browser.asked).toEqual(['POST /api/token/refresh 200', ME]);
    await tab.signOut();
    expect(store.get()).toEqual({ status: 'signed-out', user: null, code: 'signed_out' });
    await tab.signIn({ identifier: username, password: PASSWORD });
    expect(seen).toEqual([`signed-in ${username}`, 'signed-out', `signed-in ${username}`]);
    expect(browser.asked.filter((line) => line === ME)).toHaveLength(1);
  });

  test('is signed out for a visitor, without a code', async () => {
    const { store, seen } = watch(devices.device().tab());
    await until(() => seen.length === 1);
    expect(store.get()).toEqual({ status: 'signed-out', user: null });
  });

  test('is unknown while the server cannot be asked, until a retry', async () => {
    const { browser, username } = await devices.signedIn();
    outages.set('/api/token/refresh', 503);
    const { store, seen } = watch(browser.tab());
    await until(() => seen.length === 1);
    expect(store.get()).toMatchObject({ status: 'unknown', user: null, error: { status: 503 } });
    outages.clear();
    await store.reload();
    expect(seen).toEqual(['unknown', `signed-in ${username}`]);
  });

  test('is asked again when something else has refreshed the session', async () => {
    const { browser, username } = await devices.signedIn();
    outages.set('/api/users/me', 503);
    const tab = browser.tab();
    const { seen } = watch(tab);
    await until(() => seen.length === 1);
    outages.clear();
    await tab.refresh();
    await until(() => seen.length === 2);
    expect(seen).toEqual(['unknown', `signed-in ${username}`]);
  });

  test('shows no one until it is known who signed in outside of this client', async () => {
    const { browser, tab, username } = await devices.signedIn();
    const { seen } = watch(tab);
    await until(() => seen.length === 1);
    const other = await devices.server.user();
    await browser.fetch(`${devices.baseUrl}/api/auth/local`, {
      method: 'POST',
      credentials: 'include',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ identifier: other.username, password: PASSWORD }),
    });
    await tab.refresh();
    await until(() => seen.length === 3);
    expect(seen).toEqual([`signed-in ${username}`, 'loading', `signed-in ${other.username}`]);
  });

  test('ignores an answer from before a sign-out', async () => {
    const { browser } = await devices.signedIn();
    const tab = browser.tab();
    const { network, arrived, release } = heldAnswer(({ url }) => url.endsWith('/users/me'));
    browser.onNetwork(network);
    const { store, seen } = watch(tab);
    await arrived;
    const signingOut = tab.signOut();
    release();
    await signingOut;
    await store.reload();
    expect(store.get().status).toBe('signed-out');
    expect(seen.every((state) => state === 'signed-out')).toBe(true);
  });

  test('no longer calls a listener that has unsubscribed', async () => {
    const { tab } = await devices.signedIn();
    const { seen, stop, store } = watch(tab);
    await until(() => seen.length === 1);
    stop();
    await tab.signOut();
    expect(seen).toHaveLength(1);
    expect(store.get().status).toBe('signed-out');
  });
});
