import type { Core } from '@strapi/strapi';
import { ConfigurationError } from './config';

export const SESSION_UID = 'plugin::users-permissions.refresh-session';

/**
 * The table of sessions. An internal model, as the content manager's history is, and not a content type: sessions are
 * security state, which an export must not carry and an import must not bring back.
 *
 * @see @strapi/content-manager dist/server/history/models/history-version.js
 */
const sessionModel = {
  uid: SESSION_UID,
  tableName: 'up_refresh_sessions',
  singularName: 'refresh-session',
  indexes: [{ name: 'up_refresh_sessions_sid_unique', columns: ['sid'], type: 'unique' }],
  attributes: {
    id: { type: 'increments' },
    sid: { type: 'string' },
    user: {
      type: 'relation',
      relation: 'manyToOne',
      target: 'plugin::users-permissions.user',
      useJoinTable: false,
    },
    generation: { type: 'integer' },
    parent: { type: 'integer' },
    acknowledged: { type: 'boolean' },
    transport: { type: 'string' },
    deviceId: { type: 'string' },
    description: { type: 'string' },
    userAgent: { type: 'string' },
    ip: { type: 'string' },
    // Milliseconds since the epoch: Strapi's datetime columns have no time zone.
    openedAt: { type: 'biginteger' },
    rotatedAt: { type: 'biginteger' },
    expiresAt: { type: 'biginteger' },
    endsAt: { type: 'biginteger' },
  },
};

/**
 * Adds the table to the database's models. Must run in `register`: the schema is synchronized right after it.
 *
 * @throws ConfigurationError while version 1's content type of the same name is still there, before the database changes
 */
export function addSessionModel(strapi: Core.Strapi): void {
  if (SESSION_UID in strapi.contentTypes) {
    throw new ConfigurationError([
      'Sessions are no longer a content type, but its schema is still there. Delete src/extensions/users-permissions/content-types/refresh-session, and the same folder below dist if there is one, then start again. No session is lost.',
    ]);
  }
  strapi.get('models').add(sessionModel);
}
