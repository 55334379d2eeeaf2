/**
 * Optional: the routes that front ends of strapi-plugin-refresh-token, of strapi-plugin-refreshing and of Strapi's own
 * refresh mode call. They do the same as this extension's own, under other names and in other shapes. `strapi-server.ts` says
 * how to remove them.
 */
import type { Core } from '@strapi/strapi';
import * as utils from '@strapi/utils';
import { SessionError } from '../errors';
import {
  clientInfo,
  readBody,
  readBodyToken,
  readRefreshCookies,
  replaceBody,
} from '../http/request';
import { withErrorResponse } from '../http/response';
import type { Action } from '../http/response';
import { limitedAs, PUBLIC, SIGNED_IN, withAddedRoutes } from '../http/routing';
import type { RouteTable } from '../http/routing';
import { readDeviceId } from '../http/sign-in-options';
import { getService } from '../services/get-service';
import type { Session } from '../types';
import { withPropertiesOf } from '../wrap';
import type { Actions, AuthController } from './auth';
import { endOwnSession, readOwnSessions } from './sessions';
import { forgetBrowser, readCredentials, refresh, revoke, revokePresented } from './token';
import type { Credentials } from './token';

/** @param plugin users-permissions, as changed by this extension */
export const withOtherFrontEnds = (plugin: any) => ({
  ...plugin,
  controllers: { ...plugin.controllers, auth: withActions(plugin.controllers.auth) },
  routes: { ...plugin.routes, 'content-api': withAddedRoutes(plugin.routes['content-api'], table) },
});

const table: RouteTable = (strapi) => [
  // strapi-plugin-refresh-token
  ['POST', '/auth/local/refresh', withErrorResponse(strapi, refresh(strapi)), PUBLIC],

  // strapi-plugin-refreshing
  ['POST', '/auth/token/request', withErrorResponse(strapi, requestToken(strapi)), login(strapi)],
  ['POST', '/auth/token', withErrorResponse(strapi, withToken(refresh(strapi))), PUBLIC],
  ['POST', '/auth/revoke', withErrorResponse(strapi, withToken(revoke(strapi))), PUBLIC],

  // Strapi's own refresh mode
  ['POST', '/auth/refresh', refreshModeActions(strapi).refresh, PUBLIC],
  ['POST', '/auth/logout', refreshModeActions(strapi).logout, PUBLIC],
  ['GET', '/auth/sessions', refreshModeActions(strapi).getSessions, SIGNED_IN],
  ['DELETE', '/auth/sessions/:sessionId', refreshModeActions(strapi).revokeSession, SIGNED_IN],
];

/** The plugin's login under another path, with the same permission and rate limit. */
const login = (strapi: Core.Strapi) => ({
  auth: { scope: ['plugin::users-permissions.auth.callback'] },
  middlewares: [limitedAs(strapi, '/auth/local')],
});

/** The actions of Strapi's own refresh mode, with its messages and our codes. */
const refreshModeActions = (strapi: Core.Strapi) => ({
  refresh: withErrorResponse(strapi, refresh(strapi), {
    400: 'Missing refresh token',
    401: 'Invalid refresh token',
  }),
  logout: withErrorResponse(strapi, logout(strapi)),
  getSessions: withErrorResponse(strapi, listSessions(strapi), SESSION_MESSAGES),
  revokeSession: withErrorResponse(strapi, endSession(strapi), SESSION_MESSAGES),
});

const SESSION_MESSAGES = { 401: 'Missing authentication', 404: 'Session not found' };

const withActions = (auth: AuthController) =>
  withPropertiesOf(({ strapi }: { strapi: Core.Strapi }): Actions => {
    const actions = typeof auth === 'function' ? auth({ strapi }) : auth;
    // Into the same object: a project's own action finds them by `this`.
    return Object.assign(actions, refreshModeActions(strapi));
  }, auth);

/** An action for a body whose name for the refresh token is `token`. */
const withToken =
  (action: Action): Action =>
  (ctx, ...rest) => {
    replaceBody(ctx, { ...readBody(ctx), refreshToken: readBodyToken(ctx, 'token') });
    return action(ctx, ...rest);
  };

/**
 * `POST /auth/token/request`: the login, which returns only the tokens and always in the body, because requesting a refresh
 * token is its purpose. The refresh token is also included under that plugin's name for it.
 */
const requestToken =
  (strapi: Core.Strapi): Action =>
  async (ctx, next) => {
    const { description, ...body } = readBody(ctx);
    replaceBody(ctx, { sessionDescription: description, ...body, requestRefresh: true });
    const auth = strapi.plugin('users-permissions').controller('auth') as unknown as {
      callback: Action;
    };
    await auth.callback(ctx, next);

    const { jwt, refreshToken } = (ctx.body ?? {}) as { jwt?: string; refreshToken?: string };
    if (jwt) ctx.body = { jwt, refreshToken, refresh_token: refreshToken };
  };

/**
 * `POST /auth/logout`: works like `/token/revoke`. With `scope: 'all'`, it ends every session of the user; with `deviceId`,
 * those on that device.
 *
 * @throws SessionError 400 `invalid_request`; 401 `authentication_required` if the request carries no token at all, or for
 *   `scope` and `deviceId` none that is valid right now; 403 `origin_refused`
 * @see @strapi/plugin-users-permissions server/src/controllers/auth.js, logout
 */
const logout =
  (strapi: Core.Strapi): Action =>
  async (ctx) => {
    const { config, sessions } = getService(strapi, 'refresh-session');
    const { scope, deviceId: sentDeviceId } = readBody(ctx);
    const deviceId = readDeviceId(sentDeviceId);
    const credentials = readCredentials(strapi, ctx);
    const { refreshTokens, bearer, cookie } = credentials;
    if (refreshTokens.length === 0 && bearer === null && !cookie) {
      throw new SessionError('authentication_required', 'Missing authentication');
    }
    if (scope !== 'all' && deviceId === null) {
      await revokePresented(strapi, ctx, credentials);
      return ctx.send({ ok: true });
    }

    const active = await activeSessions(strapi, credentials);
    const userIds = [...new Set(active.flatMap(({ userId }) => userId ?? []))];
    if (userIds.length === 0) {
      throw new SessionError(
        'authentication_required',
        'To end other sessions, send a refresh token or an access token that is still valid.'
      );
    }
    const client = clientInfo(ctx);
    const ofCookies = cookie ? sessions.sidsOf(readRefreshCookies(ctx, config)) : [];
    let endsOwn = true;
    if (scope === 'all') {
      await sessions.endMany({ userIds }, 'revoked', client);
    } else {
      const ended = await Promise.all(
        userIds.map((userId) => sessions.endOnDevice(userId, deviceId!, client))
      );
      endsOwn = ended.flat().some((sid) => ofCookies.includes(sid));
      // A session from version 1 has no device. A client that sends its device id and the refresh token of such a session
      // is signing out.
      const isUnknown = ended.flat().length === 0 && active.every((one) => one.deviceId === null);
      if (isUnknown && refreshTokens.length > 0) {
        await revokePresented(strapi, ctx, { ...credentials, bearer: null });
      }
    }
    if (endsOwn) forgetBrowser(strapi, ctx, cookie);
    return ctx.send({ ok: true });
  };

/** @returns the active sessions that the tokens prove: a refresh token that could refresh, a valid access token */
async function activeSessions(
  strapi: Core.Strapi,
  { refreshTokens, bearer }: Credentials
): Promise<Session[]> {
  const { sessions } = getService(strapi, 'refresh-session');
  const found = await Promise.all(refreshTokens.map((token) => sessions.activeSessionOf(token)));
  if (bearer !== null) {
    try {
      const { id, sessionId } = await getService(strapi, 'jwt').verify(bearer);
      const session = sessionId ? await sessions.find(sessionId) : null;
      if (session?.userId === id) found.push(session);
    } catch (error) {
      // A refused token proves nothing. Neither does one that a busy database could not check.
      if (error instanceof SessionError) throw error;
    }
  }
  return found.filter((session): session is Session => session !== null);
}

/** `GET /auth/sessions`: the current session first. @see @strapi/utils dist/sessions.js */
const listSessions =
  (strapi: Core.Strapi): Action =>
  async (ctx) => {
    const own = await readOwnSessions(strapi, ctx);
    const data = own.map(({ session, current }) => ({
      id: session.sid,
      deviceId: session.deviceId ?? undefined,
      deviceName: session.description ?? deviceName(session.userAgent),
      current,
      loginAt: new Date(session.openedAt).toISOString(),
      lastActiveAt: new Date(session.rotatedAt).toISOString(),
    }));
    return ctx.send({ data: data.sort((a, b) => Number(b.current) - Number(a.current)) });
  };

/** @returns Strapi's own name for a device; releases before its refresh mode have none */
const deviceName = (userAgent: string | null): string | undefined =>
  (utils as any).buildSessionMetadata?.({ userAgent: userAgent ?? undefined }).deviceName;

/** `DELETE /auth/sessions/:sessionId` */
const endSession =
  (strapi: Core.Strapi): Action =>
  async (ctx) => {
    const { sessionId } = ctx.params ?? {};
    await endOwnSession(strapi, ctx, sessionId);
    return ctx.send({ data: {} });
  };
