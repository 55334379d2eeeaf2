import { SessionError } from '../errors';
import type { ClientInfo, Config, Context, Transport } from '../types';

/** Request header by which front ends of Strapi's own refresh mode ask for the cookie. */
const COOKIE_REQUEST_HEADER = 'x-strapi-refresh-cookie';

/** The columns are text of 255 characters. */
export const LONGEST_TEXT = 255;

/** The body's fields that this extension reads, with values of any type. */
export interface Body {
  requestRefresh?: unknown;
  rememberMe?: unknown;
  sessionDescription?: unknown;
  deviceId?: unknown;
  refreshToken?: unknown;
  [field: string]: unknown;
}

/** @returns the body's fields. @throws SessionError `invalid_request` if it is anything but an object */
export function readBody(ctx: Context): Body {
  const body: unknown = (ctx.request as { body?: unknown }).body ?? {};
  // koa-body leaves '' where there was no body to read.
  if (body === '') return {};
  if (typeof body !== 'object' || Array.isArray(body)) {
    throw new SessionError('invalid_request', 'The body must be a JSON object.');
  }
  return body as Body;
}

/** Replaces the body that the next action will read. */
export function replaceBody(ctx: Context, body: object): void {
  (ctx.request as { body?: unknown }).body = body;
}

/**
 * @param field the body's name for the refresh token
 * @returns the token, or null: absent, null and '' mean that there is none, so that the cookie is used
 * @throws SessionError `invalid_request` if it is not a string
 */
export function readBodyToken(ctx: Context, field = 'refreshToken'): string | null {
  const value = readBody(ctx)[field];
  if (value === undefined || value === null || value === '') return null;
  if (typeof value === 'string') return value;
  throw new SessionError('invalid_request', `${field} must be a string.`);
}

/** @returns what the request says about its device, cut to fit the columns */
export const clientInfo = (ctx: Context): ClientInfo => ({
  userAgent: printable(readHeader(ctx, 'user-agent')),
  ip: printable(ctx.ip ?? ''),
});

/** Headers may hold any byte, which not every database's character set can store. */
const printable = (text: string): string | null =>
  text.slice(0, LONGEST_TEXT).replace(/[^\x20-\x7e]/g, '?') || null;

/**
 * A project's own code may call an action with a context built by hand, without headers or cookies.
 *
 * @returns a request header, or '' if there is none
 */
export const readHeader = (ctx: Context, name: string): string =>
  typeof ctx.get === 'function' ? ctx.get(name) : (ctx.request?.headers?.[name]?.toString() ?? '');

/** @returns the token of an `Authorization: Bearer` header, or null */
export const readBearer = (ctx: Context): string | null =>
  /^bearer\s+(\S+)\s*$/i.exec(readHeader(ctx, 'authorization'))?.[1] ?? null;

/** @returns whether the request asks for the cookie by its header */
export const wantsCookie = (ctx: Context): boolean =>
  readHeader(ctx, COOKIE_REQUEST_HEADER) === 'httpOnly';

/** @returns whether a response to this context can carry a cookie: a context built by hand cannot */
export const canSetCookies = (ctx: Context): boolean => typeof ctx.cookies?.set === 'function';

/** @returns the transport for a request that does not ask for one and belongs to no session */
export function resolveTransport(ctx: Context, config: Config): Transport {
  if (!canSetCookies(ctx)) return 'body';
  return wantsCookie(ctx) ? 'cookie' : config.response;
}

/** A refresh token, and how the cookie library signs a cookie. It is not worth computing an HMAC for anything else. */
const TOKEN = /^[\w-]+\.[\w-]{60,}\.[\w-]{43}$/;
const SIGNATURE = /^[\w-]{27}$/;

/** @returns whether the request carries the refresh cookie, valid or not */
export const hasRefreshCookie = (ctx: Context, { cookie }: Config): boolean =>
  cookieValues(ctx, cookie.name).length > 0;

/**
 * Reads the refresh cookie and verifies its signature. Browsers also send the cookies of this name that belong to other
 * domains and paths, such as one planted by a sibling host, so there may be several. The cookie library reads only the
 * first, and while verifying it may write a signature without the cookie's own attributes. Node limits headers to 16 KB,
 * which bounds how many there can be.
 *
 * @returns the values with a valid signature
 */
export function readRefreshCookies(ctx: Context, { cookie: { name } }: Config): string[] {
  const { keys } = (ctx.cookies ?? {}) as unknown as { keys?: Keys };
  if (!keys) return [];
  const tokens = cookieValues(ctx, name).filter((value) => TOKEN.test(value));
  if (tokens.length === 0) return [];
  const signatures = cookieValues(ctx, `${name}.sig`).filter((value) => SIGNATURE.test(value));
  return tokens.filter((token) =>
    signatures.some((signature) => keys.verify(`${name}=${token}`, signature))
  );
}

/**
 * @returns the values with a valid signature, at least one
 * @throws SessionError `refresh_token_missing`; `refresh_token_invalid` for a cookie that this server did not sign
 */
export function requireRefreshCookies(ctx: Context, config: Config): [string, ...string[]] {
  if (!hasRefreshCookie(ctx, config)) throw new SessionError('refresh_token_missing');

  const [first, ...others] = readRefreshCookies(ctx, config);
  if (first !== undefined) return [first, ...others];
  throw new SessionError(
    'refresh_token_invalid',
    'Invalid refresh cookie: this server did not sign it. Sign in again.'
  );
}

/** The app's keys, as the cookie library holds them. */
interface Keys {
  verify(data: string, signature: string): boolean;
}

/** @returns the distinct, non-empty values of a cookie, parsed as the cookie library does */
function cookieValues(ctx: Context, name: string): string[] {
  if (!canSetCookies(ctx)) return [];
  const values = readHeader(ctx, 'cookie')
    .split(';')
    .map((pair) => pair.replace(/^ +/, ''))
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1).replace(/^"(.*)"$/, '$1'))
    .filter(Boolean);
  return [...new Set(values)];
}
