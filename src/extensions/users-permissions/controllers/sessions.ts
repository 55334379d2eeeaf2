import type { Core } from '@strapi/strapi';
import { SessionError } from '../errors';
import { isOriginAllowed } from '../http/cross-origin';
import { clientInfo, readRefreshCookies } from '../http/request';
import type { Action } from '../http/response';
import { getService } from '../services/get-service';
import { currentSid } from '../services/jwt';
import { isSid } from '../sessions/refresh-token';
import type { Context, Session } from '../types';
import { forgetBrowser } from './token';

/**
 * `GET /users/me/sessions`: the caller's hundred most recently refreshed active sessions, the latest first. The current one is
 * always included.
 *
 * @throws SessionError 401 `authentication_required`
 */
export const list =
  (strapi: Core.Strapi): Action =>
  async (ctx) =>
    ctx.send(
      (await readOwnSessions(strapi, ctx)).map(({ session, current }) => ({
        ...present(session),
        current,
      }))
    );

/**
 * `DELETE /users/me/sessions/:id`: ends one of the caller's sessions.
 *
 * @throws SessionError 401 `authentication_required`; 404 `session_not_found`, for another user's too
 */
export const end =
  (strapi: Core.Strapi): Action =>
  async (ctx) => {
    const { id } = ctx.params ?? {};
    await endOwnSession(strapi, ctx, id);
    return ctx.send({ ok: true });
  };

/**
 * `DELETE /users/me/sessions`: ends all of the caller's sessions, or with `?except=current` all others.
 *
 * @throws SessionError 401 `authentication_required`; 400 `invalid_request` for any other `except`
 */
export const endAll =
  (strapi: Core.Strapi): Action =>
  async (ctx) => {
    const { sessions } = getService(strapi, 'refresh-session');
    const userIds = [requireUserId(ctx)];
    const { except } = ctx.query;
    if (except !== undefined && except !== 'current') {
      throw new SessionError('invalid_request', 'The only valid value of "except" is "current".');
    }
    const current = await currentSid(strapi, ctx);
    const selector = { userIds, except: (except && current) ?? undefined };
    const ended = await sessions.endMany(selector, 'revoked', clientInfo(ctx));
    if (!except && current) forgetSession(strapi, ctx, current);
    return ctx.send({ ended });
  };

/** @throws SessionError `authentication_required` for anything but a signed-in user, such as an API token */
function requireUserId(ctx: Context): number {
  const id: unknown = ctx.state.user?.id;
  if (typeof id !== 'number') throw new SessionError('authentication_required');
  return id;
}

/** @throws SessionError `authentication_required` */
export async function readOwnSessions(
  strapi: Core.Strapi,
  ctx: Context
): Promise<{ session: Session; current: boolean }[]> {
  const userId = requireUserId(ctx);
  const current = await currentSid(strapi, ctx);
  const sessions = await getService(strapi, 'refresh-session').sessions.list(userId, current);
  return sessions.map((session) => ({ session, current: session.sid === current }));
}

const iso = (at: number): string => new Date(at).toISOString();

/** @returns a session as responses show it */
export const present = (session: Session) => ({
  id: session.sid,
  description: session.description,
  userAgent: session.userAgent,
  ip: session.ip,
  transport: session.transport,
  createdAt: iso(session.openedAt),
  lastActivity: iso(session.rotatedAt),
  expiresAt: iso(session.expiresAt),
  endsAt: iso(session.endsAt),
});

/** @throws SessionError `authentication_required`; `session_not_found` */
export async function endOwnSession(
  strapi: Core.Strapi,
  ctx: Context,
  sid: unknown
): Promise<void> {
  const userId = requireUserId(ctx);
  const { sessions } = getService(strapi, 'refresh-session');
  const ended = isSid(sid) && (await sessions.end(sid, clientInfo(ctx), userId));
  if (!ended) throw new SessionError('session_not_found');
  if (sid === (await currentSid(strapi, ctx))) forgetSession(strapi, ctx, sid);
}

/** Ending the current session signs the browser out. The cookie of another session stays, and an untrusted page changes no cookie. */
function forgetSession(strapi: Core.Strapi, ctx: Context, sid: string): void {
  const { config, sessions } = getService(strapi, 'refresh-session');
  if (!isOriginAllowed(ctx, config)) return;
  const ofCookies = sessions.sidsOf(readRefreshCookies(ctx, config));
  forgetBrowser(strapi, ctx, ofCookies.includes(sid));
}
