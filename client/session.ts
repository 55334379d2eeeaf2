/**
 * The session of a front end, in three files without dependencies: copy them in, read them, change them. Import this one.
 * `session-tokens.ts` keeps the tokens, and keeps the tabs in sync. `session-http.ts` calls the server.
 *
 * Needs: a Strapi with the refresh-token extension at `baseUrl`, and `fetch`, `URL` and `AbortController`. Browsers use the
 * cookie. React Native and Node use the body, with a store you provide. Web Locks and BroadcastChannel are used where they
 * exist. Dangerous to change: the refresh token is stored before the access token is used; only a refresh that returns 400
 * or 401 with a code ends the session; the access token stays in memory and goes to `baseUrl` only; a request is never sent
 * for a session other than the one it was made for.
 */

import { Api, createQueue, failure, globals, isSignedIn, unlessAborted } from './session-http';
import type { Answer, EndCode, FetchInit, FetchInput, SessionRequestError } from './session-http';
import { Tokens } from './session-tokens';
import type { SessionEvent, TokenStore } from './session-tokens';

export type { Answer, EndCode, SessionEvent, SessionRequestError, TokenStore };

export interface User {
  id: number;
  username: string;
  email: string;
  [field: string]: any;
}

export interface SessionOptions {
  /** The URL of Strapi: `https://api.example.com`. In a page, '' (the default) is the page's own origin. */
  baseUrl?: string | undefined;
  /** Strapi's REST prefix: `/api`. */
  prefix?: string | undefined;
  /** How the refresh token travels: `cookie` by default. */
  transport?: 'cookie' | 'body' | undefined;
  /** For the body transport: where to store the refresh token. In memory by default. */
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
   * Continues with the response of a sign-in that you sent yourself, such as a provider's callback or change-password. A
   * response with a `user` but no `jwt` (a registration that awaits confirmation) changes nothing.
   *
   * @throws SessionRequestError if the response is a refusal; Error if it has neither a `jwt` nor a `user`
   */
  adopt(answer: Answer): Promise<void>;
  /**
   * `fetch` with the access token. It is refreshed before it expires, and once on 401, after which the request is sent again.
   * A path is relative to `baseUrl`. Any other address, and a request with its own Authorization, is passed on unchanged.
   *
   * @throws what `fetch` throws; what `refresh` throws, if there is no valid access token to send; SessionRequestError with the
   * code `session_changed`. A 401 is returned and never retried if the session turns out to be another one by then
   */
  fetch(input: FetchInput, init?: FetchInit): Promise<Response>;
  /**
   * Refreshes, once for all concurrent callers, in all tabs.
   *
   * @returns the new access token, or null when there is no session
   * @throws SessionRequestError for any response but 200, and 400 or 401 with a code; a network error. The session stays
   */
  refresh(): Promise<string | null>;
  /** @returns a valid access token, refreshed if needed, or null when no one is signed in. @throws as `refresh` */
  accessToken(): Promise<string | null>;
  /**
   * Signs out in all tabs immediately, then on the server. Call it when the user signs out, never because of a 401: it clears the
   * cookie, which may belong to a newer sign-in by then.
   *
   * @throws if the server could not be reached. The session is over here, but not on the server: tell the user, and call it
   *   again
   */
  signOut(): Promise<void>;
  /** @returns a function that unsubscribes */
  subscribe(listener: (event: SessionEvent) => unknown): () => void;
  /** Stops listening to the page and to other tabs. */
  close(): void;
}

/** Milliseconds before a refused anonymous request makes this check again whether there is a session. */
const RECHECK_INTERVAL = 10_000;

const SESSION_CHANGED = 'Another user signed in before this request could be sent.';

export function createSession(options: SessionOptions = {}): Session {
  const { transport = 'cookie', leeway = 30 } = options;
  const store = transport === 'body' ? (options.store ?? memoryStore()) : null;
  const api = new Api(options, store === null);
  // On a server, users share the process: there, nothing is shared by default.
  const shared = options.shared ?? (transport === 'cookie' && globals.document !== undefined);
  const name = `refresh-token ${transport} ${api.url}`;
  const exclusively = createQueue(name, shared);
  const { emit, subscribe, unsubscribeAll } = createEmitter();
  const tokens = new Tokens({ api, store, exclusively, leeway, emit }, shared ? name : null);
  const stopWatching = watchPage(tokens);

  return {
    signIn: (fields, path = '/auth/local') =>
      exclusively(async (signal) => {
        const since = Date.now();
        const wanted = store ? { ...fields, requestRefresh: true } : fields;
        const answer = await api.post(path, wanted, signal);
        if (isSignedIn(answer, 200)) await tokens.accept(answer, since, 'signed-in', signal);
        return answer.user as User;
      }),
    async adopt(answer) {
      const since = Date.now();
      if (!isSignedIn(answer, 0)) return;
      await exclusively((signal) => tokens.accept(answer, since, 'signed-in', signal));
    },
    fetch: (input, init) => authorizedFetch(api, tokens, input, init),
    refresh: async () => (await tokens.refresh())?.jwt ?? null,
    accessToken: async () => (await tokens.valid())?.jwt ?? null,
    async signOut() {
      tokens.leave();
      tokens.end('signed_out');
      await exclusively(async (signal) => {
        // A sign-in or refresh that was still in progress has finished by now.
        tokens.leave();
        if (tokens.current) tokens.end('signed_out');
        const proof = tokens.leaving?.proof ?? null;
        const refreshToken = store && (await store.get());
        if (!store || refreshToken || proof) {
          const fields = refreshToken ? { refreshToken } : {};
          await api.post('/token/revoke', fields, signal, proof);
        }
        // Only now: until the server knows about it, this can be repeated.
        await tokens.forget(refreshToken, signal);
        if (!signal.aborted) tokens.leaving = null;
      });
    },
    subscribe,
    close() {
      tokens.close();
      stopWatching();
      unsubscribeAll();
    },
  };
}

async function authorizedFetch(api: Api, tokens: Tokens, input: FetchInput, init?: FetchInit) {
  const request = api.prepare(input, init);
  if (!request.isOwn) return request.passOn();
  const before = tokens.sessions;
  const token = await unlessAborted(tokens.valid(), request.signal);
  if (token && token.session !== before) {
    throw failure(SESSION_CHANGED, { status: 0, code: 'session_changed' });
  }
  const isLast = token === null || request.isStream;
  const response = await request.send(token && token.jwt, isLast);
  if (token === null) {
    const isRefused = response.status === 401 || response.status === 403;
    if (isRefused && Date.now() - tokens.changedAt >= RECHECK_INTERVAL) recheck(tokens);
    return response;
  }
  if (response.status !== 401) return response;

  // It may be a short failure of the database: the page gets the response, and the session stays.
  if (tokens.current === token) {
    const refreshed = tokens.refresh().catch(() => null);
    await unlessAborted(refreshed, request.signal);
  }
  const next = tokens.current;
  const isRefreshed = next !== null && next !== token && next.session === token.session;
  if (!isRefreshed || isLast) return response;
  // Frees its connection without waiting for the rest of the body.
  response.body?.cancel().catch(() => {});
  return request.send(next.jwt, true);
}

/** A user may have signed in outside of this client. A failure does not matter: the next request shows it. */
const recheck = (tokens: Tokens) => void tokens.refresh().catch(() => {});

function watchPage(tokens: Tokens): () => void {
  const onVisible = () => {
    if (tokens.signedOut && globals.document.visibilityState === 'visible') recheck(tokens);
  };
  /** A page restored by the back button has received no messages meanwhile. */
  const onPageShow = (event: { persisted: boolean }) => {
    if (event.persisted && (tokens.current || tokens.signedOut)) recheck(tokens);
  };
  globals.document?.addEventListener?.('visibilitychange', onVisible);
  if (globals.document) globals.addEventListener?.('pageshow', onPageShow);
  return () => {
    globals.document?.removeEventListener?.('visibilitychange', onVisible);
    if (globals.document) globals.removeEventListener?.('pageshow', onPageShow);
  };
}

function createEmitter() {
  const listeners = new Set<(event: SessionEvent) => unknown>();
  const events: SessionEvent[] = [];
  return {
    emit(event: SessionEvent): void {
      // A listener may cause the next event. All listeners get the events in the same order.
      if (events.push(event) > 1) return;
      for (const next of events) {
        for (const listener of [...listeners]) {
          // Async, so that a rejection is caught as well. It still calls the listener immediately.
          if (listeners.has(listener)) (async () => listener(next))().catch(report);
        }
      }
      events.length = 0;
    },
    subscribe(listener: (event: SessionEvent) => unknown): () => void {
      const own = (event: SessionEvent) => listener(event);
      listeners.add(own);
      return () => void listeners.delete(own);
    },
    unsubscribeAll: () => listeners.clear(),
  };
}

/** An error in the page's own listener is reported and breaks nothing here. In Node, a throw would end the process. */
function report(error: unknown): void {
  if (globals.document && globals.reportError) globals.reportError(error);
  else globals.console.error(error);
}

function memoryStore(): TokenStore {
  let kept: string | null = null;
  return {
    get: () => kept,
    set: (token) => (kept = token),
    delete: () => (kept = null),
  };
}
