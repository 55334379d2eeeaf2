/**
 * Sessions for users-permissions: a short-lived access token, and a rotating refresh token in a signed httpOnly cookie or
 * in the body. Everything that changes in Strapi is listed here.
 *
 * Expects: Strapi 5, no `jwtManagement: 'refresh'` in `config/plugins`, REFRESH_SECRET in the environment (in development one
 * is generated and saved to `.env`), jsonwebtoken and @strapi/utils in `package.json`.
 *
 * Where to look: `sessions/refresh-outcome.ts` decides what happens to every refresh token; `http/response.ts` signs access tokens,
 * writes the cookie and turns errors into responses; `http/cross-origin.ts` keeps untrusted pages out.
 *
 * Yours to edit: `policy.ts`, which no upgrade overwrites; the tables of routes, the messages in `errors.ts` (keep the codes), the defaults in `config/read.ts`.
 * Dangerous to change: the order of the lines in `sessions/refresh-outcome.ts` and in `http/cross-origin.ts`, the order of
 * the steps in `sessions/opening.ts` and `lifecycles/user.ts`, and every condition in an SQL statement.
 */
import type { Core } from '@strapi/strapi';
import { withAdmin } from './admin';
import { loadConfig, logConfig } from './bootstrap';
import { openSessionsOnSignIn } from './controllers/auth';
import { withOtherFrontEnds } from './controllers/compatibility';
import { scheduleCleanup } from './cron/cleanup';
import { withGraphql } from './graphql';
import { endSessionsOfChangedUsers } from './lifecycles/user';
import { openSession } from './middlewares/open-session';
import { recentSignIn } from './policies/recent-sign-in';
import { addSessionModel } from './register';
import { withRoutes } from './routes';
import { withSessionCheck } from './services/jwt';
import { createRefreshSessionService } from './services/refresh-session';
import { trackPassword } from './services/user';

// Nothing of the plugin is changed in place: its objects outlive a Strapi that is booted twice in one process.
const withSessions = (plugin: any) => ({
  ...plugin,

  // Strapi's sign-ins are called, and their long-lived JWT is replaced by the tokens of a session. A social sign-in also
  // needs the nonce cookie that its start sets, and works once.
  controllers: { ...plugin.controllers, auth: openSessionsOnSignIn(plugin.controllers.auth) },

  services: {
    ...plugin.services,
    // Access tokens are short-lived, and valid only while their session is active. Sign-in routes ignore an expired one.
    jwt: withSessionCheck(plugin.services.jwt),
    // A sign-in knows which password hash was checked. Passwords that bcryptjs cannot handle are refused.
    user: trackPassword(plugin.services.user),
    // New: sign in, sign out and list sessions from your own code.
    'refresh-session': createRefreshSessionService,
  },

  // New: for routes of your own, and of other plugins. A policy that asks for a recent sign-in, and a middleware that turns
  // `{ jwt, user }` into a session.
  policies: { ...plugin.policies, 'recent-sign-in': recentSignIn },
  middlewares: { ...plugin.middlewares, 'open-session': openSession },

  // New: POST /token/refresh, /token/revoke and, with REFRESH_TOKEN_ACCESS=true, /token/access; and /users/me/sessions. A rate
  // limit on the callback of social sign-in.
  routes: { ...plugin.routes, 'content-api': withRoutes(plugin.routes['content-api']) },

  async register({ strapi }: { strapi: Core.Strapi }) {
    await plugin.register({ strapi });
    // An internal table, `up_refresh_sessions`: sessions are not content.
    addSessionModel(strapi);
  },

  async bootstrap({ strapi }: { strapi: Core.Strapi }) {
    await plugin.bootstrap({ strapi });
    // Stops the boot if a setting is wrong.
    const config = loadConfig(strapi);
    // Blocking or deleting a user, or changing their password, by any path ends their sessions.
    endSessionsOfChangedUsers(strapi);
    // Once an hour, deletes the rows of sessions that are over.
    scheduleCleanup(strapi);
    // Stops the boot if no token can be signed. Also stores when the last JWT from before can expire.
    await logConfig(strapi, config);
  },
});

// Optional. To remove one, delete its file or folder, its import, and its line here.
const optional: ((plugin: any) => any)[] = [
  // `controllers/compatibility.ts`: the routes that front ends of other refresh-token plugins, and of Strapi's own refresh
  // mode, call.
  withOtherFrontEnds,
  // `graphql.ts`: the same over GraphQL, in projects that have Strapi's GraphQL plugin.
  withGraphql,
  // `admin/`: for the people who run this Strapi. Routes, permissions and webhooks, and a table of incidents.
  withAdmin,
];

const withRefreshTokens = (plugin: any) =>
  optional.reduce((changed, add) => add(changed), withSessions(plugin));

export default withRefreshTokens;
