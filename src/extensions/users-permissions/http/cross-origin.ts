import { isOrigin, matchesOrigin } from '../config/origins';
import { SessionError } from '../errors';
import type { Config, Context } from '../types';
import { readHeader } from './request';

/** This machine, on any port and with any scheme. */
const LOCALHOST = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;

/**
 * Whether a request may use the refresh cookie: not if an untrusted page may have caused it. The order of the checks is that
 * of Go's http.CrossOriginProtection; no page can forge either header.
 *
 * @param allowsNavigation whether a top-level navigation passes, such as a link in an email: no page can read its response
 * @see https://pkg.go.dev/net/http#CrossOriginProtection
 */
export function isOriginAllowed(ctx: Context, config: Config, allowsNavigation = false): boolean {
  const origin = readHeader(ctx, 'origin');
  if (matchesOrigin(origin, config.allowedOrigins)) return true;
  if (config.allowLocalhost && LOCALHOST.test(origin)) return true;

  const site = readHeader(ctx, 'sec-fetch-site');
  if (site) {
    if (site === 'same-origin' || site === 'none') return true;
    const isNavigation = ctx.method === 'GET' && readHeader(ctx, 'sec-fetch-mode') === 'navigate';
    // A frame navigates, too, and nobody sees it. Browsers of 2019 do not send the destination.
    const isTopLevel = ['', 'document'].includes(readHeader(ctx, 'sec-fetch-dest'));
    return allowsNavigation && isNavigation && isTopLevel;
  }
  // Native apps and curl send neither header.
  if (!origin) return true;
  const host = hostOf(origin);
  // The host of `file://` is empty, and an HTTP/1.0 request may have no Host to compare with.
  return Boolean(host) && host === ctx.host;
}

/**
 * Refuses a request that an untrusted page may have caused, before the cookie is read or set.
 *
 * @param allowsNavigation as in `isOriginAllowed`
 * @throws SessionError `origin_refused`, with the setting that would let it pass
 */
export function assertOrigin(ctx: Context, config: Config, allowsNavigation = false): void {
  if (isOriginAllowed(ctx, config, allowsNavigation)) return;

  const origin = readHeader(ctx, 'origin');
  const fix = isOrigin(origin)
    ? `To allow it, add ${origin} to REFRESH_ALLOWED_ORIGINS.`
    : 'If this is your front end, add its origin to REFRESH_ALLOWED_ORIGINS.';
  throw new SessionError(
    'origin_refused',
    `This origin is not allowed to use the refresh cookie. ${fix}`
  );
}

function hostOf(origin: string): string | null {
  try {
    return new URL(origin).host;
  } catch {
    return null;
  }
}
