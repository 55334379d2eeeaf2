import type { Core } from '@strapi/strapi';
import type { Config } from '../config/read';
import { SessionError } from '../errors';
import { forgetVisit } from '../http/provider-sign-in';
import { accessTokens, handOut, refreshSessions, sessionsOfCookies } from '../services';
import * as transport from '../http/request';
import type { Context, Session, Transport } from '../types';
import { answering } from '../http/response';
import type { Action } from '../http/response';

/** The plugin's auth controller, as this extension wraps it. */
interface SignIns {
  callback: Action;
}

/** A body's name for the refresh token. */
type Field = 'refreshToken' | 'token';

/**
 * `POST /token/refresh`: takes the refresh token of the body or of the cookie, answers `{ jwt }` and the next refresh
 * token the same way. A refusal writes no cookie: it may come late, when the browser already holds that of a newer sign-in.
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
    const answerBy = transportOf(strapi, ctx, fromBody);
    if (answerBy !== 'body') transport.assertOrigin(ctx, config);

    const token = fromBody ?? (await sessions.pick(cookieTokens(ctx, config)));
    const client = { ...transport.clientOf(ctx), transport: answerBy };
    const grant = await sessions.refresh(token, client);
    return ctx.send(handOut(strapi, ctx, answerBy, grant));
  }, sentences);

/** How a refresh is answered: the way the token came, unless the header asks for the cookie. */
function transportOf(strapi: Core.Strapi, ctx: Context, fromBody: string | null): Transport {
  if (fromBody === null || transport.wantsCookie(ctx)) return 'cookie';

  // A front end that was given both tokens of a session and sends both keeps both. A foreign page has no part in it.
  const { config, sessions } = refreshSessions(strapi);
  if (config.response !== 'both' || !transport.isOriginAllowed(ctx, config)) return 'body';
  const sid = sessions.sidOf(fromBody);
  return sid !== null && sessionsOfCookies(strapi, ctx).includes(sid) ? 'both' : 'body';
}

/** `POST /auth/refresh` of Strapi's own refresh mode: its sentences, our codes. */
export const refreshAsStock = (strapi: Core.Strapi) =>
  refresh(strapi, 'refreshToken', { 400: 'Missing refresh token', 401: 'Invalid refresh token' });

/**
 * `POST /auth/token/request` of strapi-plugin-refreshing: the stock login, answered with the tokens only, and always in the
 * body: asking for a refresh token is what the route is for. It goes by that plugin's name for it, too.
 */
export const request = (strapi: Core.Strapi) =>
  answering(async (ctx, next) => {
    const { description, ...body } = transport.bodyOf(ctx);
    const fields = { sessionDescription: description, ...body, requestRefresh: true };
    (ctx.request as { body?: unknown }).body = fields;
    const auth = strapi.plugin('users-permissions').controller('auth') as unknown as SignIns;
    await auth.callback(ctx, next);

    const { jwt, refreshToken } = (ctx.body ?? {}) as { jwt?: string; refreshToken?: string };
    if (jwt) ctx.body = { jwt, refreshToken, refresh_token: refreshToken };
  });

/**
 * `POST /token/revoke`: ends the session of the refresh token in the body; without one, the sessions of the cookie and of
 * the Bearer access token, expired or not. What is no living token is no error.
 *
 * @param field the body's name for the refresh token
 * @throws (as answers) 400 `invalid_request`; 403 `origin_refused`
 * @see RFC 7009, section 2.2
 */
export const revoke = (strapi: Core.Strapi, field: Field = 'refreshToken') =>
  answering(async (ctx) => {
    await endPresented(strapi, ctx, present(strapi, ctx, field));
    return ctx.send({ ok: true });
  });

/**
 * `POST /auth/logout` of Strapi's own refresh mode: as `/token/revoke`; with `scope: 'all'` it ends every session of the
 * user, with `deviceId` those on that device.
 *
 * @throws (as answers) 400 `invalid_request`; 401 `authentication_required` if the request carries no token at all, or for
 *   `scope` and `deviceId` none that is good right now; 403 `origin_refused`
 * @see @strapi/plugin-users-permissions server/src/controllers/auth.js, logout
 */
export const logout = (strapi: Core.Strapi) =>
  answering(async (ctx) => {
    const { config, sessions } = refreshSessions(strapi);
    const body = transport.bodyOf(ctx);
    const deviceId = transport.readDeviceId(body.deviceId);
    const presented = present(strapi, ctx, 'refreshToken');
    const nothing = presented.refreshTokens.length === 0 && presented.bearer === null;
    if (nothing && !presented.cookie) {
      throw new SessionError('authentication_required', 'Missing authentication');
    }
    if (body.scope !== 'all' && deviceId === null) {
      await endPresented(strapi, ctx, presented);
      return ctx.send({ ok: true });
    }

    const living = await livingSessions(strapi, presented);
    const userIds = [...new Set(living.flatMap(({ userId }) => userId ?? []))];
    if (userIds.length === 0) {
      throw new SessionError(
        'authentication_required',
        'To end other sessions, send a refresh token or an access token that is still good.'
      );
    }
    const client = transport.clientOf(ctx);
    const ofCookies = presented.cookie ? sessionsOfCookies(strapi, ctx) : [];
    let endsOwn = true;
    if (body.scope === 'all') {
      await sessions.endMany({ userIds }, 'revoked', client);
    } else {
      const ended = await Promise.all(
        userIds.map((userId) => sessions.endOnDevice(userId, deviceId!, client))
      );
      endsOwn = ended.flat().some((sid) => ofCookies.includes(sid));
      // A session from version 1 has no device. Its client names its own, and sends its refresh token: it signs out.
      const isUnknown = ended.flat().length === 0 && living.every((one) => one.deviceId === null);
      if (isUnknown && presented.refreshTokens.length > 0) {
        await endPresented(strapi, ctx, { ...presented, bearer: null });
      }
    }
    if (endsOwn) forgetBrowser(ctx, config, presented.cookie);
    return ctx.send({ ok: true });
  });

/** The tokens that come with a request to sign out. */
interface Presented {
  refreshTokens: string[];
  bearer: string | null;
  /** Whether the cookie counts, valid or not: it does not beside a token in the body. */
  cookie: boolean;
}

/** @throws SessionError `invalid_request`; `origin_refused` if a foreign page may have sent the cookie along */
function present(strapi: Core.Strapi, ctx: Context, field: Field): Presented {
  const { config } = refreshSessions(strapi);
  const fromBody = transport.tokenFrom(transport.bodyOf(ctx)[field], field);
  // It decides alone: front ends attach their Bearer to everything, also when they end another device's session.
  if (fromBody !== null) return { refreshTokens: [fromBody], bearer: null, cookie: false };

  const cookie = transport.hasCookie(ctx, config);
  if (cookie) transport.assertOrigin(ctx, config);
  return {
    refreshTokens: cookie ? transport.readCookies(ctx, config) : [],
    bearer: transport.bearerOf(ctx),
    cookie,
  };
}

/** Ends the sessions that the tokens belong to, and has the browser forget them. */
async function endPresented(
  strapi: Core.Strapi,
  ctx: Context,
  { refreshTokens, bearer, cookie }: Presented
): Promise<void> {
  const { config, sessions } = refreshSessions(strapi);
  const sids = new Set(refreshTokens.map((token) => sessions.sidOf(token)));
  if (bearer !== null) sids.add(await accessTokens(strapi).sidOf(bearer));
  for (const sid of sids) {
    if (sid !== null) await sessions.end(sid, transport.clientOf(ctx));
  }
  forgetBrowser(ctx, config, cookie);
}

/** Clears what a browser could sign in with again: the refresh cookie, and what is left of a social sign-in. */
function forgetBrowser(ctx: Context, config: Config, cookie: boolean): void {
  if (cookie) transport.writeCookie(ctx, config, null);
  forgetVisit(ctx, config);
}

/** @returns the living sessions that the tokens prove: a refresh token that could refresh, an access token in force */
async function livingSessions(
  strapi: Core.Strapi,
  { refreshTokens, bearer }: Presented
): Promise<Session[]> {
  const { sessions } = refreshSessions(strapi);
  const found = await Promise.all(refreshTokens.map((token) => sessions.livingSessionOf(token)));
  if (bearer !== null) {
    try {
      const { id, sessionId } = await accessTokens(strapi).verify(bearer);
      const session = sessionId ? await sessions.find(sessionId) : null;
      if (session?.userId === id) found.push(session);
    } catch (error) {
      // A token that is refused proves nothing. Neither does a database that is too busy to say so.
      if (error instanceof SessionError) throw error;
    }
  }
  return found.filter((session) => session !== null);
}

/** @throws SessionError `refresh_token_missing`; `refresh_token_invalid` for a cookie that this server has not signed */
function cookieTokens(ctx: Context, config: Config): [string, ...string[]] {
  if (!transport.hasCookie(ctx, config)) throw new SessionError('refresh_token_missing');

  const [first, ...others] = transport.readCookies(ctx, config);
  if (first !== undefined) return [first, ...others];
  throw new SessionError(
    'refresh_token_invalid',
    'The refresh cookie is not signed by this server. Sign in again.'
  );
}
