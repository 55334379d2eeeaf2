/**
 * Sessions for users-permissions: a short-lived access token, and a rotating refresh token in a signed httpOnly cookie or
 * in the body. This file is the table of contents of what changes in Strapi.
 *
 * Expects: Strapi 5, the plugin's `jwtManagement` left at its default, REFRESH_SECRET in the environment.
 * Dangerous to change: the order of the lines in `decide.ts`, and the guards of the updates in `store.ts`.
 */
import type { Core } from '@strapi/strapi';
import { startUp } from './boot';
import { withSignIns } from './controllers/sign-in';
import { withRoutes } from './routes';
import { withSessions } from './services/access-token';
import { createRefreshSessionService } from './services/refresh-session';

export default (plugin: any) => {
  const { bootstrap } = plugin;

  plugin.controllers.auth = withSignIns(plugin.controllers.auth);
  plugin.services.jwt = withSessions(plugin.services.jwt);
  plugin.services['refresh-session'] = createRefreshSessionService;
  plugin.routes['content-api'] = withRoutes(plugin.routes['content-api']);

  plugin.bootstrap = async (context: { strapi: Core.Strapi }) => {
    await bootstrap(context);
    startUp(context.strapi);
  };

  return plugin;
};
