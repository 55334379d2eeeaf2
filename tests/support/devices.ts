import type { AddressInfo } from 'net';
import { createSession } from '../../client/session';
import type { Session, SessionEvent, SessionOptions } from '../../client/session';
import { createBrowser } from './browser';
import type { Send } from './browser';
import { createDatabase } from './database';
import type { Database } from './database';
import { boot, PASSWORD } from './server';
import type { Server } from './server';

/**
 * For all tests of a file: a Strapi, and browsers and apps that call it with the client. Everything that a test opens is
 * closed after it.
 *
 * @param configure as for `boot`
 */
export function useDevices(
  env: Record<string, string> = {},
  configure?: (strapi: Server['strapi']) => unknown
) {
  const all = {} as ReturnType<typeof createDevices> & { server: Server; baseUrl: string };
  let database: Database;
  let restore = () => {};
  beforeAll(async () => {
    // Node has Web Locks since 24, and tests that need them set their own.
    restore = setGlobal('navigator', undefined);
    database = await createDatabase('sqlite');
    const server = await boot({ REFRESH_COOKIE_SECURE: 'false', ...env }, configure, database);
    const { port } = server.strapi.server.httpServer.address() as AddressInfo;
    const baseUrl = `http://127.0.0.1:${port}`;
    Object.assign(all, createDevices(server, baseUrl), { server, baseUrl });
  });
  afterEach(() => {
    jest.restoreAllMocks();
    all.close();
  });
  afterAll(async () => {
    restore();
    await all.server.stop();
    await database.drop();
  });
  return all;
}

/** From now on, half a minute passes in this many milliseconds, until mocks are restored. */
export function hurry(milliseconds: number): void {
  const schedule = globalThis.setTimeout;
  jest
    .spyOn(globalThis, 'setTimeout')
    .mockImplementation(((task: () => void, delay = 0) =>
      schedule(task, delay >= 10_000 ? milliseconds : delay)) as never);
}

/** Browsers and apps that use the client. */
function createDevices(server: Server, baseUrl: string) {
  const open: Session[] = [];

  function device(options: SessionOptions = {}) {
    const browser = createBrowser();
    return {
      ...browser,
      /** Another tab shares cookies and network; a restarted app shares the store. */
      tab(more: SessionOptions = {}) {
        const session = createSession({ baseUrl, ...options, ...more, fetch: browser.fetch });
        open.push(session);
        const events: SessionEvent[] = [];
        session.subscribe((event) => events.push(event));
        return Object.assign(session, {
          events,
          me: async () => (await session.fetch('/api/users/me')).status,
        });
      },
    };
  }

  async function signedIn(options?: SessionOptions) {
    const { username, id } = await server.user();
    const browser = device(options);
    const tab = browser.tab();
    await tab.signIn({ identifier: username, password: PASSWORD });
    browser.asked.length = 0;
    tab.events.length = 0;
    return { browser, tab, username, id };
  }

  return {
    device,
    signedIn,
    close: () => open.splice(0).forEach((session) => session.close()),
  };
}

export const isRefresh = (request: Request) => request.url.endsWith('/token/refresh');

/** A network that holds the response to the first matching request until it is released. */
export function heldAnswer(matches = isRefresh) {
  let release = () => {};
  let arrive = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  let first = true;
  const network = async (request: Request, send: Send) => {
    if (!matches(request) || !first) return send(request);
    first = false;
    const response = await send(request);
    arrive();
    await released;
    return response;
  };
  return { network, arrived, release };
}

export const until = async (holds: () => boolean) => {
  for (let turn = 0; !holds(); turn += 1) {
    if (turn > 500) throw new Error('The condition was never met.');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

/** Web Locks as in browsers. Node has them since version 24. */
export function webLocks() {
  let tail: Promise<unknown> = Promise.resolve();
  let pending = 0;
  return {
    request(_name: string, ...rest: any[]) {
      const work: (lock: unknown) => any = rest.pop();
      if (rest[0]?.ifAvailable && pending > 0) return Promise.resolve(work(null));
      pending += 1;
      const turn = tail.then(() => work({})).finally(() => (pending -= 1));
      tail = turn.catch(() => {});
      return turn;
    },
  };
}

/** @returns a function that restores the global */
export function setGlobal(name: string, value: unknown): () => void {
  const native = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  return () => {
    if (native) Object.defineProperty(globalThis, name, native);
    else delete (globalThis as any)[name];
  };
}

/** The keychain of a phone: asynchronous. */
export function keychain() {
  const steps: string[] = [];
  let token: string | null = null;
  const later = () => new Promise((resolve) => setTimeout(resolve, 5));
  return {
    steps,
    read: () => token,
    async get() {
      await later();
      return token;
    },
    async set(next: string) {
      await later();
      token = next;
      steps.push('stored');
    },
    async delete() {
      await later();
      token = null;
      steps.push('deleted');
    },
  };
}
