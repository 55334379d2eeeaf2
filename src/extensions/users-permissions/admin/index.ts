/**
 * Optional: lets the people who run this Strapi see and end sessions. Routes for the admin panel and for admin tokens, two
 * permissions, webhooks, and a record of each reuse of a refresh token. `strapi-server.ts` says how to remove it.
 */
import type { Core } from '@strapi/strapi';
import { withAddedRoutes } from '../http/routing';
import { registerAuditEvent } from './audit';
import { addIncidentModel, cleanUpIncidents, recordIncidents } from './incidents';
import { registerPermissions, table } from './routes';

type Lifecycle = { strapi: Core.Strapi };

/** @param plugin users-permissions, as changed by this extension */
export const withAdmin = (plugin: any) => ({
  ...plugin,
  routes: { ...plugin.routes, admin: withAddedRoutes(plugin.routes.admin, table) },

  async register({ strapi }: Lifecycle) {
    await plugin.register({ strapi });
    addIncidentModel(strapi);
  },

  async bootstrap({ strapi }: Lifecycle) {
    await plugin.bootstrap({ strapi });
    await registerPermissions(strapi);
    allowWebhooks(strapi);
    registerAuditEvent(strapi);
    recordIncidents(strapi);
    cleanUpIncidents(strapi);
  },
});

/** `refreshed` is left out, because it happens every few minutes in each session. */
function allowWebhooks(strapi: Core.Strapi): void {
  const store = strapi.get('webhookStore');
  for (const event of ['opened', 'ended', 'reused']) {
    store.addAllowedEvent(`REFRESH_SESSION_${event.toUpperCase()}`, `refresh-session.${event}`);
  }
}
