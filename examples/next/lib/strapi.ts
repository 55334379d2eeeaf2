import { claimsOf } from './claims';

/** How this server calls Strapi, and the cookies that the browser gets from it. */

const STRAPI = process.env.STRAPI_URL ?? 'http://localhost:1337';

/** What Strapi calls the refresh cookie: its setting of this name. By default, it also depends on NODE_ENV there. */
export const REFRESH =
  process.env.REFRESH_COOKIE_NAME ??
  (process.env.NODE_ENV === 'production' ? '__Host-refreshToken' : 'refreshToken');

/** With this prefix, no other host of your domain can set such a cookie. It requires https, or localhost. */
const PREFIX = REFRESH.startsWith('__Host-') ? '__Host-' : '';

/** The access token, for what this server requests while it renders. Like the refresh cookie, scripts cannot read it. */
export const ACCESS = `${PREFIX}access-token`;

/**
 * @param path from `/api` on
 * @param asked the browser's request, or its headers where Next.js gives no more
 * @param names which of its headers Strapi gets as they are
 * @param init with another `signal`, it may take longer than ten seconds
 * @throws what `fetch` throws, and Error if Strapi redirects
 */
export function callStrapi(
  path: string,
  asked: { headers: Headers; url?: string },
  names: string[],
  init: RequestInit = {}
): Promise<Response> {
  const headers = new Headers(init.headers);
  const url = asked.url ? new URL(asked.url) : null;
  const protocol = url?.protocol.slice(0, -1) ?? asked.headers.get('x-forwarded-proto');
  headers.set('x-forwarded-host', asked.headers.get('host') ?? url?.host ?? '');
  headers.set('x-forwarded-proto', protocol ?? 'http');
  // Never the caller's own x-forwarded-for: every guess of a password would come from another address.
  const { CLIENT_ADDRESS_HEADER } = process.env;
  const address = CLIENT_ADDRESS_HEADER && asked.headers.get(CLIENT_ADDRESS_HEADER);
  if (address) headers.set('x-forwarded-for', address);
  for (const name of names) {
    const value = asked.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const signal = AbortSignal.timeout(10_000);
  return fetch(STRAPI + path, { redirect: 'error', cache: 'no-store', signal, ...init, headers });
}

/**
 * The Set-Cookie lines of a response. If they set or clear the refresh cookie, one more does the same with the access token. The
 * browser stores them together, so this server never renders for a session other than the browser's.
 *
 * @throws Error if Strapi's cookie has another name
 */
export async function cookieLines(response: Response): Promise<string[]> {
  const lines = response.headers.getSetCookie();
  const [, name] = /^((?:__Host-)?refreshToken)=/m.exec(lines.join('\n')) ?? [];
  if (name && name !== REFRESH) {
    throw new Error(
      `Strapi's cookie is called ${name}. Set REFRESH_COOKIE_NAME=${name} for Next.js.`
    );
  }
  if (!lines.some((line) => line.startsWith(`${REFRESH}=`))) return lines;
  const { jwt } = await response
    .clone()
    .json()
    .catch(() => ({}));
  const attributes = `Path=/; HttpOnly; SameSite=Lax${PREFIX && '; Secure'}`;
  // Without an expiry, the browser forgets it when it closes, as a sign-in with rememberMe: false requires.
  const access = jwt ? `${ACCESS}=${jwt}; ${attributes}` : `${ACCESS}=; Max-Age=0; ${attributes}`;
  return [...lines, access];
}

/** @returns how much of an access token's life is left, from 1 down to 0 and below. */
export function lifeLeft(jwt: string | undefined): number {
  try {
    const { iat, exp } = claimsOf(jwt!);
    return (exp - Date.now() / 1000) / (exp - iat) || 0;
  } catch {
    return 0;
  }
}
