import { createHash, randomBytes } from 'crypto';
import type { Core } from '@strapi/strapi';
import { isBefore } from '../config/release';
import { SessionError } from '../errors';
import type { Config, Context, Visit } from '../types';
import { isOriginAllowed } from './cross-origin';
import { canSetCookies, readHeader } from './request';
import { allowSecureCookies } from './response';
import { readSignInOptions } from './sign-in-options';
import type { SignInOptions } from './sign-in-options';

/**
 * A social sign-in works once. Strapi keeps the provider's tokens in its session cookie for up to a day, and anyone who
 * sends that cookie to the callback is signed in, any number of times. So `/connect/:provider` gives the browser a nonce in
 * a separate cookie, and a callback counts only if it brings the nonce within ten minutes. Neither a session cookie planted
 * by a sibling host nor a link with someone else's access token (before Strapi 5.53) comes with it.
 */
const LONGEST_VISIT = 10 * 60_000;

/** Bytes. */
const LONGEST_OPTIONS = 512;

/**
 * Which leg of a visit a request to `/connect` is: to the provider, or the redirect back. Strapi decides by the path
 * segment after the provider and ignores the rest.
 *
 * @throws SessionError `invalid_request` for a path that Strapi cannot read
 * @see @strapi/plugin-users-permissions server/src/utils/oauth-connect/index.js, parseConnectPath
 */
export function legOf(ctx: Context): 'there' | 'back' {
  const [, after] = ctx.path.split('/connect/');
  const [provider, part] = (after ?? '').split('/').filter(Boolean);
  if (!provider) throw new SessionError('invalid_request', 'Expected /connect/:provider.');
  try {
    return decodeURIComponent(part ?? '').toLowerCase() === 'callback' ? 'back' : 'there';
  } catch {
    throw new SessionError('invalid_request', 'Expected /connect/:provider.');
  }
}

/** Refuses invalid sign-in options before the visit starts, so that a typo does not send the user to the provider for nothing. */
export function checkVisitOptions(ctx: Context): void {
  const { description, deviceId } = readSignInOptions(ctx.query);
  // Strapi's session is a cookie that also holds the provider's tokens, and browsers drop cookies longer than 4 KB.
  if (Buffer.byteLength((description ?? '') + (deviceId ?? '')) <= LONGEST_OPTIONS) return;
  throw new SessionError(
    'invalid_request',
    `sessionDescription and deviceId are too long to keep during a provider sign-in (at most ${LONGEST_OPTIONS} bytes). Send them with the callback instead.`
  );
}

/** Records the start of the visit, and the sign-in options. */
export function startVisit(strapi: Core.Strapi, ctx: Context, config: Config): void {
  // A browser that already has a provider's response is on its way back, not to the provider.
  if (!ctx.session || ctx.session.grant?.response) return;
  const { requestRefresh, rememberMe, sessionDescription, deviceId } = ctx.query;
  const nonce = randomBytes(32).toString('base64url');
  const visit: Visit = {
    nonceHash: hashOf(nonce),
    startedAt: Date.now(),
    state: stateOfDeparture(ctx),
    requestRefresh,
    rememberMe,
    sessionDescription,
    deviceId,
  };
  ctx.session.refreshTokenVisit = visit;
  writeNonce(strapi, ctx, config, nonce);
}

/**
 * What ties the redirect back to this visit: the state that Strapi sends along, or the request token of OAuth 1. Before
 * Strapi 5.53 there may be none; providers send back any state (RFC 6749, section 4.1.2), so one is added.
 */
function stateOfDeparture(ctx: Context): string {
  const to = new URL(ctx.response.get('location'));
  const known = to.searchParams.get('state') ?? to.searchParams.get('oauth_token');
  if (known) return known;
  const state = randomBytes(16).toString('base64url');
  to.searchParams.set('state', state);
  ctx.set('location', to.href);
  return state;
}

/**
 * Records what the browser comes back with. Before Strapi 5.53, the tokens are in the URL of the front end, which passes
 * them on in the query of the callback, where anyone could put something else. Those releases also accept a token in the
 * query of the redirect itself, so only a redirect that belongs to this visit counts.
 */
export function noteReturn(ctx: Context): void {
  const visit = visitOf(ctx);
  const { state, oauth_token: oauthToken, code, oauth_verifier: verifier } = ctx.query;
  if (!visit || (state ?? oauthToken) !== visit.state || !(code || verifier)) return;

  // After the last question mark, since the front end may route by the fragment.
  const [, query = ''] = /\?([^?#]*)$/.exec(ctx.response.get('location')) ?? [];
  const found = tokensOf(Object.fromEntries(new URLSearchParams(query)));
  visit.tokenHashes = Object.fromEntries(found.map(([name, token]) => [name, hashOf(token)]));
}

/** The tokens that Strapi accepts for a sign-in. @see @strapi/plugin-users-permissions server/src/services/providers.js, connect */
const tokensOf = (query: Record<string, unknown>): [string, string][] =>
  ['access_token', 'code', 'oauth_token', 'id_token'].flatMap((name) =>
    query[name] ? [[name, String(query[name])] as [string, string]] : []
  );

/** Whether a callback brings the same tokens that the browser came back with. Since Strapi 5.53 its query is ignored. */
function isOfVisit(strapi: Core.Strapi, ctx: Context, visit: Visit): boolean {
  if (!isBefore(strapi, 53)) return true;
  return tokensOf(ctx.query).every(([name, token]) => visit.tokenHashes?.[name] === hashOf(token));
}

/**
 * Reads the sign-in options of a callback: from its own query, or from the query that started the visit.
 *
 * @throws SessionError `invalid_request`
 */
export const readVisitOptions = (ctx: Context): SignInOptions =>
  readSignInOptions({ ...visitOf(ctx), ...ctx.query });

/**
 * The callback is for the front end's own `fetch`. If it could be opened as a page, it could be opened from anywhere: a
 * link, a frame, the Back button.
 *
 * @throws SessionError `origin_refused`
 */
export function refuseNavigation(ctx: Context): void {
  // Browsers send Sec-Fetch-Mode over https and to localhost only, and Node's fetch overwrites it when a front end's server
  // forwards a navigation. A script has no reason to ask for HTML.
  const isNavigation =
    readHeader(ctx, 'sec-fetch-mode') === 'navigate' ||
    readHeader(ctx, 'accept').includes('text/html');
  if (!isNavigation) return;
  throw new SessionError(
    'origin_refused',
    'A social sign-in cannot be completed by opening this URL in the browser. Request it from your front end with fetch.'
  );
}

/**
 * Refuses a callback that is not the end of a visit, if it has to be one: if it uses the tokens in Strapi's session cookie,
 * or if it sets the refresh cookie. Before Strapi 5.53 an app that brings the provider's token itself and gets its refresh
 * token in the body does not need one.
 *
 * @param setsCookie whether the response will set the refresh cookie
 * @throws SessionError `invalid_request` without a visit of this browser within the last ten minutes
 */
export function requireVisit(
  strapi: Core.Strapi,
  ctx: Context,
  config: Config,
  setsCookie: boolean
): void {
  if (!setsCookie && !ctx.session?.grant?.response) return;

  const visit = visitOf(ctx);
  const nonce = canSetCookies(ctx) ? ctx.cookies.get(nameOf(config), { signed: false }) : undefined;
  if (visit && nonce && visit.nonceHash === hashOf(nonce)) {
    const isRecent = Math.abs(Date.now() - visit.startedAt) <= LONGEST_VISIT;
    if (isRecent && isOfVisit(strapi, ctx, visit)) return;
  }
  throw new SessionError(
    'invalid_request',
    'This browser did not come back from the provider within the last ten minutes, or it has already signed in. Start again at /connect/:provider.'
  );
}

/**
 * Forgets what a visit left behind, so that it cannot be used to sign in again. Writes only if there is something to
 * forget, and never for an untrusted page.
 */
export function forgetVisit(strapi: Core.Strapi, ctx: Context, config: Config): void {
  if (!canSetCookies(ctx) || !isOriginAllowed(ctx, config)) return;
  const hasNonce = ctx.cookies.get(nameOf(config), { signed: false }) !== undefined;
  const { session } = ctx;
  if (session?.grant || session?.refreshTokenVisit) {
    if (config.cookie.secure) allowSecureCookies(strapi, ctx);
    delete session.grant;
    delete session.refreshTokenVisit;
  }
  if (hasNonce) writeNonce(strapi, ctx, config, null);
}

const visitOf = (ctx: Context): Visit | undefined => ctx.session?.refreshTokenVisit;

const hashOf = (nonce: string): string => createHash('sha256').update(nonce).digest('hex');

/** For its own host only, regardless of REFRESH_COOKIE_DOMAIN: no other host takes part in a visit. */
const nameOf = ({ cookie }: Config): string =>
  cookie.secure ? '__Host-refreshTokenVisit' : 'refreshTokenVisit';

function writeNonce(strapi: Core.Strapi, ctx: Context, config: Config, nonce: string | null): void {
  const { secure, sameSite } = config.cookie;
  if (secure) allowSecureCookies(strapi, ctx);
  ctx.cookies.set(nameOf(config), nonce, {
    httpOnly: true,
    // It is compared with what the signed session cookie holds.
    signed: false,
    overwrite: true,
    path: '/',
    sameSite,
    secure,
    expires: new Date(nonce === null ? 0 : Date.now() + LONGEST_VISIT),
  });
}
