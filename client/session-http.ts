/** The HTTP calls of `session.ts`: their URLs, their order and deadline, and how a refusal is reported. */

export type FetchInput = Parameters<typeof fetch>[0];
export type FetchInit = Parameters<typeof fetch>[1];

/** The response of a sign-in. Without a `jwt`, no one was signed in, as after a registration that awaits confirmation. */
export interface Answer {
  jwt?: string | undefined;
  refreshToken?: string | undefined;
  user?: unknown;
}

/** The response of `/token/refresh` and, without a refresh token, of `/token/access`. */
export type TokenAnswer = Answer & { jwt: string };

/**
 * What every function of a session but `fetch` throws when the server refused or failed. `code` is any code of the
 * server. `fetch` throws it with status 0 and the code `session_changed` if another user signed in before the request could
 * be sent. A network error is thrown as `fetch` throws it; a call that takes longer than 30 seconds throws a
 * `TimeoutError`.
 */
export type SessionRequestError = Error & { status: number; code?: string | undefined };

/**
 * Why a session is over: signed out, here or in another tab, or the `error.details.code` of the server (add those of your own
 * `policy.ts`). Others do not end it, for example `origin_refused` (403) and `temporarily_unavailable` (503, try again later).
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

export interface ApiOptions {
  baseUrl?: string | undefined;
  prefix?: string | undefined;
  fetch?: typeof fetch | undefined;
}

/** Milliseconds for everything that runs exclusively, including the wait: the store, the lock and the server. */
const DEADLINE = 30_000;

const BUSY = Symbol('another tab holds the lock');

const NO_SIGN_IN =
  'This is not a sign-in response: it has neither a jwt nor a user. Pass the JSON of a sign-in.';

const TIMEOUT = 'Timed out after 30 seconds: the API, the store or a lock did not respond.';

const NO_BASE_URL =
  'createSession needs an absolute baseUrl outside a page, such as https://api.example.com.';

/** Untyped: not every runtime or type library has these globals. */
export const globals: any = globalThis;

export class Api {
  /** The URL of the REST routes. */
  readonly url: string;
  /** The URL of Strapi. */
  private readonly home: string;
  private readonly usesCookie: boolean;
  private readonly send: typeof fetch;

  constructor({ baseUrl, prefix, fetch: own }: ApiOptions, usesCookie: boolean) {
    this.home = homeOf(baseUrl);
    this.url = this.home + (prefix ?? '/api');
    this.usesCookie = usesCookie;
    // Not `own` itself: a browser's fetch throws when it is called as a method of this object.
    this.send = (...args) => (own ?? globalThis.fetch)(...args);
  }

  /** POST with fields, GET without. @throws SessionRequestError for a refusal, and for a response that is not JSON */
  async call(
    path: string,
    fields: object | null,
    signal: AbortSignal,
    bearer?: string | null
  ): Promise<Answer> {
    if (!isBelow(this.url + path, this.home)) throw new Error(NO_BASE_URL);
    const method = fields ? 'POST' : 'GET';
    const response = await this.send(this.url + path, {
      method,
      headers: {
        ...(fields && { 'Content-Type': 'application/json' }),
        ...(bearer && { Authorization: `Bearer ${bearer}` }),
      },
      body: fields && JSON.stringify(fields),
      credentials: this.usesCookie ? 'include' : 'omit',
      // A 307 or 308 would send the password or the refresh token to any host it points to.
      redirect: 'error',
      signal,
    });
    return readAnswer(response, `${method} ${path.split('?')[0]}`);
  }

  async refresh(refreshToken: string | null, signal: AbortSignal): Promise<TokenAnswer> {
    const answer = await this.call('/token/refresh', refreshToken ? { refreshToken } : {}, signal);
    if (!hasToken(answer)) throw refusal(answer, 200, 'The response has no jwt.');
    return answer;
  }

  /** Prepares a request of the page. Only one that `isOwn` may carry the access token; pass all others on unchanged. */
  prepare(input: FetchInput, init: FetchInit = {}) {
    const request = typeof input === 'object' && 'url' in input ? input : null;
    const given = request ? request.url : String(input);
    const address = /^\/(?![/\\])/.test(given) ? this.home + given : given;
    const headers = new Headers(init?.headers ?? request?.headers);
    if (!this.home && given.startsWith('/')) throw new Error(NO_BASE_URL);
    // change-password and similar routes set the cookie in their response.
    const isDefault = !request || request.credentials === 'same-origin';
    const credentials = this.usesCookie && isDefault ? { credentials: 'include' as const } : {};
    return {
      isOwn: isBelow(address, this.home) && !headers.has('Authorization'),
      isStream: isStream(init?.body),
      signal: init?.signal ?? request?.signal ?? null,
      passOn: () => this.send(request ?? address, init),
      send: (bearer: string | null, isLast: boolean) => {
        if (bearer) headers.set('Authorization', `Bearer ${bearer}`);
        const target = request && !isLast ? request.clone() : (request ?? address);
        return this.send(target, { ...credentials, ...init, headers });
      },
    };
  }
}

export type Exclusively = ReturnType<typeof createQueue>;

/**
 * Runs one at a time, in the order of the calls: in all tabs with Web Locks. Without them, the server's grace period handles
 * tabs that refresh at the same time. After the deadline the next one runs, so `work` changes nothing once its signal is aborted.
 */
export function createQueue(name: string, shared: boolean) {
  const locks = shared ? globals.navigator?.locks : null;
  let queue: Promise<unknown> = Promise.resolve();

  return async function exclusively<T>(
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
        // A browser that blocks cookies also denies Web Locks.
        if (started) throw error;
        return run(false);
      }
    };
    const turn: Promise<T> = queue.then(() => (locks ? withLock() : run(false)));
    queue = unlessAborted(turn, signal).catch(() => {});
    try {
      return await unlessAborted(turn, signal);
    } catch (error) {
      throw signal.aborted ? failure(TIMEOUT, { name: 'TimeoutError' }) : error;
    } finally {
      clearTimeout(timer);
    }
  };
}

/** @returns the normalized address of Strapi, without a trailing slash; '' if there is none, as while a page is prerendered */
function homeOf(baseUrl: string | undefined): string {
  const href = valueOr('', () => new URL(baseUrl || '/', globals.location?.href).href);
  return /^https?:/.test(href) ? href.replace(/\/+$/, '') : '';
}

/** @returns whether a URL, resolved as `fetch` does, is below another one */
function isBelow(address: string, home: string): boolean {
  const base = globals.document?.baseURI ?? globals.location?.href;
  return home !== '' && valueOr('', () => new URL(address, base).href).startsWith(`${home}/`);
}

/** @returns whether a body can be sent only once */
const isStream = (body: any): boolean => Boolean(body?.getReader ?? body?.[Symbol.asyncIterator]);

const hasToken = (answer: Answer): answer is TokenAnswer =>
  typeof answer?.jwt === 'string' && answer.jwt !== '';

/** @returns whether anyone was signed in. @throws SessionRequestError if this is not the response of a sign-in */
export function isSignedIn(answer: Answer, status: number): answer is TokenAnswer {
  if (!hasToken(answer) && !answer?.user) throw refusal(answer, status, NO_SIGN_IN);
  return hasToken(answer);
}

/** @returns the claims, unverified; none if they cannot be read; then only a 401 shows that the token has expired */
export function claimsOf(jwt: string): { sid: unknown; lifetime: number } {
  const encoded = () => (jwt.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/');
  const { sid, iat, exp } = valueOr(null, () => JSON.parse(globals.atob(encoded()))) ?? {};
  return { sid, lifetime: exp && iat ? (exp - iat) * 1000 : Infinity };
}

export const failure = <T extends object>(message: string, fields: T): Error & T =>
  Object.assign(new Error(message), fields);

/** @returns the JSON. @throws SessionRequestError for a refusal, and for a response that is not JSON */
export async function readAnswer<T>(response: Response, request: string): Promise<T> {
  // Not json(), with which an incomplete response would look like one that is not JSON.
  const text = await response.text();
  const answer = valueOr(null, () => JSON.parse(text));
  if (response.ok && answer) return answer;
  throw refusal(answer, response.status, `${request} returned ${response.status}.`);
}

/** @returns Strapi's error as one to throw, or `message` if the response has none */
export function refusal(answer: any, status: number, message: string): SessionRequestError {
  const error = answer?.error;
  return failure(error?.message ?? message, {
    status: status || (error?.status ?? 0),
    code: error?.details?.code,
  });
}

/** If AbortController is a polyfill, a signal has no reason. */
const reasonOf = (signal: AbortSignal): unknown =>
  signal.reason ?? failure('Aborted.', { name: 'AbortError' });

/** @returns what the promise resolves to. @throws the signal's reason as soon as it is aborted */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | null): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(reasonOf(signal));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** @returns what `work` returns, or `otherwise` if it throws */
export function valueOr<T>(otherwise: T, work: () => T): T {
  try {
    return work();
  } catch {
    return otherwise;
  }
}
