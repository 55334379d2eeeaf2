import type { Core } from '@strapi/strapi';
import type { Config } from '../config';
import { SessionError } from '../errors';
import { accessTokens } from '../services/access-token';
import { refreshSessions } from '../services/refresh-session';
import * as transport from '../transport';
import type { Context } from '../types';
import { answering } from './answer';

/**
 * `POST /token/refresh`: takes the refresh token of the body or of the cookie, answers `{ jwt }` and the next refresh
 * token the same way. A failure clears the cookie that was its proof.
 *
 * @param field the body's name for the refresh token
 * @throws (as answers) 400 `refresh_token_missing`, `invalid_request`; 401 `refresh_token_*`, `session_ended`,
 *   `user_refused`; 403 `origin_refused`
 * @see RFC 6749, section 6; RFC 9700, section 4.14
 */
export const refresh = (strapi: Core.Strapi, field = 'refreshToken') =>
  answering(async (ctx) => {
    const { config, ...sessions } = refreshSessions(strapi);

    // A body token is explicit, and wins over the ambient cookie.
    const fromBody = transport.tokenFrom(transport.bodyOf(ctx)[field], field);
    const answerBy = fromBody === null || transport.wantsCookie(ctx) ? 'cookie' : 'body';
    if (answerBy === 'cookie') transport.assertOrigin(ctx, config);

    try {
      const token = fromBody ?? cookieToken(ctx, config);
      const client = { ...transport.clientOf(ctx), transport: answerBy } as const;
      const grant = await sessions.refresh(token, client);
      const jwt = accessTokens(strapi).issueFor(grant.session);
      return ctx.send({ jwt, ...transport.writeGrant(ctx, config, answerBy, grant) });
    } catch (error) {
      const refused = error instanceof SessionError && error.status === 401;
      if (refused && fromBody === null) transport.writeCookie(ctx, config, null);
      throw error;
    }
  });

/**
 * `POST /token/revoke`: ends the session of the refresh token in the body; without one, the sessions of the cookie and of
 * the Bearer access token, expired or not. What is no live token is no error.
 *
 * @param field the body's name for the refresh token
 * @throws (as answers) 400 `invalid_request`; 403 `origin_refused`
 * @see RFC 7009, section 2.2
 */
export const revoke = (strapi: Core.Strapi, field = 'refreshToken') =>
  answering(async (ctx) => {
    const { config, ...sessions } = refreshSessions(strapi);
    const client = transport.clientOf(ctx);

    // It decides alone: front ends attach their Bearer to everything, also when they end another device's session.
    const fromBody = transport.tokenFrom(transport.bodyOf(ctx)[field], field);
    if (fromBody !== null) {
      await sessions.revoke(fromBody, client);
      return ctx.send({ ok: true });
    }

    if (transport.hasCookie(ctx, config)) {
      transport.assertOrigin(ctx, config);
      await sessions.revoke(transport.readCookie(ctx, config) ?? '', client);
      transport.writeCookie(ctx, config, null);
    }

    const bearer = transport.bearerOf(ctx);
    const sid = bearer && (await accessTokens(strapi).sidOf(bearer));
    if (sid) await sessions.end(sid, client);

    return ctx.send({ ok: true });
  });

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
