import type { Core } from '@strapi/strapi';
import * as utils from '@strapi/utils';
import { SessionError } from '../errors';
import { isSid } from '../sessions/refresh-token';
import { forgetVisit } from '../http/provider-sign-in';
import { currentSid, refreshSessions, sessionsOfCookies } from '../services';
import { clientOf, isOriginAllowed, writeCookie } from '../http/request';
import type { Context, Session } from '../types';
import { answering } from '../http/response';

const STOCK_SENTENCES = { 401: 'Missing authentication', 404: 'Session not found' };

const iso = (at: number): string => new Date(at).toISOString();

/** What an owner is shown of a session. Its public id is its sid. */
const present = (session: Session, current: boolean) => ({
  id: session.sid,
  description: session.description,
  userAgent: session.userAgent,
  ip: session.ip,
  transport: session.transport,
  createdAt: iso(session.openedAt),
  lastActivity: iso(session.rotatedAt),
  expiresAt: iso(session.expiresAt),
  endsAt: iso(session.endsAt),
  current,
});

/** The same as Strapi's own refresh mode shows it. @see @strapi/utils dist/sessions.js */
const presentAsStock = (session: Session, current: boolean) => ({
  id: session.sid,
  deviceId: session.deviceId ?? undefined,
  deviceName: session.description ?? nameOf(session.userAgent),
  current,
  loginAt: iso(session.openedAt),
  lastActiveAt: iso(session.rotatedAt),
});

/** @returns Strapi's own name for a device; releases before its refresh mode have none */
const nameOf = (userAgent: string | null): string | undefined =>
  (utils as any).buildSessionMetadata?.({ userAgent: userAgent ?? undefined }).deviceName;

/** @throws SessionError `authentication_required` for everybody but a signed-in user: an API token is none */
function ownerOf(ctx: Context): number {
  const id: unknown = ctx.state.user?.id;
  if (typeof id !== 'number') throw new SessionError('authentication_required');
  return id;
}

const listOf = async (
  strapi: Core.Strapi,
  ctx: Context,
  show: typeof presentAsStock | typeof present
) => {
  const owner = ownerOf(ctx);
  const current = await currentSid(strapi, ctx);
  const sessions = await refreshSessions(strapi).sessions.list(owner, current);
  return sessions.map((session) => show(session, session.sid === current));
};

/**
 * `GET /users/me/sessions`: the living sessions of the caller, the one used last first: the hundred most recent, and the
 * current one always among them.
 *
 * @throws (as an answer) 401 `authentication_required`
 */
export const list = (strapi: Core.Strapi) =>
  answering(async (ctx) => ctx.send(await listOf(strapi, ctx, present)));

/** `GET /auth/sessions`: the same as Strapi's own refresh mode answers it, the current one first. */
export const listAsStock = (strapi: Core.Strapi) =>
  answering(async (ctx) => {
    const data = await listOf(strapi, ctx, presentAsStock);
    return ctx.send({ data: data.sort((a, b) => Number(b.current) - Number(a.current)) });
  }, STOCK_SENTENCES);

/**
 * `DELETE /users/me/sessions/:id`: ends one of one's own sessions.
 *
 * @param parameter the route's name for the id
 * @param answer what is answered
 * @param sentences the route's own sentences for its refusals, by status
 * @throws (as answers) 401 `authentication_required`; 404 `session_not_found`, for another user's too
 */
export const end = (
  strapi: Core.Strapi,
  parameter = 'id',
  answer: object = { ok: true },
  sentences?: typeof STOCK_SENTENCES
) =>
  answering(async (ctx) => {
    const owner = ownerOf(ctx);
    const sid: unknown = ctx.params[parameter];
    const ended =
      isSid(sid) && (await refreshSessions(strapi).sessions.end(sid, clientOf(ctx), owner));
    if (!ended) throw new SessionError('session_not_found');
    if (sid === (await currentSid(strapi, ctx))) forgetCookieOf(strapi, ctx, sid);
    return ctx.send(answer);
  }, sentences);

/** `DELETE /auth/sessions/:sessionId` of Strapi's own refresh mode. */
export const endAsStock = (strapi: Core.Strapi) =>
  end(strapi, 'sessionId', { data: {} }, STOCK_SENTENCES);

/**
 * `DELETE /users/me/sessions`: ends all of one's own sessions, or with `?except=current` all others.
 *
 * @throws (as answers) 401 `authentication_required`; 400 `invalid_request` for any other `except`
 */
export const endAll = (strapi: Core.Strapi) =>
  answering(async (ctx) => {
    const userIds = [ownerOf(ctx)];
    const { except } = ctx.query;
    if (except !== undefined && except !== 'current') {
      throw new SessionError('invalid_request', 'except can only be current.');
    }
    const current = await currentSid(strapi, ctx);
    const which = { userIds, except: (except && current) ?? undefined };
    const ended = await refreshSessions(strapi).sessions.endMany(which, 'revoked', clientOf(ctx));
    if (!except && current) forgetCookieOf(strapi, ctx, current);
    return ctx.send({ ended });
  });

/** Whoever ends the session they are signed in by signs out. The cookie of another session stays, and a foreign page's. */
function forgetCookieOf(strapi: Core.Strapi, ctx: Context, sid: string): void {
  const { config } = refreshSessions(strapi);
  if (!isOriginAllowed(ctx, config)) return;
  if (sessionsOfCookies(strapi, ctx).includes(sid)) writeCookie(ctx, config, null);
  forgetVisit(ctx, config);
}
