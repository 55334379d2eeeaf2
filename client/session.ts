/**
 * The session of a front end, in one file without dependencies: copy it in, read it, change it.
 *
 * Expects: a Strapi with the refresh-token extension at `baseUrl`, and `fetch`. Browsers use the cookie; React Native and
 * Node the body, with a store of their own. Web Locks and BroadcastChannel are used where they are there.
 * Dangerous to change: that the refresh token is stored before the access token is used; that only a refresh answered 400
 * or 401 with a code ends the session; that the access token is kept in memory, and goes to `baseUrl` alone.
 */

type FetchInput = Parameters<typeof fetch>[0];
type FetchInit = Parameters<typeof fetch>[1];

export interface User {
  id: number;
  username: string;
  email: string;
  [field: string]: any;
}

/** What a sign-in answers. Without a `jwt` nobody was signed in, such as after a registration that waits for its confirmation. */
export interface Answer {
  jwt?: string;
  refreshToken?: string;
  user?: unknown;
}

/**
 * Why a session is over: signed out, here or in another tab, or the `error.details.code` of the server. Its other codes do not
 * end a session: `origin_refused` (403) and `temporarily_unavailable` (503, try again later), for example.
 */
export type EndCode =
  | 'signed_out'
  | 'refresh_token_missing'
  | 'refresh_token_invalid'
  | 'refresh_token_expired'
  | 'refresh_token_reused'
  | 'session_ended'
  | 'user_refused'
  | 'invalid_request';

export type SessionEvent =
  /** Here or in another tab. */
  | { type: 'signed-in'; user?: unknown }
  /** `expiresAt`: when the access token runs out, in milliseconds of this device's clock. */
  | { type: 'refreshed'; expiresAt: number; by: 'this tab' | 'another tab' }
  | { type: 'ended'; code: EndCode; message?: string };

/**
 * What `signIn`, `refresh` and `signOut` throw when the server refused or failed. `code` is any code of the server. A network
 * error is thrown as `fetch` throws it.
 */
export type SessionRequestError = Error & { status: number; code?: string };

/** Keeps the refresh token of the body transport, such as in the keychain of a phone. */
export interface TokenStore {
  get(): Promise<string | null> | string | null;
  set(token: string): unknown;
  delete(): unknown;
}

export interface SessionOptions {
  /** Where Strapi is: `https://api.example.com`. In a page, '' (the default) is the page's own origin. */
  baseUrl?: string;
  /** Strapi's REST prefix: `/api`. */
  prefix?: string;
  /** How the refresh token travels: `cookie` by default. */
  transport?: 'cookie' | 'body';
  /** For the body transport: where the refresh token is kept. In memory by default. */
  store?: TokenStore;
  /** Whether all tabs of this origin hold this one session: true for the cookie of a page. A store of all tabs, too, may say true. */
  shared?: boolean;
  /** `globalThis.fetch` by default. */
  fetch?: typeof fetch;
  /** Refreshes when the access token has so many seconds left: 30, but at most half its life. */
  leeway?: number;
}

export interface Session {
  /**
   * Signs in, or registers: `path` is `/auth/local` by default.
   *
   * @throws SessionRequestError if the server refused
   */
  signIn(fields: { [field: string]: unknown }, path?: string): Promise<User>;
  /** Goes on with an answer that the page got by itself, such as by `fetch` from a provider's callback or change-password. */
  adopt(answer: Answer): Promise<void>;
  /**
   * `fetch` with the access token: refreshed ahead of its end, and once on 401, after which the request is sent again. A
   * path is one of `baseUrl`. Any other address, and a request with an Authorization of its own, is left as it is.
   *
   * @throws what `fetch` throws; what `refresh` throws, if there is no living access token to send
   */
  fetch(input: FetchInput, init?: FetchInit): Promise<Response>;
  /**
   * Refreshes, once for all who ask at the same time, in all tabs.
   *
   * @returns the new access token, or null when there is no session
   * @throws SessionRequestError for any answer but 200, and 400 or 401 with a code; a network error. The session stays
   */
  refresh(): Promise<string | null>;
  /** @returns a living access token, refreshed if need be, or null when nobody is signed in. @throws as `refresh` */
  accessToken(): Promise<string | null>;
  /**
   * Signs out in all tabs at once, then at the server. Call it when the user signs out, never because of a 401: it clears the
   * cookie, which may by then belong to a newer sign-in.
   *
   * @throws if the server could not be told: its cookie is still there, so tell the user, and call it again
   */
  signOut(): Promise<void>;
  /** @returns what ends the subscription */
  subscribe(listener: (event: SessionEvent) => void): () => void;
  /** Hears and tells other tabs nothing more. */
  close(): void;
}

/** What tabs tell each other. */
type News =
  | { type: 'signed-in' | 'refreshed'; jwt: string; since: number; user?: unknown }
  | { type: 'ended'; code: EndCode; message?: string };

/** Milliseconds after which a call of this file is given up, so that one that hangs does not hold up all tabs. */
const TIMEOUT = 30_000;

/** Milliseconds to wait for the news of the tab that has just refreshed: they may come after its lock is free. */
const NEWS = 500;

/** With what not every surroundings has, and so not everybody's types. */
const here: any = globalThis;

/** @throws Error if there is no `baseUrl` outside a page */
export function createSession(options: SessionOptions = {}): Session {
  const { transport = 'cookie', leeway = 30 } = options;
  if (!options.baseUrl && !here.location) throw new Error('createSession needs a baseUrl here.');
  const base = (options.baseUrl || here.location.origin).replace(/\/+$/, '');
  const api = base + (options.prefix ?? '/api');
  const send: typeof fetch = options.fetch ?? ((...args) => globalThis.fetch(...args));
  let kept: string | null = null;
  const inMemory: TokenStore = {
    get: () => kept,
    set: (token) => (kept = token),
    delete: () => (kept = null),
  };
  const store = transport === 'body' ? (options.store ?? inMemory) : null;

  // On a server, users share the process: there, nothing is shared unless asked for.
  const shared = options.shared ?? (transport === 'cookie' && here.document !== undefined);
  const name = `refresh-token ${transport} ${api}`;
  const locks = shared ? here.navigator?.locks : null;
  let channel = shared && here.BroadcastChannel ? new here.BroadcastChannel(name) : null;

  /** The access token; `dueAt` is when to refresh it. */
  let held = null as null | {
    jwt: string;
    sid: unknown;
    since: number;
    expiresAt: number;
    dueAt: number;
  };
  /** Known to be signed out: without it and without a token, there may be a session that was not asked for yet. */
  let over = false;
  /** Counts what changes, here and in other tabs, so that an answer that comes too late is known. */
  let version = 0;
  let onChange = () => {};
  let refreshing: Promise<string | null> | null = null;
  let queue: Promise<unknown> = Promise.resolve();
  const listeners = new Set<(event: SessionEvent) => void>();

  const current = () => held?.jwt ?? null;
  const broadcast = (news: News) => channel?.postMessage(news);

  function tell(event: SessionEvent): void {
    for (const listener of [...listeners]) {
      try {
        listener(event);
      } catch (error) {
        // As event targets do: the page's own error is reported, and breaks nothing here.
        setTimeout(() => {
          throw error;
        });
      }
    }
  }

  /** The token's own life, counted from when it was asked for: whether the device's clock is right does not matter. */
  function hold(jwt: string, since: number): number {
    const { sid, iat, exp } = claimsOf(jwt);
    const life = exp && iat ? (exp - iat) * 1000 : Infinity;
    const expiresAt = since + life;
    held = { jwt, sid, since, expiresAt, dueAt: expiresAt - Math.min(leeway * 1000, life / 2) };
    over = false;
    version += 1;
    onChange();
    return expiresAt;
  }

  function end(code: EndCode, message?: string, heard = false): void {
    if (!heard) broadcast({ type: 'ended', code, message });
    // A visitor who was never signed in is not told that a session ended.
    const news = !over && (held !== null || code !== 'refresh_token_missing');
    held = null;
    over = true;
    version += 1;
    onChange();
    if (news) tell({ type: 'ended', code, message });
  }

  function hear(news: News): void {
    if (news.type === 'ended') return end(news.code, news.message, true);
    // Of another session, or older than what is here.
    const late = held && (held.sid !== claimsOf(news.jwt).sid || news.since < held.since);
    if (news.type === 'refreshed' && (over || late)) return;
    const expiresAt = hold(news.jwt, news.since);
    if (news.type === 'signed-in') tell({ type: 'signed-in', user: news.user });
    else tell({ type: 'refreshed', expiresAt, by: 'another tab' });
  }

  if (channel) {
    channel.onmessage = (event: { data: News }) => hear(event.data);
    // Node would not exit.
    channel.unref?.();
  }

  /** One at a time: in all tabs with Web Locks, else in this one, and what tabs do at once is left to the server's grace period. */
  async function exclusively<T>(work: (waited: boolean) => Promise<T>): Promise<T> {
    if (!locks) {
      const turn = queue.then(() => work(false));
      queue = turn.catch(() => undefined);
      return turn;
    }
    const taken = await locks.request(name, { ifAvailable: true }, (lock: unknown) =>
      lock ? work(false) : BUSY
    );
    return taken === BUSY ? locks.request(name, () => work(true)) : taken;
  }

  async function post(path: string, fields: object, bearer: string | null = null) {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), TIMEOUT);
    try {
      const response = await send(api + path, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          ...(bearer && { Authorization: `Bearer ${bearer}` }),
        },
        body: JSON.stringify(fields),
        credentials: store ? 'omit' : 'include',
        signal: controller.signal,
      });
      const { status, ok } = response;
      const answer: any = (await response.json().catch(() => null)) ?? {};
      const code: EndCode | undefined = answer.error?.details?.code;
      const message: string = answer.error?.message ?? `POST ${path} answered ${status}.`;
      const failure = () => Object.assign(new Error(message), { status, code });
      return { status, ok, answer: answer as Answer, code, message, failure };
    } finally {
      clearTimeout(timer);
    }
  }

  /** Goes on with an answer, unless something has changed while it was stored. */
  async function take(answer: Answer, since: number, type: 'signed-in' | 'refreshed') {
    if (store) {
      if (!answer.refreshToken) throw new Error('No refreshToken: ask with requestRefresh: true.');
      const before = version;
      await store.set(answer.refreshToken);
      if (version !== before) return;
    }
    const expiresAt = hold(answer.jwt!, since);
    broadcast({ type, jwt: answer.jwt!, since, user: answer.user });
    if (type === 'signed-in') tell({ type, user: answer.user });
    else tell({ type, expiresAt, by: 'this tab' });
  }

  const refresh = (): Promise<string | null> => {
    const wanted = version;
    refreshing ??= exclusively(async (waited) => {
      if (waited && version === wanted) {
        await new Promise<void>((resolve) => {
          onChange = resolve;
          setTimeout(resolve, NEWS);
        });
      }
      if (version !== wanted) return current();

      const since = Date.now();
      const refreshToken = store && (await store.get());
      if (store && !refreshToken) {
        end('refresh_token_missing');
        return null;
      }
      const answered = await post('/token/refresh', refreshToken ? { refreshToken } : {});
      // Signed out or in meanwhile, here or in another tab: this answer is about what was before.
      if (version !== wanted) return current();

      const { status, code, answer } = answered;
      if (answered.ok && answer.jwt) {
        await take(answer, since, 'refreshed');
        return current();
      }
      if ((status !== 400 && status !== 401) || !code) throw answered.failure();
      // Another process may have put a newer one there.
      if (store && (await store.get()) === refreshToken) await store.delete();
      end(code, answered.message);
      return null;
    }).finally(() => {
      refreshing = null;
    });
    return refreshing;
  };

  async function accessToken(): Promise<string | null> {
    if (over || (held && Date.now() < held.dueAt)) return current();
    try {
      return await refresh();
    } catch (error) {
      if (held && Date.now() < held.expiresAt) return held.jwt;
      throw error;
    }
  }

  async function authorizedFetch(input: FetchInput, init: FetchInit = {}): Promise<Response> {
    const request = typeof input === 'object' && 'url' in input ? input : null;
    const url = request ? request.url : String(input);
    const address = /^\/(?![/\\])/.test(url) ? base + url : url;
    const headers = new Headers(init?.headers ?? request?.headers);
    if (!address.startsWith(`${base}/`) || headers.has('Authorization')) {
      return send(request ?? address, init);
    }

    const attempt = (bearer: string | null, isLast: boolean) => {
      if (bearer) headers.set('Authorization', `Bearer ${bearer}`);
      if (request) return send(isLast ? request : request.clone(), { ...init, headers });
      // change-password and its like answer with the cookie.
      return send(address, { ...(!store && { credentials: 'include' }), ...init, headers });
    };

    const bearer = await accessToken();
    const isLast = bearer === null || isStream(init?.body);
    const response = await attempt(bearer, isLast);
    if (response.status !== 401 || bearer === null) return response;

    const next = current() === bearer ? await refresh().catch(() => null) : current();
    // What failed may be the database, for a second: the page gets the answer, and the session stays.
    if (next === null || isLast) return response;
    // Read, so that its connection is free.
    await response.text().catch(() => '');
    return attempt(next, true);
  }

  return {
    signIn: (fields, path = '/auth/local') =>
      exclusively(async () => {
        const since = Date.now();
        const { ok, answer, failure } = await post(
          path,
          store ? { ...fields, requestRefresh: true } : fields
        );
        if (!ok) throw failure();
        if (answer.jwt) await take(answer, since, 'signed-in');
        return answer.user as User;
      }),
    adopt: (answer) => exclusively(() => take(answer, Date.now(), 'signed-in')),
    fetch: authorizedFetch,
    refresh,
    accessToken,
    async signOut() {
      const bearer = current();
      end('signed_out');
      await exclusively(async () => {
        const refreshToken = store && (await store.get());
        await store?.delete();
        // A sign-in or refresh that was still on its way has come in by now.
        const proof = current() ?? bearer;
        if (held) end('signed_out');
        if (store && !refreshToken && !proof) return;
        const { ok, failure } = await post(
          '/token/revoke',
          refreshToken ? { refreshToken } : {},
          proof
        );
        if (!ok) throw failure();
      });
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close() {
      channel?.close();
      channel = null;
      listeners.clear();
    },
  };
}

const BUSY = Symbol('another tab is at it');

/** @returns the claims, unverified; none where they cannot be read, and then a 401 says that the token has run out */
function claimsOf(jwt: string): { sid?: unknown; iat?: number; exp?: number } {
  try {
    return JSON.parse(here.atob(jwt.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'))) ?? {};
  } catch {
    return {};
  }
}

/** @returns whether a body can be sent once only */
const isStream = (body: unknown): boolean =>
  typeof body === 'object' &&
  body !== null &&
  ('getReader' in body || Symbol.asyncIterator in body);
