import { execFile } from 'child_process';
import { createServer } from 'http';
import type { IncomingMessage, ServerResponse } from 'http';
import type { AddressInfo } from 'net';
import path from 'path';
import { setTimeout as sleep } from 'timers/promises';
import { promisify } from 'util';
import { createSession } from '../../client/session';
import {
  hurry,
  useDevices,
  heldAnswer,
  isRefresh,
  keychain,
  setGlobal,
  until,
} from '../support/devices';
import { DAY, pass, PASSWORD } from '../support/server';

/** Lifetime of an access token, in seconds. */
const LIFE = 360;

const devices = useDevices();

type Tab = Awaited<ReturnType<typeof devices.signedIn>>['tab'];

const signIn = async (tab: Tab) => {
  const { username } = await devices.server.user();
  await tab.signIn({ identifier: username, password: PASSWORD });
  return username;
};
const types = (tab: Tab) => tab.events.map(({ type }) => type);
const sessionsOf = async (userId: number) =>
  (await devices.server.rows()).filter((row) => row.user_id === userId).length;

const offline = async () => {
  throw new TypeError('fetch failed');
};

async function listen(handler: (request: IncomingMessage, response: ServerResponse) => unknown) {
  const api = createServer(handler);
  await new Promise<void>((resolve) => {
    api.listen(0, '127.0.0.1', resolve);
  });
  const close = () => {
    api.closeAllConnections();
    api.close();
  };
  return { url: `http://127.0.0.1:${(api.address() as AddressInfo).port}`, close };
}

/** An access token that nobody verifies. The claims contain characters that base64url encodes as - and _. */
const token = (sid: string, generation: number) =>
  `a.${Buffer.from(JSON.stringify({ note: '<<???>>', sid, gen: generation, iat: 1, exp: 361 })).toString('base64url')}.b`;

const securityError = () => Object.assign(new Error('Denied.'), { name: 'SecurityError' });

describe('A browser that blocks cookies, and all storage with them,', () => {
  test('denies Web Locks, and can still fetch public content', async () => {
    const restore = setGlobal('navigator', {
      locks: { request: () => Promise.reject(securityError()) },
    });
    const tab = devices.device({ shared: true }).tab();
    expect(await tab.me()).toBe(403);
    restore();
  });

  test('denies BroadcastChannel, and can still load the page', async () => {
    const denied = function denied() {
      throw securityError();
    };
    const restore = setGlobal('BroadcastChannel', denied);
    const tab = devices.device({ shared: true }).tab();
    expect(await tab.me()).toBe(403);
    restore();
  });
});

describe('Other tabs', () => {
  const channel = () => new BroadcastChannel(`refresh-token cookie ${devices.baseUrl}/api`);

  test('that send unknown messages change nothing', async () => {
    const { tab } = await devices.signedIn({ shared: true });
    const jwt = await tab.accessToken();
    const other = channel();
    for (const message of [null, 'text', { type: 'a-later-version' }, {}])
      other.postMessage(message);
    await sleep(50);
    expect(tab.events).toEqual([]);
    expect(await tab.accessToken()).toBe(jwt);
    other.close();
  });

  test('learn of a sign-out and the next sign-in, even if the page that signed out is gone', async () => {
    const { browser, tab: other } = await devices.signedIn({ shared: true });
    const page = browser.tab();
    await page.accessToken();
    const { network, arrived, release } = heldAnswer(({ url }) => url.endsWith('/revoke'));
    browser.onNetwork(network);
    const signingOut = page.signOut();
    await arrived;
    page.close();
    release();
    await signingOut;
    await until(() => types(other).includes('ended'));
    other.events.length = 0;

    await signIn(browser.tab({ shared: false }));
    expect(await other.refresh()).not.toBeNull();
    expect(types(other)).toEqual(['signed-in']);
  });

  test('do not bring back a session that was signed out while the network was down', async () => {
    const { browser, tab, id } = await devices.signedIn({ shared: true });
    browser.onNetwork(offline);
    await expect(tab.signOut()).rejects.toThrow('fetch failed');
    browser.onNetwork((request, send) => send(request));
    pass(1);
    const reloaded = browser.tab();
    expect(await reloaded.me()).toBe(200);
    await sleep(50);
    expect([types(tab), await tab.accessToken(), await tab.refresh()]).toEqual([
      ['ended'],
      null,
      null,
    ]);
    await tab.signOut();
    expect(await sessionsOf(id)).toBe(0);
  });

  test('keep the proof of the first failed sign-out if they fail, too', async () => {
    const { browser, tab, id } = await devices.signedIn({ shared: true });
    const other = browser.tab();
    await other.accessToken();
    browser.onNetwork(offline);
    await expect(tab.signOut()).rejects.toThrow('fetch failed');
    await until(() => types(other).includes('ended'));
    await expect(other.signOut()).rejects.toThrow('fetch failed');
    await sleep(50);
    browser.onNetwork((request, send) => send(request));
    browser.cookies.clear();
    await tab.signOut();
    expect(await sessionsOf(id)).toBe(0);
  });

  test('learn of a sign-in even if they refreshed during it, without Web Locks', async () => {
    const { browser, tab } = await devices.signedIn({ shared: true });
    const other = browser.tab();
    await other.accessToken();
    await until(() => tab.events.length > 0);
    const { username } = await devices.server.user();
    let go = () => {};
    const gate = new Promise<void>((resolve) => (go = resolve));
    browser.onNetwork(async (request, send) => {
      if (request.url.endsWith('/auth/local')) await gate;
      return send(request);
    });
    const entering = tab.signIn({ identifier: username, password: PASSWORD });
    pass(1);
    await other.refresh();
    go();
    await entering;
    await until(() => types(other).includes('signed-in'));
  });

  test('learn of a sign-in after the clock was set back by a day', async () => {
    const { browser, tab } = await devices.signedIn({ shared: true });
    const other = browser.tab();
    await other.accessToken();
    await until(() => tab.events.length > 0);
    pass(-DAY);
    await signIn(tab);
    await until(() => types(other).includes('signed-in'));
  });

  test('receive a wrapped response, such as one from Vue, in its original form', async () => {
    const { browser, tab, username } = await devices.signedIn({ shared: true });
    const other = browser.tab();
    const response = await browser.fetch(`${devices.baseUrl}/api/auth/local`, {
      method: 'POST',
      credentials: 'include',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ identifier: username, password: PASSWORD }),
    });
    const wrapped = (value: object): any =>
      new Proxy(value, {
        get(target, key) {
          const found = Reflect.get(target, key);
          return typeof found === 'object' && found !== null ? wrapped(found) : found;
        },
      });
    await tab.adopt(wrapped((await response.json()) as object));
    await until(() => other.events.length > 0);
    expect([types(tab), types(other)]).toEqual([['signed-in'], ['signed-in']]);
  });
});

describe('The user of a request', () => {
  test('is determined before the page has loaded its session', async () => {
    const { browser } = await devices.signedIn();
    const loading = browser.tab({ shared: true });
    const { network, arrived, release } = heldAnswer();
    browser.onNetwork(network);
    const request = loading.fetch('/api/users/me').catch((error) => error);
    await arrived;
    await signIn(browser.tab({ shared: true }));
    await until(() => types(loading).length > 0);
    release();
    expect(await request).toMatchObject({ code: 'session_changed' });
  });

  test('is known from the sign-in if access tokens have no readable sid', async () => {
    const seen: string[] = [];
    let refuse = () => {};
    const api = await listen((request, response) => {
      const answer = (status: number, body: object) =>
        response
          .writeHead(status, { 'Content-Type': 'application/json' })
          .end(JSON.stringify(body));
      if (request.url === '/api/auth/local') return answer(200, { jwt: 'bob-1', user: { id: 2 } });
      if (request.url === '/api/token/refresh') return answer(200, { jwt: 'bob-2' });
      seen.push(request.headers.authorization!);
      return (refuse = () => answer(401, {}));
    });
    const ada = createSession({ baseUrl: api.url, shared: true });
    const desk = createSession({ baseUrl: api.url, shared: true });
    const events: string[] = [];
    await ada.adopt({ jwt: 'ada-1' });
    ada.subscribe(({ type }) => events.push(type));
    const transfer = ada.fetch('/api/transfer', { method: 'POST' });
    await until(() => seen.length === 1);
    await desk.signIn({});
    await until(() => events.length > 0);
    refuse();
    expect((await transfer).status).toBe(401);
    expect([seen, events]).toEqual([['Bearer ada-1'], ['signed-in']]);
    ada.close();
    desk.close();
    api.close();
  });

  test('does not depend on the characters of its access token', async () => {
    const seen: unknown[] = [];
    const api = await listen((request, response) => {
      response.setHeader('Content-Type', 'application/json');
      if (request.url === '/api/token/refresh') {
        return response.end(JSON.stringify({ jwt: token('of Bob', 1) }));
      }
      seen.push(request.headers.authorization);
      response.statusCode = 401;
      return response.end('{}');
    });
    expect(token('of Ada', 0)).toMatch(/[-_]/);
    const session = createSession({ baseUrl: api.url });
    await session.adopt({ jwt: token('of Ada', 0) });
    expect((await session.fetch('/api/transfer', { method: 'POST' })).status).toBe(401);
    expect(seen).toEqual([`Bearer ${token('of Ada', 0)}`]);
    api.close();
  });
});

describe('Listeners', () => {
  test('get the events in the same order, even if one of them signs out', async () => {
    const { tab, username } = await devices.signedIn();
    await tab.signOut();
    const heard: string[][] = [[], []];
    tab.subscribe(({ type }) => {
      heard[0].push(type);
      if (type === 'signed-in') void tab.signOut();
    });
    tab.subscribe(({ type }) => heard[1].push(type));
    await tab.signIn({ identifier: username, password: PASSWORD });
    await until(() => heard[0].length === 2);
    expect(heard[1]).toEqual(heard[0]);
    await tab.signOut();
  });

  test('that subscribe twice are called twice, and unsubscribe once', async () => {
    const { tab } = await devices.signedIn();
    let calls = 0;
    const listener = () => (calls += 1);
    const stop = tab.subscribe(listener);
    tab.subscribe(listener);
    stop();
    await tab.refresh();
    expect(calls).toBe(1);
  });

  test('that another listener has just unsubscribed are not called', async () => {
    const { tab } = await devices.signedIn();
    let isCalled = false;
    let stop = () => {};
    tab.subscribe(() => stop());
    stop = tab.subscribe(() => (isCalled = true));
    await tab.refresh();
    expect(isCalled).toBe(false);
  });
});

describe('A page', () => {
  test('signs out and in again in the order of its calls while another tab holds the lock', async () => {
    // A hop to the browser's process: a response arrives a moment after the event.
    let tail: Promise<unknown> = Promise.resolve();
    let held = 0;
    const locks = {
      async request(_name: string, ...rest: any[]) {
        const work = rest.pop();
        await sleep(2);
        if (held > 0 && rest[0]?.ifAvailable) {
          await sleep(2);
          return work(null);
        }
        held += 1;
        const turn = tail.then(() => sleep(2)).then(() => work({}));
        tail = turn
          .catch(() => {})
          .then(() => sleep(2))
          .then(() => (held -= 1));
        return turn;
      },
    };
    const restore = setGlobal('navigator', { locks });
    for (let delay = 0; delay <= 8; delay += 1) {
      const { tab } = await devices.signedIn({ shared: true });
      const { username } = await devices.server.user();
      let letGo = () => {};
      // On a busy machine, any fixed time may be too short for the lock to be held.
      await new Promise<void>((onHeld) => {
        const untilLetGo = new Promise<void>((resolve) => (letGo = resolve));
        void locks.request('', {}, () => (onHeld(), untilLetGo));
      });
      const leaving = tab.signOut();
      setTimeout(letGo, delay);
      await sleep(3);
      const entering = tab.signIn({ identifier: username, password: PASSWORD });
      await Promise.all([leaving, entering]);
      expect(await tab.me()).toBe(200);
      tab.close();
    }
    restore();
  });

  test('does not wait for the body of a 401 that never ends', async () => {
    const api = await listen((request, response) => {
      response.setHeader('Content-Type', 'application/json');
      if (request.url === '/api/token/refresh') {
        return response.end(JSON.stringify({ jwt: token('s', 1) }));
      }
      if (request.headers.authorization === `Bearer ${token('s', 1)}`) return response.end('{}');
      response.statusCode = 401;
      return response.write('{"data":');
    });
    const session = createSession({ baseUrl: api.url });
    await session.adopt({ jwt: token('s', 0) });
    expect((await session.fetch('/api/x')).status).toBe(200);
    api.close();
  });

  test('keeps its cookie when change-password is called with a Request', async () => {
    const { tab } = await devices.signedIn();
    const password = 'another horse 2';
    const request = new Request(`${devices.baseUrl}/api/auth/change-password`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ currentPassword: PASSWORD, password, passwordConfirmation: password }),
    });
    await tab.adopt((await (await tab.fetch(request)).json()) as object);
    pass(LIFE);
    expect(await tab.me()).toBe(200);
  });

  test('does not resend a request if the refresh after its 401 fails', async () => {
    const { browser, tab, id } = await devices.signedIn();
    await devices.server.strapi
      .service('plugin::users-permissions.refresh-session')
      .signOut({ userId: id });
    browser.onNetwork((request, send) => (isRefresh(request) ? offline() : send(request)));
    expect(await tab.me()).toBe(401);
    expect(browser.asked).toEqual(['GET /api/users/me 401']);
  });

  test.each([
    ['a prefix without a slash', { prefix: 'api' }, undefined],
    ['a path without a slash', { prefix: '' }, '.evil.example/auth/local'],
    ['a baseUrl without a scheme', { baseUrl: 'localhost:1337' }, undefined],
  ])('does not send a password anywhere for %s', async (_what, options, route) => {
    const sent: string[] = [];
    const session = createSession({
      baseUrl: 'https://api.example.com',
      ...options,
      fetch: async (input) => {
        sent.push(String(input));
        return Response.json({ user: {} });
      },
    });
    await expect(session.signIn({ password: 'secret' }, route)).rejects.toThrow(/baseUrl/);
    expect(sent).toEqual([]);
  });

  test('gets the network’s error for an incomplete response', async () => {
    const broken = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('{"jwt":'));
        controller.error(new TypeError('terminated'));
      },
    });
    const session = createSession({
      baseUrl: devices.baseUrl,
      fetch: async () => new Response(broken),
    });
    await expect(session.signIn({})).rejects.toThrow('terminated');
  });
});

describe('An app', () => {
  test('sends no cookies with its requests', async () => {
    const { browser, tab } = await devices.signedIn({ transport: 'body' });
    browser.cookies.set('koa.sess', 'of a web view');
    const sent: (string | null)[] = [];
    browser.onNetwork((request, send) => {
      sent.push(request.headers.get('Cookie'));
      return send(request);
    });
    await tab.me();
    await tab.fetch(new Request(`${devices.baseUrl}/api/users/me`));
    expect(sent).toEqual([null, null]);
  });

  test('that gave up a sign-out is not changed by it later', async () => {
    const store = keychain();
    const { tab, username } = await devices.signedIn({ transport: 'body', store });
    const { get } = store;
    let reads = 0;
    let answer = () => {};
    store.get = async () => {
      reads += 1;
      const kept = await get();
      if (reads !== 2) return kept;
      return new Promise<string | null>((resolve) => (answer = () => resolve(kept)));
    };
    hurry(800);
    await expect(tab.signOut()).rejects.toMatchObject({ name: 'TimeoutError' });
    jest.restoreAllMocks();
    await tab.signIn({ identifier: username, password: PASSWORD });
    answer();
    await sleep(100);
    expect(store.read()).not.toBeNull();
    pass(LIFE);
    expect(await tab.me()).toBe(200);
  });

  test('gets a TimeoutError if an AbortSignal has no reason, as in React Native', async () => {
    class Controller {
      signal = Object.assign(new EventTarget(), { aborted: false });
      abort() {
        this.signal.aborted = true;
        this.signal.dispatchEvent(new Event('abort'));
      }
    }
    const restore = setGlobal('AbortController', Controller);
    hurry(50);
    const store = { get: () => new Promise<never>(() => {}), set() {}, delete() {} };
    const session = createSession({ baseUrl: devices.baseUrl, transport: 'body', store });
    await expect(session.refresh()).rejects.toMatchObject({ name: 'TimeoutError' });
    restore();
  });

  test('starts if a library defines an empty document', () => {
    const restore = setGlobal('document', {});
    createSession({ baseUrl: devices.baseUrl, transport: 'body' }).close();
    restore();
  });

  test('that fails in every ordinary way leaves no unhandled rejection that would end Node', async () => {
    const built = JSON.stringify(path.resolve(__dirname, '../../dist/client/session.js'));
    const script = `
      const { createSession } = require(${built});
      const networks = [
        async () => { throw new TypeError('down'); },
        () => { throw new TypeError('at once'); },
        async () => new Response('x', { status: 503 }),
        async () => Response.json({ error: { details: { code: 'session_ended' } } }, { status: 401 }),
      ];
      (async () => {
        for (const transport of ['cookie', 'body']) for (const fetch of networks) {
          let reads = 0;
          const store = {
            get() { reads += 1; if (reads % 3 === 0) throw new Error('get'); return 't'; },
            set() { throw new Error('set'); },
            async delete() { throw new Error('delete'); },
          };
          const session = createSession({ baseUrl: 'http://x.test', transport, store, fetch });
          const controller = new AbortController();
          const calls = [
            session.fetch('/api/x', { signal: controller.signal }), session.fetch('/api/x'),
            session.refresh(), session.accessToken(), session.signIn({}), session.signOut(),
            session.adopt({ jwt: 'a.b.c', refreshToken: 'r' }), session.adopt({}), session.fetch(null),
            session.fetch('/x', null), session.fetch('/api/x', { signal: AbortSignal.abort() }),
          ];
          controller.abort();
          await Promise.allSettled(calls);
        }
        setTimeout(() => console.log('done'), 100);
      })();`;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script]);
    expect(stdout).toBe('done\n');
  });
});
