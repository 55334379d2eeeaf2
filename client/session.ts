/**
 * The session of a front end, in one file without dependencies: copy it in, read it, change it.
 *
 * Needs: a Strapi with the refresh-token extension at `baseUrl`, and `fetch`, `URL` and `AbortController`. Browsers use the
 * cookie. React Native and Node use the body, with a store you provide. Web Locks and BroadcastChannel are used where they exist.
 * Dangerous to change: the refresh token is stored before the access token is used; only a refresh answered 400 or 401 with a
 * code ends the session; the access token stays in memory and goes to `baseUrl` only; a request is never sent for another
 * session than the one it was made for.
 */

type FetchInput = Parameters<typeof fetch>[0];
type FetchInit = Parameters<typeof fetch>[1];

export interface User {
  id: number;
  username: string;
  email: string;
  [field: string]: any;
}

/** What a sign-in answers. Without a `jwt` nobody was signed in, such as after a registration that awaits confirmation. */
export interface Answer {
  jwt?: string | undefined;
  refreshToken?: string | undefined;
  user?: unknown;
}

/**
 * Why a session is over: signed out, here or in another tab, or the `error.details.code` of the server. Its other codes do not
 * end a session, for example `origin_refused` (403) and `temporarily_unavailable` (503, try again later).
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
  /**
   * Somebody signed in: here, in another tab, or outside of this client, such as on another front end of the same API. Only a
   * sign-in by `signIn` or `adopt` knows the `user`; without one, ask `/api/users/me`.
   */
  | { type: 'signed-in'; user?: unknown }
  /** The same session has a new access token. `expiresAt`: when it expires, in milliseconds of this device's clock. */
  | { type: 'refreshed'; expiresAt: number; by: 'this tab' | 'another tab' }
  | { type: 'ended'; code: EndCode; message?: string | undefined };

/**
 * What `signIn`, `adopt`, `refresh` and `signOut` throw when the server refused or failed. `code` is any code of the server.
 * `fetch` throws it with status 0 and the code `session_changed` if somebody else signed in before the request could be sent.
 * A network error is thrown as `fetch` throws it; a call that takes longer than 30 seconds throws a `TimeoutError`.
 */
export type SessionRequestError = Error & { status: number; code?: string | undefined };

/** Keeps the refresh token of the body transport, such as in the keychain of a phone. */
export interface TokenStore {
  get(): Promise<string | null> | string | null;
  set(token: string): unknown;
  delete(): unknown;
}

export interface SessionOptions {
  /** Where Strapi is: `https://api.example.com`. In a page, '' (the default) is the page's own origin. */
  baseUrl?: string | undefined;
  /** Strapi's REST prefix: `/api`. */
  prefix?: string | undefined;
  /** How the refresh token travels: `cookie` by default. */
  transport?: 'cookie' | 'body' | undefined;
  /** For the body transport: where the refresh token is kept. In memory by default. */
  store?: TokenStore | undefined;
  /** Whether all tabs of this origin share this session: true for the cookie in a page. Set it for a store that all tabs share. */
  shared?: boolean | undefined;
  /** `globalThis.fetch` by default. */
  fetch?: typeof fetch | undefined;
  /** Refreshes when the access token has this many seconds left: 30, but at most half its lifetime. */
  leeway?: number | undefined;
}

export interface Session {
  /**
   * Signs in, or registers: `path` is `/auth/local` by default.
   *
   * @throws SessionRequestError if the server refused
   */
  signIn(fields: { [field: string]: unknown }, path?: string): Promise<User>;
  /**
   * Continues with the answer of a sign-in that you sent yourself, such as a provider's callback or change-password. An answer
   * with a `user` but no `jwt` (a registration that awaits confirmation) changes nothing.
   *
   * @throws SessionRequestError if the answer is a refusal; Error if it has neither a `jwt` nor a `user`
   */
  adopt(answer: Answer): Promise<void>;
  /**
   * `fetch` with the access token. It is refreshed before it expires, and once on 401, after which the request is sent again.
   * A path is relative to `baseUrl`. Any other address, and a request with its own Authorization, is passed on unchanged.
   *
   * @throws what `fetch` throws; what `refresh` throws, if there is no valid access token to send; SessionRequestError with the
   * code `session_changed`. A 401 after which the session turns out to be another one is returned, never retried
   */
  fetch(input: FetchInput, init?: FetchInit): Promise<Response>;
  /**
   * Refreshes, once for all who ask at the same time, in all tabs.
   *
   * @returns the new access token, or null when there is no session
   * @throws SessionRequestError for any answer but 200, and 400 or 401 with a code; a network error. The session stays
   */
  refresh(): Promise<string | null>;
  /** @returns a valid access token, refreshed if needed, or null when nobody is signed in. @throws as `refresh` */
  accessToken(): Promise<string | null>;
  /**
   * Signs out in all tabs at once, then at the server. Call it when the user signs out, never because of a 401: it clears the
   * cookie, which may belong to a newer sign-in by then.
   *
   * @throws if the server could not be told. The session is over here, but not there: tell the user, and call it again
   */
  signOut(): Promise<void>;
  /** @returns a function that unsubscribes */
  subscribe(listener: (event: SessionEvent) => unknown): () => void;
  /** Stops listening to the page and to other tabs. */
  close(): void;
}

type Origin = 'this tab' | 'another tab';

/** `since`: when it was asked for. */
interface IssuedToken {
  jwt: string;
  since: number;
  user?: unknown;
}

/** What tabs tell each other. `sid` is null where the tab did not know its session. */
type TabMessage =
  | ({ type: 'signed-in' | 'refreshed' } & IssuedToken)
  | { type: 'ended'; code: EndCode; message?: string | undefined; sid: unknown };

/** Milliseconds for everything that runs exclusively, the wait included: the store, the lock and the server. */
const DEADLINE = 30_000;

/** Milliseconds to wait for the message of the tab that has just refreshed: it may arrive after its lock is free. */
const MESSAGE_DELAY = 500;

/** Milliseconds before a refused anonymous request makes this ask again whether there is a session. */
const RECHECK_INTERVAL = 10_000;

/** Codes to report even if this page knew of no session. The server repeats the others on every page load. */
const NEVER_REPEATED: readonly EndCode[] = ['signed_out', 'refresh_token_reused', 'user_refused'];

/** Untyped: not every runtime or type library has these globals. */
const globals: any = globalThis;

export function createSession(options: SessionOptions = {}): Session {
  const { transport = 'cookie', leeway = 30 } = options;
  const home = homeOf(options.baseUrl);
  const api = home + (options.prefix ?? '/api');
  const send: typeof fetch = options.fetch ?? ((...args) => globalThis.fetch(...args));
  let kept: string | null = null;
  const inMemory: TokenStore = {
    get: () => kept,
    set: (token) => (kept = token),
    delete: () => (kept = null),
  };
  const store = transport === 'body' ? (options.store ?? inMemory) : null;

  // On a server, users share the process: there, nothing is shared unless asked for.
  const shared = options.shared ?? (transport === 'cookie' && globals.document !== undefined);
  const name = `refresh-token ${transport} ${api}`;
  const locks = shared ? globals.navigator?.locks : null;
  let channel = shared ? openChannel(name) : null;

  /** The access token. `session` numbers the sessions seen here; `dueAt` is when to refresh it. */
  let current = null as null | {
    jwt: string;
    sid: unknown;
    session: number;
    since: number;
    expiresAt: number;
    dueAt: number;
  };
  /** Known to be signed out. Without it and without a token, there may be a session that was not asked for yet. */
  let signedOut = false;
  /** The session that the user has left, and what proves it. Until the server has heard of it, nothing may bring it back. */
  let leaving: { proof: string | null; sid: unknown } | null = null;
  let sessions = 0;
  /** Counts changes, here and in other tabs, so that an answer that arrives too late is recognized. */
  let version = 0;
  let changedAt = 0;
  let onChange = () => {};
  let refreshing: Promise<typeof current> | null = null;
  let queue: Promise<unknown> = Promise.resolve();
  const listeners = new Set<(event: SessionEvent) => unknown>();
  const events: SessionEvent[] = [];

  // A framework may have wrapped the user in a Proxy, which cannot be cloned.
  const broadcast = (message: TabMessage) =>
    channel?.postMessage(JSON.parse(JSON.stringify(message)));

  function emit(event: SessionEvent): void {
    // A listener may cause the next event. All of them hear the events in the same order.
    if (events.push(event) > 1) return;
    for (const next of events) {
      for (const listener of [...listeners]) {
        // Async, so that a rejection is caught as well. It still calls the listener at once.
        if (listeners.has(listener)) (async () => listener(next))().catch(report);
      }
    }
    events.length = 0;
  }

  function changed(): void {
    version += 1;
    changedAt = Date.now();
    onChange();
  }

  /** Uses the token's own lifetime, counted from the request, so the device's clock may be wrong. */
  function setAccessToken(token: IssuedToken, type: 'signed-in' | 'refreshed', by: Origin): void {
    const { jwt, since, user } = token;
    const { sid, iat, exp } = claimsOf(jwt);
    const lifetime = exp && iat ? (exp - iat) * 1000 : Infinity;
    const expiresAt = since + lifetime;
    const dueAt = expiresAt - Math.min(leeway * 1000, lifetime / 2);
    if (type === 'signed-in') sessions += 1;
    current = { jwt, sid, session: sessions, since, expiresAt, dueAt };
    signedOut = false;
    leaving = null;
    changed();
    if (by === 'this tab') broadcast({ type, ...token });
    emit(type === 'signed-in' ? { type, user } : { type, expiresAt, by });
  }

  const leftSession = (sid: unknown = null) =>
    current ? { proof: current.jwt, sid: current.sid } : (leaving ?? { proof: null, sid });

  function end(code: EndCode, message?: string, by: Origin = 'this tab'): void {
    if (by === 'this tab') {
      broadcast({ type: 'ended', code, message, sid: current ? current.sid : null });
    }
    const isNews = !signedOut && (current !== null || NEVER_REPEATED.includes(code));
    current = null;
    signedOut = true;
    changed();
    if (isNews) emit({ type: 'ended', code, message });
  }

  function onMessage(message: TabMessage): void {
    if (message?.type === 'ended') {
      const { code, sid } = message;
      // A refusal is about the session of the tab that got it, which need not be the one here.
      if (code !== 'signed_out' && current?.sid !== sid) return;
      if (code === 'signed_out' && (current || sid)) leaving = leftSession(sid);
      end(code, message.message, 'another tab');
    } else if (message?.type === 'signed-in' || message?.type === 'refreshed') {
      let { type } = message;
      const { sid } = claimsOf(message.jwt);
      // Where a sid cannot be read, only the message says that the session is a new one.
      const isSame = (known: unknown) =>
        known === sid && (sid !== undefined || type === 'refreshed');
      if (leaving && isSame(leaving.sid)) return;
      if (current && isSame(current.sid)) {
        if (message.since < current.since) return;
        type = 'refreshed';
      } else if (type === 'refreshed' && (current || signedOut)) {
        // Asked for after the last change here, so the cookie is of a session that began outside of this client.
        if (leaving?.sid === null || message.since <= changedAt) return;
        type = 'signed-in';
      }
      setAccessToken(message, type, 'another tab');
    }
  }

  if (channel) {
    channel.onmessage = (event: { data: TabMessage }) => onMessage(event.data);
    // Node would not exit.
    channel.unref?.();
  }

  /** Somebody may have signed in outside of this client. A failure does not matter: the next request shows it. */
  const recheck = () => void refresh().catch(() => {});

  const onVisible = () => {
    if (signedOut && globals.document.visibilityState === 'visible') recheck();
  };
  /** A page that the back button restores has heard nothing meanwhile. */
  const onPageShow = (event: { persisted: boolean }) => {
    if (event.persisted && (current || signedOut)) recheck();
  };
  globals.document?.addEventListener?.('visibilitychange', onVisible);
  if (globals.document) globals.addEventListener?.('pageshow', onPageShow);

  /**
   * Runs one at a time, in the order of the calls: in all tabs with Web Locks. Without them, the server's grace period handles
   * tabs that refresh at once. After the deadline the next one runs, so `work` changes nothing once its signal is aborted.
   */
  async function exclusively<T>(
    work: (signal: AbortSignal, waited: boolean) => Promise<T>
  ): Promise<T> {
    const controller = new AbortController();
    const { signal } = controller;
    const timer = setTimeout(() => controller.abort(), DEADLINE);
    let started = false;
    const run = (waited: boolean) => {
      if (signal.aborted) throw reasonOf(signal);
      started = true;
      return unlessAborted(work(signal, waited), signal);
    };
    const withLock = async () => {
      try {
        const taken = await locks.request(name, { ifAvailable: true }, (lock: unknown) =>
          lock ? run(false) : BUSY
        );
        return await (taken === BUSY ? locks.request(name, { signal }, () => run(true)) : taken);
      } catch (error) {
        // A browser that blocks cookies denies Web Locks, too.
        if (started) throw error;
        return run(false);
      }
    };
    const turn: Promise<T> = queue.then(() => (locks ? withLock() : run(false)));
    queue = unlessAborted(turn, signal).catch(() => {});
    try {
      return await unlessAborted(turn, signal);
    } catch (error) {
      throw signal.aborted ? timeoutError() : error;
    } finally {
      clearTimeout(timer);
    }
  }

  async function post(
    path: string,
    fields: object,
    signal: AbortSignal,
    bearer: string | null = null
  ): Promise<Answer> {
    if (!isBelow(api + path, home)) throw new Error(NO_BASE_URL);
    const response = await send(api + path, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        ...(bearer && { Authorization: `Bearer ${bearer}` }),
      },
      body: JSON.stringify(fields),
      credentials: store ? 'omit' : 'include',
      // A 307 or 308 would send the password or the refresh token to wherever it points.
      redirect: 'error',
      signal,
    });
    // Not json(), which makes an answer that breaks off look like one that is no JSON.
    const answer = parsed(await response.text());
    if (response.ok && answer) return answer;
    throw refusal(answer, response.status, `POST ${path} answered ${response.status}.`);
  }

  /** Accepts an answer, unless something changed while its refresh token was stored. */
  async function accept(
    answer: Answer,
    since: number,
    type: 'signed-in' | 'refreshed',
    signal: AbortSignal
  ): Promise<void> {
    if (!hasToken(answer)) throw refusal(answer, 200, 'The answer has no jwt.');
    const { jwt, refreshToken, user } = answer;
    const { sid } = claimsOf(jwt);
    if (type === 'refreshed' && leaving && leaving.sid === sid) return;
    if (store) {
      if (!refreshToken) {
        throw new Error('The answer has no refreshToken. Send requestRefresh: true to get one.');
      }
      const before = version;
      await store.set(refreshToken);
      if (signal.aborted || version !== before) return;
    }
    // The API's cookie is set by every sign-in there, not only by this client's.
    const isOther = current ? current.sid !== sid : signedOut;
    setAccessToken({ jwt, since, user }, isOther ? 'signed-in' : type, 'this tab');
  }

  function refresh(): Promise<typeof current> {
    if (leaving && (store || leaving.sid === null)) return Promise.resolve(null);
    const wanted = version;
    refreshing ??= exclusively(async (signal, waited) => {
      if (waited && version === wanted) {
        await new Promise<void>((resolve) => {
          onChange = resolve;
          setTimeout(resolve, MESSAGE_DELAY);
        });
      }
      // Signed out or in meanwhile, here or in another tab: what this would do is about what was before.
      const isLate = () => signal.aborted || version !== wanted;
      if (isLate()) return current;

      const since = Date.now();
      const refreshToken = store && (await store.get());
      if (isLate()) return current;
      if (store && !refreshToken) {
        end('refresh_token_missing');
        return null;
      }
      let answer: Answer;
      try {
        answer = await post('/token/refresh', refreshToken ? { refreshToken } : {}, signal);
      } catch (error) {
        if (isLate()) return current;
        const { status, code, message } = error as SessionRequestError;
        if ((status !== 400 && status !== 401) || !code) throw error;
        end(code as EndCode, message);
        // Another process may have put a newer one there.
        if (store && (await store.get()) === refreshToken && !signal.aborted) await store.delete();
        return null;
      }
      if (isLate()) return current;
      await accept(answer, since, 'refreshed', signal);
      return current;
    }).finally(() => {
      refreshing = null;
    });
    return refreshing;
  }

  /** @returns what is to be sent, or null when nobody is signed in */
  async function valid(): Promise<typeof current> {
    if (signedOut || (current && Date.now() < current.dueAt)) return current;
    try {
      return await refresh();
    } catch (error) {
      if (current && Date.now() < current.expiresAt) return current;
      throw error;
    }
  }

  async function authorizedFetch(input: FetchInput, init: FetchInit = {}): Promise<Response> {
    const request = typeof input === 'object' && 'url' in input ? input : null;
    const given = request ? request.url : String(input);
    const address = /^\/(?![/\\])/.test(given) ? home + given : given;
    const headers = new Headers(init?.headers ?? request?.headers);
    if (!home && given.startsWith('/')) throw new Error(NO_BASE_URL);
    if (!isBelow(address, home) || headers.has('Authorization')) {
      return send(request ?? address, init);
    }

    const signal = init?.signal ?? request?.signal ?? null;
    const attempt = (bearer: string | null, isLast: boolean) => {
      if (bearer) headers.set('Authorization', `Bearer ${bearer}`);
      // change-password and its like answer with the cookie.
      const isDefault = !request || request.credentials === 'same-origin';
      const credentials = !store && isDefault ? { credentials: 'include' as const } : {};
      const target = request && !isLast ? request.clone() : (request ?? address);
      return send(target, { ...credentials, ...init, headers });
    };

    const before = sessions;
    const token = await unlessAborted(valid(), signal);
    if (token && token.session !== before) throw sessionChanged();
    const isLast = token === null || isStream(init?.body);
    const response = await attempt(token && token.jwt, isLast);
    if (token === null) {
      const isRefused = response.status === 401 || response.status === 403;
      if (isRefused && Date.now() - changedAt >= RECHECK_INTERVAL) recheck();
      return response;
    }
    if (response.status !== 401) return response;

    // What failed may be the database, for a second: the page gets the answer, and the session stays.
    if (current === token) {
      const refreshed = refresh().catch(() => null);
      await unlessAborted(refreshed, signal);
    }
    const next = current;
    const isRefreshed = next !== null && next !== token && next.session === token.session;
    if (!isRefreshed || isLast) return response;
    // Frees its connection, without waiting for the rest of it.
    response.body?.cancel().catch(() => {});
    return attempt(next.jwt, true);
  }

  return {
    signIn: (fields, path = '/auth/local') =>
      exclusively(async (signal) => {
        const since = Date.now();
        const answer = await post(
          path,
          store ? { ...fields, requestRefresh: true } : fields,
          signal
        );
        if (!hasToken(answer) && !answer.user) throw refusal(answer, 200, NO_SIGN_IN);
        if (hasToken(answer)) await accept(answer, since, 'signed-in', signal);
        return answer.user as User;
      }),
    async adopt(answer) {
      const since = Date.now();
      if (hasToken(answer)) {
        return exclusively((signal) => accept(answer, since, 'signed-in', signal));
      }
      if (!answer?.user) throw refusal(answer, 0, NO_SIGN_IN);
    },
    fetch: authorizedFetch,
    refresh: async () => (await refresh())?.jwt ?? null,
    accessToken: async () => (await valid())?.jwt ?? null,
    async signOut() {
      leaving = leftSession();
      end('signed_out');
      await exclusively(async (signal) => {
        // A sign-in or refresh that was still on its way has arrived by now.
        leaving = leftSession();
        if (current) end('signed_out');
        const { proof } = leaving;
        const refreshToken = store && (await store.get());
        if (!store || refreshToken || proof) {
          const fields = refreshToken ? { refreshToken } : {};
          await post('/token/revoke', fields, signal, proof);
        }
        // Only now: until the server has heard of it, this can be repeated.
        if (store && refreshToken && (await store.get()) === refreshToken && !signal.aborted) {
          await store.delete();
        }
        if (signal.aborted) return;
        leaving = null;
      });
    },
    subscribe(listener) {
      const own = (event: SessionEvent) => listener(event);
      listeners.add(own);
      return () => void listeners.delete(own);
    },
    close() {
      channel?.close();
      channel = null;
      globals.document?.removeEventListener?.('visibilitychange', onVisible);
      if (globals.document) globals.removeEventListener?.('pageshow', onPageShow);
      listeners.clear();
    },
  };
}

/** Firefox throws where cookies are blocked. */
function openChannel(name: string): any {
  try {
    return new globals.BroadcastChannel(name);
  } catch {
    return null;
  }
}

const NO_SIGN_IN = 'This is not the answer of a sign-in: it has no jwt and no user.';

const BUSY = Symbol('another tab holds the lock');

const NO_BASE_URL =
  'createSession needs an absolute baseUrl outside a page, such as https://api.example.com.';

/** @returns the normalized address of Strapi, without a slash at its end; '' where there is none, as while a page is prerendered */
function homeOf(baseUrl: string | undefined): string {
  try {
    const { href } = new URL(baseUrl || '/', globals.location?.href);
    return /^https?:/.test(href) ? href.replace(/\/+$/, '') : '';
  } catch {
    return '';
  }
}

/** @returns whether an address, resolved as `fetch` does, is below another one */
function isBelow(address: string, home: string): boolean {
  try {
    const { href } = new URL(address, globals.document?.baseURI ?? globals.location?.href);
    return home !== '' && href.startsWith(`${home}/`);
  } catch {
    return false;
  }
}

/** @returns the claims, unverified; none where they cannot be read, and then a 401 says that the token has expired */
function claimsOf(jwt: string): { sid?: unknown; iat?: number; exp?: number } {
  try {
    const payload = jwt.split('.')[1] ?? '';
    return JSON.parse(globals.atob(payload.replace(/-/g, '+').replace(/_/g, '/'))) ?? {};
  } catch {
    return {};
  }
}

/** @returns null for what is no JSON, such as a page of a proxy */
function parsed(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const hasToken = (answer: Answer): answer is Answer & { jwt: string } =>
  typeof answer?.jwt === 'string' && answer.jwt !== '';

/** @returns Strapi's error as one to throw, or `message` where the answer holds none */
function refusal(answer: any, status: number, message: string): SessionRequestError {
  const error = answer?.error;
  const code: string | undefined = error?.details?.code;
  return Object.assign(new Error(error?.message ?? message), {
    status: status || (error?.status ?? 0),
    code,
  });
}

const sessionChanged = (): SessionRequestError =>
  Object.assign(new Error('Somebody else signed in before this request could be sent.'), {
    status: 0,
    code: 'session_changed',
  });

const timeoutError = () =>
  Object.assign(
    new Error('Aborted after 30 seconds: the API, the store or a lock did not answer.'),
    {
      name: 'TimeoutError',
    }
  );

/** Where AbortController is a polyfill, a signal has no reason. */
const reasonOf = (signal: AbortSignal): unknown =>
  signal.reason ?? Object.assign(new Error('Aborted.'), { name: 'AbortError' });

/** @returns what the promise resolves to. @throws the signal's reason as soon as it is aborted */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | null): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(reasonOf(signal));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** An error of the page's own listener is reported, and breaks nothing here. In Node, a throw would end the process. */
function report(error: unknown): void {
  if (globals.document && globals.reportError) globals.reportError(error);
  else globals.console.error(error);
}

/** @returns whether a body can be sent only once */
const isStream = (body: unknown): boolean =>
  typeof body === 'object' &&
  body !== null &&
  ('getReader' in body || Symbol.asyncIterator in body);
