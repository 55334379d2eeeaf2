import { createServer } from 'http';
import type { AddressInfo } from 'net';
import { createSession } from '../../client/session';
import type { SessionOptions } from '../../client/session';
import { hurry, useDevices, isRefresh, keychain, setGlobal } from '../support/devices';
import { pass, PASSWORD } from '../support/server';

const devices = useDevices();

const never = () => new Promise<never>(() => {});

describe('A wait that would never end', () => {
  test.each(['get', 'set'] as const)(
    'for the store’s %s times out, and the next sign-in succeeds',
    async (call) => {
      const store = keychain();
      const { tab, username } = await devices.signedIn({ transport: 'body', store });
      const works = store[call];
      store[call] = never as never;
      pass(360);
      hurry(100);
      await expect(tab.me()).rejects.toMatchObject({ name: 'TimeoutError' });
      jest.restoreAllMocks();
      store[call] = works as never;
      await tab.signIn({ identifier: username, password: PASSWORD });
      expect(await tab.me()).toBe(200);
      await tab.signOut();
      expect(store.read()).toBeNull();
    }
  );

  test('for the store’s delete times out after the sign-out has reached the server', async () => {
    const store = keychain();
    const { browser, tab, username } = await devices.signedIn({ transport: 'body', store });
    store.delete = never;
    hurry(100);
    await expect(tab.signOut()).rejects.toMatchObject({ name: 'TimeoutError' });
    jest.restoreAllMocks();
    expect(browser.asked).toEqual(['POST /api/token/revoke 200']);
    await tab.signIn({ identifier: username, password: PASSWORD });
    expect(await tab.me()).toBe(200);
  });

  test('for a store that responds after the deadline does not revive what has timed out', async () => {
    const store = keychain();
    const { tab } = await devices.signedIn({ transport: 'body', store });
    const { set } = store;
    let answer = () => {};
    store.set = () => new Promise<void>((resolve) => (answer = resolve));
    hurry(100);
    await expect(tab.refresh()).rejects.toMatchObject({ name: 'TimeoutError' });
    jest.restoreAllMocks();
    answer();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(tab.events).toEqual([]);
    store.set = set;
    pass(60);
    expect(await tab.refresh()).not.toBeNull();
  });

  test.each<[string, (...rest: any[]) => unknown]>([
    ['is never granted', never],
    [
      'is held by a tab that hangs',
      (_name, options, work) =>
        options.ifAvailable
          ? work(null)
          : new Promise((_resolve, reject) => {
              options.signal.addEventListener('abort', () => reject(options.signal.reason));
            }),
    ],
  ])('for a lock that %s times out in fetch, sign-in and sign-out', async (_how, request) => {
    const locks = { request: (_name: string, ...rest: any[]) => rest.at(-1)({}) as unknown };
    const restore = setGlobal('navigator', { locks });
    const { browser, tab, username } = await devices.signedIn({ shared: true });
    const works = locks.request;
    locks.request = request as never;
    pass(360);
    hurry(100);
    const timeout = { name: 'TimeoutError' };
    await expect(tab.me()).rejects.toMatchObject(timeout);
    const fields = { identifier: username, password: PASSWORD };
    await expect(tab.signIn(fields)).rejects.toMatchObject(timeout);
    await expect(tab.signOut()).rejects.toMatchObject(timeout);
    jest.restoreAllMocks();
    expect(browser.asked).toEqual([]);
    locks.request = works;
    await tab.signOut();
    expect(browser.cookies.size).toBe(0);
    restore();
  });

  test('for earlier calls is bounded for each call', async () => {
    const { browser, tab } = await devices.signedIn();
    browser.onNetwork(never);
    hurry(100);
    const calls = await Promise.allSettled([
      tab.signIn({ identifier: 'x', password: 'x' }),
      tab.refresh(),
      tab.signIn({ identifier: 'x', password: 'x' }),
    ]);
    expect(calls.map((call) => call.status)).toEqual(Array(3).fill('rejected'));
  });

  test.each(['before', 'while'])(
    'for a refresh ends when the request’s signal is aborted %s it waits',
    async (moment) => {
      const { browser, tab } = await devices.signedIn();
      let letGo = () => {};
      const released = new Promise<void>((resolve) => (letGo = resolve));
      browser.onNetwork(async (request, send) => {
        if (isRefresh(request)) await released;
        return send(request);
      });
      pass(360);
      const controller = new AbortController();
      if (moment === 'before') controller.abort(new Error('no longer wanted'));
      const waiting = [
        tab.fetch('/api/users/me', { signal: controller.signal }),
        tab.fetch(new Request(`${devices.baseUrl}/api/users/me`, { signal: controller.signal })),
      ];
      const settled = Promise.allSettled(waiting);
      controller.abort(new Error('no longer wanted'));
      for (const call of await settled) {
        expect(call).toMatchObject({ reason: new Error('no longer wanted') });
      }
      // The refresh itself continues, because others wait for it.
      const other = tab.me();
      letGo();
      expect(await other).toBe(200);
      expect(browser.asked).toEqual(['POST /api/token/refresh 200', 'GET /api/users/me 200']);
    }
  );
});

test.each([301, 302, 303, 307, 308])(
  'The refresh token and the password do not follow a redirect (%i) to another host',
  async (status) => {
    const received: string[] = [];
    const elsewhere = createServer((request, response) => {
      request.on('data', (chunk) => received.push(String(chunk)));
      received.push(`${request.method} ${request.url}`);
      response.end('{}');
    });
    const listen = (one: typeof elsewhere) =>
      new Promise<number>((resolve) => {
        one.listen(0, '127.0.0.1', () => resolve((one.address() as AddressInfo).port));
      });
    const target = await listen(elsewhere);
    const api = createServer((request, response) => {
      response.writeHead(status, { Location: `http://127.0.0.1:${target}${request.url}` }).end();
    });
    const port = await listen(api);
    const store = keychain();
    await store.set('the refresh token');
    const tab = createSession({ baseUrl: `http://127.0.0.1:${port}`, transport: 'body', store });
    await expect(tab.signIn({ identifier: 'ada', password: 'ada-password' })).rejects.toThrow();
    await expect(tab.refresh()).rejects.toThrow();
    await expect(tab.signOut()).rejects.toThrow();
    expect(received).toEqual([]);
    expect(store.read()).toBe('the refresh token');
    api.close();
    elsewhere.close();
  }
);

describe('The access token goes to baseUrl', () => {
  /** @returns what was sent to each address: the token, or null */
  async function sentTo(options: SessionOptions, addresses: Parameters<typeof fetch>[0][]) {
    const seen: (string | null)[] = [];
    const session = createSession({
      ...options,
      fetch: async (input, init) => {
        const headers = init?.headers ?? (input instanceof Request ? input.headers : {});
        seen.push(new Headers(headers).get('Authorization'));
        return new Response();
      },
    });
    await session.adopt({ jwt: 'a.b.c' });
    for (const address of addresses) await session.fetch(address);
    session.close();
    return seen.map((header) => header !== null);
  }

  test.each([
    'https://API.Example.com',
    'HTTPS://api.example.com/',
    'https://api.example.com:443',
    'https://api.example.com//',
  ])('however the URL is written: %s', async (written) => {
    const seen = await sentTo({ baseUrl: written }, [
      '/api/x',
      'https://api.example.com/api/x',
      'https://API.EXAMPLE.com/api/x',
      'https://api.example.com:443/api/x',
      new URL('https://API.example.com/api/x'),
      new Request('https://API.example.com/api/x'),
    ]);
    expect(seen).toEqual(Array(6).fill(true));
  });

  test('and not to paths next to it or above it', async () => {
    const outside: Parameters<typeof fetch>[0][] = [
      '/../other',
      '/x/../../other',
      '/%2e%2e/other',
      '/.%2E/other',
      'https://example.com/cms/../other',
      'https://example.com/cms/%2e%2e/other',
      'https://example.com/cmsother',
      'https://example.com/CMS/x',
      'https://example.com/',
      new URL('https://example.com/cms/../other'),
      new Request('https://example.com/cms/../other'),
      'not an address',
      '\\\\evil.example/x',
      'https:/\\evil.example/cms/',
      'https://example.com\\@evil.example/cms/',
      'https://example.com:444/cms/x',
    ];
    expect(await sentTo({ baseUrl: 'https://example.com/cms' }, outside)).toEqual(
      outside.map(() => false)
    );
  });

  test('of a page, which can be a path on its origin', async () => {
    const location = { origin: 'https://shop.example', href: 'https://shop.example/a/b?c' };
    const restore = setGlobal('location', location);
    try {
      const own = ['/api/x', 'https://shop.example/api/x'];
      const foreign = ['https://api.shop.example/api/x', '//shop.example.evil.example/'];
      expect(await sentTo({}, [...own, ...foreign])).toEqual([true, true, false, false]);
      expect(
        await sentTo({ baseUrl: '/cms' }, ['/api/x', 'https://shop.example/cms/x', '/../api/x'])
      ).toEqual([true, true, false]);
    } finally {
      restore();
    }
  });
});
