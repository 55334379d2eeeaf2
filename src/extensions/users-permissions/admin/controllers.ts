import type { Core } from '@strapi/strapi';
import { collectWarnings } from '../bootstrap';
import { present } from '../controllers/sessions';
import { SessionError } from '../errors';
import { clientInfo, LONGEST_TEXT } from '../http/request';
import type { Action } from '../http/response';
import { isWellFormed } from '../http/sign-in-options';
import { getService } from '../services/get-service';
import { isSid } from '../sessions/refresh-token';
import type { Context } from '../types';
import { reportEnd } from './audit';
import { createReads } from './queries';
import { describeSettings } from './settings';

/**
 * `GET /users-permissions/sessions`: a page of active sessions, the newest sign-in first.
 *
 * @throws SessionError 400 `invalid_request`
 */
export const list =
  (strapi: Core.Strapi): Action =>
  async (ctx) => {
    const filter = { ...readFilter(ctx), search: readSearch(ctx) };
    const { rows, ...cursors } = await createReads(strapi).sessions(filter, Date.now());
    const sessions = rows.map(({ session, user }) => ({
      ...present(session),
      deviceId: session.deviceId,
      user,
    }));
    return ctx.send({ sessions, ...cursors });
  };

/** `GET /users-permissions/sessions/count`: how many are active. Separate, because it reads the whole table. */
export const count =
  (strapi: Core.Strapi): Action =>
  async (ctx) =>
    ctx.send({ active: await createReads(strapi).countActive(Date.now()) });

/** `GET /users-permissions/sessions/overview`: the settings in effect, and the warnings from the boot. */
export const overview =
  (strapi: Core.Strapi): Action =>
  async (ctx) => {
    const { config } = getService(strapi, 'refresh-session');
    const warnings = await collectWarnings(strapi, config);
    return ctx.send({ settings: describeSettings(config), warnings });
  };

/**
 * `GET /users-permissions/sessions/incidents`: a page of incidents of reuse, the newest first.
 *
 * @throws SessionError 400 `invalid_request`
 */
export const incidents =
  (strapi: Core.Strapi): Action =>
  async (ctx) => {
    const { rows, ...cursors } = await createReads(strapi).incidents(readFilter(ctx));
    return ctx.send({ incidents: rows, ...cursors });
  };

/** `DELETE /users-permissions/sessions/:id`: ends one session. @throws SessionError 404 `session_not_found` */
export const end =
  (strapi: Core.Strapi): Action =>
  async (ctx) => {
    const { id } = ctx.params;
    const { sessions } = getService(strapi, 'refresh-session');
    const ended = isSid(id) && (await sessions.end(id, adminOf(ctx)));
    if (!ended) throw new SessionError('session_not_found');
    reportEnd(strapi, { ...adminOf(ctx), sid: ended.sid, userId: ended.userId, ended: 1 });
    return ctx.send({ ended: 1 });
  };

/**
 * `DELETE /users-permissions/sessions`: `?user=1` ends a user's sessions, and `?everyone=true` ends those of all users.
 *
 * @throws SessionError 400 `invalid_request` if both or neither are given
 */
export const endMany =
  (strapi: Core.Strapi): Action =>
  async (ctx) => {
    const userId = readInteger(ctx, 'user');
    const { everyone } = ctx.query;
    const isEveryone = everyone === 'true';
    if ((userId === undefined) !== isEveryone || (everyone !== undefined && !isEveryone)) {
      throw new SessionError('invalid_request', 'Send either user (an id) or everyone=true.');
    }
    const { sessions } = getService(strapi, 'refresh-session');
    const selector = userId === undefined ? 'everyone' : { userIds: [userId] };
    let ended: number | null = null;
    try {
      ended = await sessions.endMany(selector, 'ended by admin', adminOf(ctx));
    } finally {
      // If a batch fails, the sessions before it have ended nevertheless.
      reportEnd(strapi, { ...adminOf(ctx), userId: userId ?? null, ended });
    }
    return ctx.send({ ended });
  };

/** The admin, and the device of the request. An admin token acts for the admin who created it. */
const adminOf = (ctx: Context) => ({
  adminId: ctx.state.user!.id as number,
  ...clientInfo(ctx),
});

function readFilter(ctx: Context) {
  const [before, after] = [readInteger(ctx, 'before'), readInteger(ctx, 'after')];
  if (before !== undefined && after !== undefined) {
    throw new SessionError('invalid_request', 'Send either before or after, not both.');
  }
  return { userId: readInteger(ctx, 'user'), before, after };
}

/** Exact as a JavaScript number, and within the range of a bigint in any database. */
const INTEGER = /^[1-9]\d{0,14}$/;

function readInteger(ctx: Context, name: 'user' | 'before' | 'after'): number | undefined {
  const value: unknown = ctx.query[name];
  if (value === undefined) return undefined;
  if (typeof value === 'string' && INTEGER.test(value)) return Number(value);
  throw new SessionError('invalid_request', `${name} must be a whole number above 0.`);
}

function readSearch(ctx: Context): string | undefined {
  const { search } = ctx.query;
  if (search === undefined) return undefined;
  if (typeof search === 'string' && search.length <= LONGEST_TEXT && isWellFormed(search)) {
    return search.trim() || undefined;
  }
  throw new SessionError(
    'invalid_request',
    `search must be text of at most ${LONGEST_TEXT} characters, without NUL.`
  );
}
