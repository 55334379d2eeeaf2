/**
 * Sessions for users-permissions: a short-lived access token, and a rotating refresh token in a signed httpOnly cookie or
 * in the body. This file lists everything that changes in Strapi.
 *
 * Expects: Strapi 5, the plugin's `jwtManagement` left at its default, REFRESH_SECRET in the environment.
 *
 * Yours to edit: `routes.ts` (add or remove routes), the messages in `errors.ts` (keep the codes), the defaults in
 * `config/read.ts`. `controllers/compatibility.ts` is optional: delete it together with its line below.
 * Dangerous to change: the order of the lines in `sessions/refresh-outcome.ts`, and the conditions of the statements in
 * `sessions/repository.ts` and `sessions/deletions.ts`. Run the tests of this extension's repository if you do.
 */
import type { Core } from '@strapi/strapi';
import { loadConfig, logConfig } from './bootstrap';
import { openSessionsOnSignIn } from './controllers/auth';
import { withOtherFrontEnds } from './controllers/compatibility';
import { scheduleCleanup } from './cron/cleanup';
import { endSessionsOfChangedUsers } from './lifecycles/user';
import { addSessionModel } from './register';
import { withRoutes } from './routes';
import { withSessionCheck } from './services/jwt';
import { createRefreshSessionService } from './services/refresh-session';
import { trackPassword } from './services/user';

// Nothing of the plugin is changed in place: its objects outlive a Strapi that is booted twice in one process.
const withSessions = (plugin: any) => ({
  ...plugin,

  // Strapi's sign-ins are called, and their long-lived JWT is replaced by the tokens of a session.
  controllers: { ...plugin.controllers, auth: openSessionsOnSignIn(plugin.controllers.auth) },

  services: {
    ...plugin.services,
    // Access tokens are short-lived, and valid only while their session lives.
    jwt: withSessionCheck(plugin.services.jwt),
    // A sign-in knows which password hash was checked.
    user: trackPassword(plugin.services.user),
    // New: sign in, sign out and list sessions from your own code.
    'refresh-session': createRefreshSessionService,
  },

  // New: POST /token/refresh and /token/revoke, and /users/me/sessions. A rate limit on the callback of social sign-in.
  routes: { ...plugin.routes, 'content-api': withRoutes(plugin.routes['content-api']) },

  async register({ strapi }: { strapi: Core.Strapi }) {
    await plugin.register({ strapi });
    // The table `up_refresh_sessions`.
    addSessionModel(strapi);
  },

  async bootstrap({ strapi }: { strapi: Core.Strapi }) {
    await plugin.bootstrap({ strapi });
    // Stops the boot if a setting is wrong.
    const config = loadConfig(strapi);
    await logConfig(strapi, config);
    // Blocking or deleting a user, or changing their password, ends their sessions.
    endSessionsOfChangedUsers(strapi);
    // Once an hour, deletes the rows of sessions that are over.
    scheduleCleanup(strapi);
  },
});

// Optional: the routes that front ends of other refresh-token plugins, and of Strapi's own refresh mode, call. To remove
// them, return `withSessions(plugin)`.
const withRefreshTokens = (plugin: any) => withOtherFrontEnds(withSessions(plugin));

export default withRefreshTokens;
