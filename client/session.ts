/**
 * The session of a front end, in four files without dependencies: copy them in, read them, change them. Import this one.
 * The others keep the tokens and the tabs in sync (`-tokens`), call the server (`-http`) and listen to the page (`-page`).
 *
 * Needs: a Strapi with the refresh-token extension at `baseUrl`, and `fetch`, `URL` and `AbortController`. Browsers use the
 * cookie. React Native and Node use the body, with a store you provide. Web Locks and BroadcastChannel are used where they
 * exist. Dangerous to change: the refresh token is stored before the access token is used; only a refresh that returns 400
 * or 401 with a code ends the session; the access token stays in memory and goes to `baseUrl` only; a request is never sent
 * for a session other than the one it was made for.
 */

import {
  Api,
  createQueue,
  failure,
  globals,
  isSignedIn,
  readAnswer,
  unlessAborted,
} from './session-http';
import type { Answer, FetchInit, FetchInput } from './session-http';
import { createEmitter, createMarker, memoryStore, watchPage } from './session-page';
import { Tokens } from './session-tokens';
import type { Dependencies, SessionEvent, TokenStore } from './session-tokens';

export type { Answer, EndCode, SessionRequestError, TokenAnswer } from './session-http';
export type { SessionEvent, TokenStore } from './session-tokens';

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
  /**
   * Where users sign in only with this client: asks for a session only if this browser had one (a mark in localStorage), so
   * that a visitor causes no failed refresh. Then only `refresh()` notices a sign-in outside of it, as in a server action.
   */
  quiet?: boolean | undefined;
  /** Refreshes when the access token has this many seconds left: 30, but at most half its lifetime. */
  leeway?: number | undefined;
}

export interface Session {
  /**
   * Signs in, or registers: `path` is `/auth/local` by default. With `rememberMe: false`, the browser deletes the cookie when it closes.
   *
   * @throws SessionRequestError if the server refused
   */
  signIn(fields: { [field: string]: unknown }, path?: string): Promise<User>;
  /**
   * Finishes a social sign-in, on the page that the provider came back to. It works once, so calls for one visit share one
   * request (React's StrictMode runs effects twice). Leave the page afterwards: reloading it would fail.
   *
   * @param query of that page: `location.search` by default
   * @throws SessionRequestError if the server refused
   */
  signInBy(provider: string, query?: string): Promise<User>;
  /**
   * Call it when the page loads. @returns who is signed in, or null if no one is
   *
   * @throws if that is unknown: no network, 429, 5xx, or 403 for a user who may not read `/users/me`
   */
  restore(): Promise<User | null>;
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
   * @throws SessionRequestError unless the response is 200, or 400 or 401 with a code; a network error. The session continues
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

/** How many milliseconds must pass before a refused anonymous request causes another check for a session. */
const RECHECK_INTERVAL = 10_000;

export function createSession(options: SessionOptions = {}): Session {
  const { transport = 'cookie', leeway = 30 } = options;
  const store = transport === 'body' ? (options.store ?? memoryStore()) : null;
  const api = new Api(options, store === null);
  // On a server, users share the process: there, nothing is shared by default.
  const shared = options.shared ?? (transport === 'cookie' && globals.document !== undefined);
  const name = `refresh-token ${transport} ${api.url}`;
  const exclusively = createQueue(name, shared);
  const { emit, subscribe, unsubscribeAll } = createEmitter();
  const marker = createMarker(options.quiet && !store ? name : null);
  const needs = { api, store, exclusively, leeway, marker, emit };
  const tokens = new Tokens(needs, shared ? name : null);
  const stopWatching = watchPage(
    () => tokens.signedOut && recheck(tokens),
    () => (tokens.current || tokens.signedOut) && recheck(tokens)
  );

  return {
    ...signIns(tokens, needs),
    fetch: (input, init) => authorizedFetch(api, tokens, input, init),
    restore: () => restore(api, tokens),
    refresh: async () => (await tokens.refresh())?.jwt ?? null,
    accessToken: async () => (await tokens.valid())?.jwt ?? null,
    signOut: () => signOut(tokens, needs),
    subscribe,
    close() {
      tokens.close();
      stopWatching();
      unsubscribeAll();
    },
  };
}

function signIns(tokens: Tokens, { api, store, exclusively }: Dependencies) {
  const signIn = (send: (signal: AbortSignal) => Promise<Answer>) =>
    exclusively(async (signal) => {
      const since = Date.now();
      const answer = await send(signal);
      if (isSignedIn(answer, 200)) await tokens.accept(answer, since, 'signed-in', signal);
      return answer.user as User;
    });
  let visit: { path: string; user: Promise<User> } | null = null;
  return {
    signIn(fields: { [field: string]: unknown }, path = '/auth/local') {
      const wanted = store ? { ...fields, requestRefresh: true } : fields;
      return signIn((signal) => api.call(path, wanted, signal));
    },
    signInBy(provider: string, query: string = globals.location?.search) {
      const search = new URLSearchParams(query);
      if (store) search.set('requestRefresh', 'true');
      const path = `/auth/${encodeURIComponent(provider)}/callback?${search}`;
      if (visit?.path === path) return visit.user;
      const user = signIn((signal) => api.call(path, null, signal));
      visit = { path, user };
      // After a failure, it may be called again.
      user.catch(() => (visit = null));
      return user;
    },
    async adopt(answer: Answer) {
      const since = Date.now();
      if (!isSignedIn(answer, 0)) return;
      await exclusively((signal) => tokens.accept(answer, since, 'signed-in', signal));
    },
  };
}

async function signOut(tokens: Tokens, { api, store, exclusively }: Dependencies) {
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
      await api.call('/token/revoke', fields, signal, proof);
    }
    // Only now: until the server knows about it, this can be repeated.
    await tokens.forget(refreshToken, signal);
    if (!signal.aborted) tokens.leaving = null;
  });
}

async function restore(api: Api, tokens: Tokens): Promise<User | null> {
  const token = await tokens.valid();
  if (token === null) return null;
  const response = await authorizedFetch(api, tokens, `${api.url}/users/me`);
  // Signed out meanwhile, or in as someone else.
  if (tokens.current?.session !== token.session) return restore(api, tokens);
  return readAnswer(response, 'GET /users/me');
}

async function authorizedFetch(api: Api, tokens: Tokens, input: FetchInput, init?: FetchInit) {
  const request = api.prepare(input, init);
  if (!request.isOwn) return request.passOn();
  const before = tokens.sessions;
  const token = await unlessAborted(tokens.valid(), request.signal);
  if (token && token.session !== before) {
    throw failure('Another user signed in before this request could be sent.', {
      status: 0,
      code: 'session_changed',
    });
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
function recheck(tokens: Tokens): void {
  if (tokens.mayExist()) void tokens.refresh().catch(() => {});
}
