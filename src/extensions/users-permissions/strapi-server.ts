/**
 * Sessions for users-permissions: a short-lived access token, and a rotating refresh token in a signed httpOnly cookie or
 * in the body. This file is the table of contents of what changes in Strapi.
 *
 * Expects: Strapi 5, the plugin's `jwtManagement` left at its default, REFRESH_SECRET in the environment.
 * Dangerous to change: the order of the lines in `decide.ts`, and the guards of the updates in `store.ts`.
 */
import type { Core } from '@strapi/strapi';
import { startUp } from './bootstrap';
import { withSignIns } from './controllers/auth';
import { withRoutes } from './routes';
import { withSessions } from './services/jwt';
import { withMemory } from './services/user';
import { createRefreshSessionService } from './services/refresh-session';
import { addSessionModel } from './register';

// Nothing of the plugin is changed in place: its objects outlive a Strapi that is booted twice in one process.
const withRefreshTokens = (plugin: any) => ({
  ...plugin,

  controllers: { ...plugin.controllers, auth: withSignIns(plugin.controllers.auth) },

  services: {
    ...plugin.services,
    jwt: withSessions(plugin.services.jwt),
    user: withMemory(plugin.services.user),
    'refresh-session': createRefreshSessionService,
  },

  routes: { ...plugin.routes, 'content-api': withRoutes(plugin.routes['content-api']) },

  async register(context: { strapi: Core.Strapi }) {
    await plugin.register(context);
    addSessionModel(context.strapi);
  },

  async bootstrap(context: { strapi: Core.Strapi }) {
    await plugin.bootstrap(context);
    await startUp(context.strapi);
  },
});

export default withRefreshTokens;
