import { isOrigin } from './config';
import type { Config } from './config';
import { SessionError } from './errors';
import type { Client, Context, Grant, Transport } from './types';

/** Request header by which front ends of Strapi's own refresh mode ask for the cookie. */
const COOKIE_WISH = 'x-strapi-refresh-cookie';

/** The columns are text of 255 characters. */
const LONGEST_TEXT = 255;

/** @returns the body's fields. @throws SessionError `invalid_request` if it is anything but an object */
export function bodyOf(ctx: Context): Record<string, unknown> {
  const body: unknown = (ctx.request as { body?: unknown }).body ?? {};
  // koa-body leaves '' where there was no body to read.
  if (body === '') return {};
  if (typeof body !== 'object' || Array.isArray(body)) {
    throw new SessionError('invalid_request', 'The body must be a JSON object.');
  }
  return body as Record<string, unknown>;
}

/**
 * @param value a field that may hold a token
 * @returns the token, or null where there is none: absent, null and '' are none, so that the cookie counts
 * @throws SessionError `invalid_request` if it is anything but text
 */
export function tokenFrom(value: unknown, field: string): string | null {
  if (value === undefined || value === null || value === '') return null;
  if (typeof value === 'string') return value;
  throw new SessionError('invalid_request', `${field} must be a string.`);
}

/** What a sign-in may say beside stock's fields. */
interface SignInFields {
  wantsBody: boolean;
  description: string | null;
}

/**
 * Reads what is ours of a sign-in and takes it out of the body: the stock actions refuse keys that they do not know.
 *
 * @param allowed names that are fields of the project's own users, and stay
 * @throws SessionError `invalid_request` for anything that is not of the expected form
 */
export function takeSignInFields(ctx: Context, allowed: readonly string[]): SignInFields {
  const { requestRefresh, sessionDescription, ...rest } = bodyOf(ctx);
  // What front ends of Strapi's own refresh mode send; a session needs none.
  if (!allowed.includes('deviceId')) delete rest.deviceId;
  refuseNul(rest);
  (ctx.request as { body?: unknown }).body = rest;
  return read({ requestRefresh, sessionDescription });
}

/**
 * The same on the way back from a provider: from the query, or as it was wished on the way there.
 *
 * @throws SessionError `invalid_request` as `takeSignInFields`
 */
export function takeProviderFields(ctx: Context): SignInFields {
  const kept = ctx.session?.refreshTokenWish;
  if (kept) delete ctx.session!.refreshTokenWish;
  return read({ ...kept, ...ctx.query });
}

/**
 * Keeps what the query of `/connect/:provider` wishes until the provider's callback.
 *
 * @throws SessionError `invalid_request` as `takeSignInFields`
 */
export function keepWish(ctx: Context): void {
  const { requestRefresh, sessionDescription } = ctx.query;
  read(ctx.query);
  if (ctx.session) ctx.session.refreshTokenWish = { requestRefresh, sessionDescription };
}

/**
 * PostgreSQL answers NUL with an error, and the stock actions hand what they get to it as it is.
 *
 * @throws SessionError `invalid_request`
 */
export function refuseNul(fields: object): void {
  if (Object.values(fields).some((value) => typeof value === 'string' && value.includes('\0'))) {
    throw new SessionError('invalid_request', 'No field may contain the NUL character.');
  }
}

const read = (said: { requestRefresh?: unknown; sessionDescription?: unknown }): SignInFields => ({
  wantsBody: readWish(said.requestRefresh),
  description: readDescription(said.sessionDescription),
});

function readWish(value: unknown): boolean {
  if (value === true || value === 'true') return true;
  if (value === false || value === null || value === undefined) return false;
  throw new SessionError('invalid_request', 'requestRefresh must be true or false.');
}

/**
 * @returns a session's description, or null
 * @throws SessionError `invalid_request` if it is no text, or too long
 */
export function readDescription(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  // Counted as the databases count, by character.
  const fits = typeof value === 'string' && [...value].length <= LONGEST_TEXT;
  if (fits && !value.includes('\0')) return value;
  throw new SessionError(
    'invalid_request',
    `sessionDescription must be text of at most ${LONGEST_TEXT} characters, without NUL.`
  );
}

/** @returns what the request tells about its device, cut to fit the columns */
export const clientOf = (ctx: Context): Client => ({
  userAgent: printable(ctx.get('user-agent')),
  ip: printable(ctx.ip ?? ''),
});

/** Headers may hold any byte, and not every database's character set does. */
const printable = (text: string): string | null =>
  text.slice(0, LONGEST_TEXT).replace(/[^\x20-\x7e]/g, '?') || null;

/** @returns the token of an `Authorization: Bearer` header, or null */
export const bearerOf = (ctx: Context): string | null =>
  /^bearer\s+(\S+)\s*$/i.exec(ctx.get('authorization'))?.[1] ?? null;

/** @returns whether the request asks, by header, to be answered with the cookie */
export const wantsCookie = (ctx: Context): boolean => ctx.get(COOKIE_WISH) === 'httpOnly';

/** @returns how to answer a request that says nothing of the body, and is of no session */
export const settle = (ctx: Context, config: Config): Transport =>
  wantsCookie(ctx) ? 'cookie' : config.response;

/** @returns whether the request carries the refresh cookie, valid or not */
export const hasCookie = (ctx: Context, { cookie }: Config): boolean =>
  Boolean(ctx.cookies.get(cookie.name, { signed: false }));

/**
 * Reads the cookie and verifies its signature. Not by `get(name, { signed: true })`: that also writes, a signature without
 * the cookie's own attributes, and an answer that sets nothing must change nothing in the browser.
 *
 * @returns the refresh token, or null if there is none or its signature is wrong or missing
 */
export function readCookie(ctx: Context, { cookie: { name } }: Config): string | null {
  const token = ctx.cookies.get(name, { signed: false });
  const signature = ctx.cookies.get(`${name}.sig`, { signed: false });
  const { keys } = ctx.cookies as unknown as { keys: Keys };
  return token && signature && keys.verify(`${name}=${token}`, signature) ? token : null;
}

/** The app's keys, as the cookie library holds them. */
interface Keys {
  verify(data: string, signature: string): boolean;
}

/** Sets or, without a grant, clears the refresh cookie. Behind a proxy that the app does not trust it is Secure all the same. */
export function writeCookie(ctx: Context, config: Config, grant: Grant | null): void {
  const { name, sameSite, domain, secure } = config.cookie;
  if (secure && !ctx.secure) {
    // The library would throw, and a sign-in answer 500: it cannot know that the proxy in front speaks TLS.
    ctx.cookies.secure = true;
    warnOfProxy(ctx);
  }
  ctx.cookies.set(name, grant ? grant.refreshToken : null, {
    httpOnly: true,
    signed: true,
    overwrite: true,
    path: '/',
    sameSite,
    domain,
    secure,
    expires: new Date(grant ? grant.expiresAt : 0),
  });
}

/**
 * Writes what a grant hands out, by the transport that was settled on.
 *
 * @returns the fields that go into the JSON beside `jwt`
 */
export function writeGrant(
  ctx: Context,
  config: Config,
  transport: Transport,
  grant: Grant
): { refreshToken?: string } {
  ctx.set('Cache-Control', 'no-store');
  if (transport !== 'body') writeCookie(ctx, config, grant);
  return transport === 'cookie' ? {} : { refreshToken: grant.refreshToken };
}

/**
 * Refuses a request that a foreign page may have caused, before the cookie is read or set. The order is that of Go's
 * http.CrossOriginProtection; no page can forge either header.
 *
 * @param navigable whether a top-level navigation passes, as the redirect of a provider or a link in a mail arrives: no
 *   page can read its answer
 * @throws SessionError `origin_refused`, with the setting that would let it pass
 * @see https://pkg.go.dev/net/http#CrossOriginProtection
 */
export function assertOrigin(ctx: Context, config: Config, navigable = false): void {
  const origin = ctx.get('origin');
  if (config.allowedOrigins.includes(origin)) return;
  if (config.allowLocalhost && /^http:\/\/localhost(:\d+)?$/.test(origin)) return;

  const site = ctx.get('sec-fetch-site');
  if (site) {
    if (site === 'same-origin' || site === 'none') return;
    const navigation = ctx.method === 'GET' && ctx.get('sec-fetch-mode') === 'navigate';
    if (navigable && navigation) return;
  } else if (!origin || hostOf(origin) === ctx.host) {
    return;
  }

  const cure = isOrigin(origin)
    ? `To allow it, add ${origin} to REFRESH_ALLOWED_ORIGINS.`
    : 'To allow a front end of your own, add its origin to REFRESH_ALLOWED_ORIGINS.';
  throw new SessionError('origin_refused', `This origin may not use the refresh cookie. ${cure}`);
}

const warned = new WeakSet<object>();

function warnOfProxy(ctx: Context): void {
  if (warned.has(ctx.app)) return;
  warned.add(ctx.app);
  strapi.log.warn(
    '[refresh-token] a request came in over plain http, and was answered with a Secure cookie, which a browser keeps only if it came over https. Behind a proxy that speaks TLS, set server.proxy: { koa: true } in config/server, and let the proxy send X-Forwarded-Proto.'
  );
}

function hostOf(origin: string): string | null {
  try {
    return new URL(origin).host;
  } catch {
    return null;
  }
}
