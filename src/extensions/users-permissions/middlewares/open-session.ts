import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import { answerSignIn } from '../controllers/auth';
import { assertOrigin } from '../http/cross-origin';
import { resolveTransport } from '../http/request';
import { withErrorResponse } from '../http/response';
import type { Action } from '../http/response';
import { readForeignOptions } from '../http/sign-in-options';
import { getService } from '../services/get-service';
import { runSignIn } from '../sessions/sign-in-context';

/**
 * A route middleware for sign-ins that are not Strapi's own: it turns a response `{ jwt, … }` with a token from `jwt.issue` into a
 * session, as a login does. `middlewares: ['plugin::users-permissions.open-session']`
 *
 * @throws (per request) SessionError as a sign-in; Error if the token did not come from `jwt.issue({ id })` in this request:
 *   anything else could be a token that the caller sent
 * @see @strapi/core services/server/middleware.js
 */
export const openSession = (_config: unknown, { strapi }: { strapi: Core.Strapi }): Action =>
  withErrorResponse(strapi, async (ctx, next) => {
    const { config } = getService(strapi, 'refresh-session');
    const { wantsBody, rememberMe, ...device } = readForeignOptions(ctx);
    const transport = wantsBody ? 'body' : resolveTransport(ctx, config);
    // Before the route consumes anything. A link in an email is a navigation.
    if (transport !== 'body') assertOrigin(ctx, config, true);

    const { userIdOf, passwordHashOf } = await runSignIn(next);
    const { jwt: token } = (ctx.body ?? {}) as { jwt?: unknown };
    if (typeof token !== 'string' || hasSession(token)) return;
    const userId = userIdOf(token);
    if (typeof userId !== 'number') {
      throw new Error(
        `${ctx.method} ${ctx.path} has the middleware open-session, but the jwt in its response does not come from jwt.issue({ id: user.id }) of users-permissions.`
      );
    }
    const options = { ...device, transport, persistent: rememberMe ?? true };
    const tokens = await answerSignIn(strapi, ctx, userId, options, passwordHashOf(userId));
    ctx.body = { ...(ctx.body as object), ...tokens };
  });

/** Strapi's own sign-ins already have one. */
const hasSession = (token: string): boolean =>
  (jwt.decode(token) as { sid?: unknown } | null)?.sid !== undefined;
