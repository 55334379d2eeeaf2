import type { Core } from '@strapi/strapi';
import { assertOrigin, isOriginAllowed } from '../http/cross-origin';
import { forgetVisit } from '../http/provider-sign-in';
import {
  clientInfo,
  hasRefreshCookie,
  readBearer,
  readBodyToken,
  readRefreshCookies,
  requireRefreshCookies,
  wantsCookie,
} from '../http/request';
import { writeAccessToken, writeRefreshCookie, writeTokens } from '../http/response';
import type { Action } from '../http/response';
import { getService } from '../services/get-service';
import type { Context, Transport } from '../types';

/**
 * `POST /token/refresh`: takes the refresh token from the body or the cookie, and returns `{ jwt }` and the next refresh
 * token the same way. A refusal writes no cookie: it may arrive late, when the browser already has the cookie of a newer
 * sign-in.
 *
 * @throws SessionError 400 `refresh_token_missing`, `invalid_request`; 401 `refresh_token_*`, `session_ended`,
 *   `user_refused`; 403 `origin_refused`; what the policy throws
 * @see RFC 6749, section 6; RFC 9700, section 4.14
 */
export const refresh =
  (strapi: Core.Strapi): Action =>
  async (ctx) => {
    const { config, sessions } = getService(strapi, 'refresh-session');
    // A body token is explicit, and takes precedence over the ambient cookie.
    const bodyToken = readBodyToken(ctx);
    const transport = refreshTransport(strapi, ctx, bodyToken);
    if (transport !== 'body') assertOrigin(ctx, config);

    const presented = bodyToken ?? requireRefreshCookies(ctx, config);
    const tokens = await sessions.refresh(presented, { ...clientInfo(ctx), transport });
    return ctx.send(writeTokens(strapi, ctx, config, transport, tokens));
  };

/** The new refresh token goes back the way the old one came, unless the header asks for the cookie. */
function refreshTransport(strapi: Core.Strapi, ctx: Context, bodyToken: string | null): Transport {
  if (bodyToken === null || wantsCookie(ctx)) return 'cookie';

  // A front end that received both tokens of a session and sends both gets both again. An untrusted page does not.
  const { config, sessions } = getService(strapi, 'refresh-session');
  if (config.response !== 'both' || !isOriginAllowed(ctx, config)) return 'body';
  const sid = sessions.sidOf(bodyToken);
  const ofCookies = sessions.sidsOf(readRefreshCookies(ctx, config));
  return sid !== null && ofCookies.includes(sid) ? 'both' : 'body';
}

/**
 * `POST /token/access`, only with REFRESH_TOKEN_ACCESS=true: an access token without rotation, for servers that cannot set a
 * cookie, such as Next.js while it renders. It takes the same refresh token and refuses it for the same reasons, but returns
 * `{ jwt }` only and never writes a cookie. It does not count as activity, and a copied newest token can be used here
 * unnoticed until its owner refreshes.
 *
 * @throws SessionError as `refresh`
 */
export const access =
  (strapi: Core.Strapi): Action =>
  async (ctx) => {
    const { config, sessions } = getService(strapi, 'refresh-session');
    // Strapi reads the routes before there is a configuration, so the route itself is always there.
    if (!config.tokenAccess) return ctx.notFound();
    const bodyToken = readBodyToken(ctx);
    if (bodyToken === null) assertOrigin(ctx, config);

    const presented = bodyToken ?? requireRefreshCookies(ctx, config);
    const issued = await sessions.access(presented, clientInfo(ctx));
    return ctx.send(writeAccessToken(strapi, ctx, config, issued));
  };

/**
 * `POST /token/revoke`: ends the session of the refresh token in the body; without one, the sessions of the cookie and of
 * the Bearer access token, expired or not. A string that is not a live token is not an error.
 *
 * @throws SessionError 400 `invalid_request`; 403 `origin_refused`
 * @see RFC 7009, section 2.2
 */
export const revoke =
  (strapi: Core.Strapi): Action =>
  async (ctx) => {
    await revokePresented(strapi, ctx, readCredentials(strapi, ctx));
    return ctx.send({ ok: true });
  };

/** The tokens that come with a request to sign out. */
export interface Credentials {
  refreshTokens: string[];
  bearer: string | null;
  /** Whether the cookie counts, valid or not. It does not if the body has a token. */
  cookie: boolean;
}

/** @throws SessionError `invalid_request`; `origin_refused` if an untrusted page may have sent the cookie along */
export function readCredentials(strapi: Core.Strapi, ctx: Context): Credentials {
  const { config } = getService(strapi, 'refresh-session');
  const bodyToken = readBodyToken(ctx);
  // Only the body token counts: front ends send their Bearer with every request, even when they end another device's session.
  if (bodyToken !== null) return { refreshTokens: [bodyToken], bearer: null, cookie: false };

  const cookie = hasRefreshCookie(ctx, config);
  if (cookie) assertOrigin(ctx, config);
  return {
    refreshTokens: cookie ? readRefreshCookies(ctx, config) : [],
    bearer: readBearer(ctx),
    cookie,
  };
}

/** Ends the sessions that the tokens belong to, and makes the browser forget them. */
export async function revokePresented(
  strapi: Core.Strapi,
  ctx: Context,
  { refreshTokens, bearer, cookie }: Credentials
): Promise<void> {
  const { sessions } = getService(strapi, 'refresh-session');
  const sids = new Set(sessions.sidsOf(refreshTokens));
  const ofBearer = bearer === null ? null : await getService(strapi, 'jwt').sidOf(bearer);
  if (ofBearer !== null) sids.add(ofBearer);
  for (const sid of sids) await sessions.end(sid, clientInfo(ctx));
  forgetBrowser(strapi, ctx, cookie);
}

/** Clears everything that a browser could sign in with again: the refresh cookie, and what a social sign-in left behind. */
export function forgetBrowser(strapi: Core.Strapi, ctx: Context, cookie: boolean): void {
  const { config } = getService(strapi, 'refresh-session');
  if (cookie) writeRefreshCookie(strapi, ctx, config, null);
  forgetVisit(strapi, ctx, config);
}
