import { isOrigin, matchesOrigin } from '../config/read';
import type { Config } from '../config/read';
import { SessionError } from '../errors';
import type { Client, Context, Grant, Transport } from '../types';

/** Request header by which front ends of Strapi's own refresh mode ask for the cookie. */
const COOKIE_WISH = 'x-strapi-refresh-cookie';

/** The columns are text of 255 characters. */
const LONGEST_TEXT = 255;

/** The fields of a body that this extension knows, whatever they hold. */
export interface Body {
  requestRefresh?: unknown;
  sessionDescription?: unknown;
  description?: unknown;
  deviceId?: unknown;
  scope?: unknown;
  refreshToken?: unknown;
  token?: unknown;
  [field: string]: unknown;
}

/** @returns the body's fields. @throws SessionError `invalid_request` if it is anything but an object */
export function bodyOf(ctx: Context): Body {
  const body: unknown = (ctx.request as { body?: unknown }).body ?? {};
  // koa-body leaves '' where there was no body to read.
  if (body === '') return {};
  if (typeof body !== 'object' || Array.isArray(body)) {
    throw new SessionError('invalid_request', 'The body must be a JSON object.');
  }
  return body as Body;
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
export interface SignInOptions {
  wantsBody: boolean;
  description: string | null;
  deviceId: string | null;
}

/**
 * Reads what is ours of a sign-in and takes it out of the body: the stock actions refuse keys that they do not know.
 *
 * @param keepsDeviceId whether the project's registration takes a `deviceId` of its own, which then stays
 * @throws SessionError `invalid_request` for anything that is not of the expected form
 */
export function takeSignInFields(ctx: Context, keepsDeviceId: boolean): SignInOptions {
  const { requestRefresh, sessionDescription, ...fields } = bodyOf(ctx);
  refuseIllFormed(fields);
  const { deviceId } = fields;
  if (!keepsDeviceId) delete fields.deviceId;
  const options = readSignInOptions({
    requestRefresh,
    sessionDescription,
    // The project's own field may be anything, and is noted where it fits.
    deviceId: keepsDeviceId && !isText(deviceId) ? null : deviceId,
  });
  (ctx.request as { body?: unknown }).body = fields;
  return options;
}

/**
 * Refuses text that Strapi would pass on to something that cannot handle it: PostgreSQL rejects NUL, and bcryptjs never
 * returns from half of a surrogate pair, which ends the process.
 *
 * @throws SessionError `invalid_request`
 */
export function refuseIllFormed(fields: object): void {
  if (Object.values(fields).some((value) => typeof value === 'string' && !isWellFormed(value))) {
    throw new SessionError(
      'invalid_request',
      'No field may contain the NUL character or half of a surrogate pair.'
    );
  }
}

/** @returns whether text can be hashed and stored by everybody: without NUL and without half of a surrogate pair */
export const isWellFormed = (text: string): boolean => !/\0|\p{Surrogate}/u.test(text);

/** @throws SessionError `invalid_request` for anything that is not of the expected form */
export const readSignInOptions = (said: {
  requestRefresh?: unknown;
  sessionDescription?: unknown;
  deviceId?: unknown;
}): SignInOptions => ({
  wantsBody: readWish(said.requestRefresh),
  description: readDescription(said.sessionDescription),
  deviceId: readDeviceId(said.deviceId),
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
export const readDescription = (value: unknown): string | null =>
  readText(value, 'sessionDescription');

/**
 * @returns the client's id for its device, or null: '' is none, as in Strapi's refresh mode
 * @throws SessionError `invalid_request` if it is no text, or too long
 */
export const readDeviceId = (value: unknown): string | null => readText(value, 'deviceId') || null;

/** Counted as the databases count, by character. */
const isText = (value: unknown): value is string =>
  typeof value === 'string' && [...value].length <= LONGEST_TEXT && isWellFormed(value);

function readText(value: unknown, field: string): string | null {
  if (value === undefined || value === null) return null;
  if (isText(value)) return value;
  throw new SessionError(
    'invalid_request',
    `${field} must be text of at most ${LONGEST_TEXT} characters, without NUL.`
  );
}

/** @returns what the request tells about its device, cut to fit the columns */
export const clientOf = (ctx: Context): Client => ({
  userAgent: printable(headerOf(ctx, 'user-agent')),
  ip: printable(ctx.ip ?? ''),
});

/** Headers may hold any byte, and not every database's character set does. */
const printable = (text: string): string | null =>
  text.slice(0, LONGEST_TEXT).replace(/[^\x20-\x7e]/g, '?') || null;

/**
 * A project's own code may call an action with a context that it made by hand, without headers or cookies.
 *
 * @returns a request header, '' where there is none
 */
export const headerOf = (ctx: Context, name: string): string =>
  typeof ctx.get === 'function' ? ctx.get(name) : (ctx.request?.headers?.[name]?.toString() ?? '');

/** @returns whether an answer of this context can carry a cookie: one that was made by hand cannot */
export const canSetCookies = (ctx: Context): boolean => typeof ctx.cookies?.set === 'function';

/** @returns the token of an `Authorization: Bearer` header, or null */
export const bearerOf = (ctx: Context): string | null =>
  /^bearer\s+(\S+)\s*$/i.exec(headerOf(ctx, 'authorization'))?.[1] ?? null;

/** @returns whether the request asks, by header, to be answered with the cookie */
export const wantsCookie = (ctx: Context): boolean => headerOf(ctx, COOKIE_WISH) === 'httpOnly';

/** @returns how to answer a request that says nothing of the body, and is of no session */
export function settle(ctx: Context, config: Config): Transport {
  if (!canSetCookies(ctx)) return 'body';
  return wantsCookie(ctx) ? 'cookie' : config.response;
}

/** @returns whether the request carries the refresh cookie, valid or not */
export const hasCookie = (ctx: Context, { cookie }: Config): boolean =>
  valuesOf(ctx, cookie.name).length > 0;

/** A refresh token, and what the cookie library signs a cookie with. Anything else is not worth an HMAC. */
const TOKEN = /^[\w-]+\.[\w-]{60,}\.[\w-]{43}$/;
const SIGNATURE = /^[\w-]{27}$/;

/**
 * Reads the refresh cookie and verifies its signature. There may be several of the name, since browsers send those of other
 * domains and paths too, such as one that a sister host set. The cookie library reads only the first, and when asked to
 * verify also writes, a signature without the cookie's own attributes. How many there can be is bounded by the size of the
 * header, which Node limits to 16 KB.
 *
 * @returns the values whose signature is right
 */
export function readCookies(ctx: Context, { cookie: { name } }: Config): string[] {
  const { keys } = (ctx.cookies ?? {}) as unknown as { keys?: Keys };
  if (!keys) return [];
  const tokens = valuesOf(ctx, name).filter((value) => TOKEN.test(value));
  if (tokens.length === 0) return [];
  const signatures = valuesOf(ctx, `${name}.sig`).filter((value) => SIGNATURE.test(value));
  return tokens.filter((token) =>
    signatures.some((signature) => keys.verify(`${name}=${token}`, signature))
  );
}

/** The app's keys, as the cookie library holds them. */
interface Keys {
  verify(data: string, signature: string): boolean;
}

/** @returns the different values of a cookie, as the cookie library reads one, without empty ones */
function valuesOf(ctx: Context, name: string): string[] {
  if (!canSetCookies(ctx)) return [];
  const values = headerOf(ctx, 'cookie')
    .split(';')
    .map((pair) => pair.replace(/^ +/, ''))
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1).replace(/^"(.*)"$/, '$1'))
    .filter(Boolean);
  return [...new Set(values)];
}

/** Sets or, without a grant, clears the refresh cookie. Behind a proxy that the app does not trust it is Secure all the same. */
export function writeCookie(ctx: Context, config: Config, grant: Grant | null): void {
  const { name, sameSite, domain, secure } = config.cookie;
  if (secure) allowSecureCookies(ctx);
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
 * Lets this answer set Secure cookies although the request came in over plain http. The library would throw, and a sign-in
 * answer 500: it cannot know that the proxy in front speaks TLS.
 */
export function allowSecureCookies(ctx: Context): void {
  if (ctx.secure) return;
  ctx.cookies.secure = true;
  warnOfProxy(ctx);
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
  if (typeof ctx.set === 'function') ctx.set('Cache-Control', 'no-store');
  if (transport !== 'body') writeCookie(ctx, config, grant);
  return transport === 'cookie' ? {} : { refreshToken: grant.refreshToken };
}

/**
 * Whether a request may use the refresh cookie: not if a foreign page may have caused it. The order is that of Go's
 * http.CrossOriginProtection; no page can forge either header.
 *
 * @param navigable whether a top-level navigation passes, as a link in a mail arrives: no page can read its answer
 * @see https://pkg.go.dev/net/http#CrossOriginProtection
 */
export function isOriginAllowed(ctx: Context, config: Config, navigable = false): boolean {
  const origin = headerOf(ctx, 'origin');
  if (matchesOrigin(origin, config.allowedOrigins)) return true;
  if (config.allowLocalhost && LOCALHOST.test(origin)) return true;

  const site = headerOf(ctx, 'sec-fetch-site');
  if (site) {
    if (site === 'same-origin' || site === 'none') return true;
    return navigable && ctx.method === 'GET' && headerOf(ctx, 'sec-fetch-mode') === 'navigate';
  }
  // Native apps and curl send neither header.
  if (!origin) return true;
  const host = hostOf(origin);
  // `file://` has an empty host, and a request of HTTP/1.0 may have none to compare with.
  return Boolean(host) && host === ctx.host;
}

/** This machine, on any port and by any scheme. */
const LOCALHOST = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;

/**
 * Refuses a request that a foreign page may have caused, before the cookie is read or set.
 *
 * @param navigable as in `isOriginAllowed`
 * @throws SessionError `origin_refused`, with the setting that would let it pass
 */
export function assertOrigin(ctx: Context, config: Config, navigable = false): void {
  if (isOriginAllowed(ctx, config, navigable)) return;

  const origin = headerOf(ctx, 'origin');
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
