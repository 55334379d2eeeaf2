import type { Core } from '@strapi/strapi';
import type { Config } from '../config';
import { SessionError } from '../errors';
import { accessTokens, handOut, refreshSessions } from '../services';
import * as transport from '../transport';
import type { Context } from '../types';
import { answering } from './answer';

/** A body's name for the refresh token. */
type Field = 'refreshToken' | 'token';

/**
 * `POST /token/refresh`: takes the refresh token of the body or of the cookie, answers `{ jwt }` and the next refresh
 * token the same way. A failure clears the cookie that was its proof.
 *
 * @param field the body's name for the refresh token
 * @param sentences the route's own sentences for its refusals, by status
 * @throws (as answers) 400 `refresh_token_missing`, `invalid_request`; 401 `refresh_token_*`, `session_ended`,
 *   `user_refused`; 403 `origin_refused`
 * @see RFC 6749, section 6; RFC 9700, section 4.14
 */
export const refresh = (
  strapi: Core.Strapi,
  field: Field = 'refreshToken',
  sentences?: { [status: number]: string }
) =>
  answering(async (ctx) => {
    const { config, sessions } = refreshSessions(strapi);

    // A body token is explicit, and wins over the ambient cookie.
    const fromBody = transport.tokenFrom(transport.bodyOf(ctx)[field], field);
    const answerBy = fromBody === null || transport.wantsCookie(ctx) ? 'cookie' : 'body';
    if (answerBy === 'cookie') transport.assertOrigin(ctx, config);

    try {
      const token = fromBody ?? cookieToken(ctx, config);
      const client = { ...transport.clientOf(ctx), transport: answerBy } as const;
      const grant = await sessions.refresh(token, client);
      return ctx.send(handOut(strapi, ctx, answerBy, grant));
    } catch (error) {
      const refused = error instanceof SessionError && error.status === 401;
      if (refused && fromBody === null) transport.writeCookie(ctx, config, null);
      throw error;
    }
  }, sentences);

/** `POST /auth/refresh` of Strapi's own refresh mode: its sentences, our codes. */
export const refreshAsStock = (strapi: Core.Strapi) =>
  refresh(strapi, 'refreshToken', { 400: 'Missing refresh token', 401: 'Invalid refresh token' });

/**
 * `POST /auth/token/request` of strapi-plugin-refreshing: the stock login, answered with the tokens only, the refresh token
 * also by that plugin's own name.
 */
export const request = (strapi: Core.Strapi) =>
  answering(async (ctx, next) => {
    const { description, ...body } = transport.bodyOf(ctx);
    (ctx.request as { body?: unknown }).body = { sessionDescription: description, ...body };
    await strapi.plugin('users-permissions').controller('auth').callback(ctx, next);

    const { jwt, refreshToken } = ctx.body as { jwt?: string; refreshToken?: string };
    if (jwt) ctx.body = { jwt, ...(refreshToken && { refreshToken, refresh_token: refreshToken }) };
  });

/**
 * `POST /token/revoke`: ends the session of the refresh token in the body; without one, the sessions of the cookie and of
 * the Bearer access token, expired or not. What is no live token is no error.
 *
 * @param field the body's name for the refresh token
 * @throws (as answers) 400 `invalid_request`; 403 `origin_refused`
 * @see RFC 7009, section 2.2
 */
export const revoke = (strapi: Core.Strapi, field: Field = 'refreshToken') =>
  answering(async (ctx) => {
    await endProven(strapi, ctx, field);
    return ctx.send({ ok: true });
  });

/**
 * `POST /auth/logout` of Strapi's own refresh mode: as `/token/revoke`, and with `scope: 'all'` every session of the user.
 *
 * @throws (as answers) 400 `invalid_request`; 401 `authentication_required` if the request carries no token at all; 403
 *   `origin_refused`
 * @see @strapi/plugin-users-permissions server/src/controllers/auth.js, logout
 */
export const logout = (strapi: Core.Strapi) =>
  answering(async (ctx) => {
    const { scope } = transport.bodyOf(ctx);
    const { proofs, userIds } = await endProven(strapi, ctx, 'refreshToken');
    if (proofs === 0) throw new SessionError('authentication_required', 'Missing authentication');
    if (scope === 'all' && userIds.length > 0) {
      await refreshSessions(strapi).sessions.endMany(
        { userIds },
        'revoked',
        transport.clientOf(ctx)
      );
    }
    return ctx.send({ ok: true });
  });

/** Ends the sessions that the request proves to hold. @returns how many tokens it carried, and whose sessions ended */
async function endProven(
  strapi: Core.Strapi,
  ctx: Context,
  field: Field
): Promise<{ proofs: number; userIds: number[] }> {
  const { config, sessions } = refreshSessions(strapi);
  const sids: (string | null)[] = [];

  const fromBody = transport.tokenFrom(transport.bodyOf(ctx)[field], field);
  const carriesCookie = fromBody === null && transport.hasCookie(ctx, config);
  if (fromBody !== null) {
    // It decides alone: front ends attach their Bearer to everything, also when they end another device's session.
    sids.push(sessions.sidOf(fromBody));
  } else {
    if (carriesCookie) {
      transport.assertOrigin(ctx, config);
      sids.push(sessions.sidOf(transport.readCookie(ctx, config) ?? ''));
    }
    const bearer = transport.bearerOf(ctx);
    if (bearer !== null) sids.push(accessTokens(strapi).sidOf(bearer));
  }

  const userIds: number[] = [];
  for (const sid of new Set(sids)) {
    const ended = sid && (await sessions.end(sid, transport.clientOf(ctx)));
    if (ended && ended.userId !== null) userIds.push(ended.userId);
  }
  if (carriesCookie) transport.writeCookie(ctx, config, null);
  return { proofs: sids.length, userIds };
}

function cookieToken(ctx: Context, config: Config): string {
  if (!transport.hasCookie(ctx, config)) throw new SessionError('refresh_token_missing');

  const token = transport.readCookie(ctx, config);
  if (token === null) {
    throw new SessionError(
      'refresh_token_invalid',
      'The refresh cookie is not signed by this server. Sign in again.'
    );
  }
  return token;
}
