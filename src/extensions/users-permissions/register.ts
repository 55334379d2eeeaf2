import type { Core } from '@strapi/strapi';
import { isBefore } from './config/release';
import { ConfigurationError } from './errors';
import { SESSION_UID, USER_UID } from './sessions/database';

/**
 * The table of sessions. An internal model, as the content manager's history is, and not a content type: sessions are
 * security state, which must never be exported, and never restored by an import.
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
      target: USER_UID,
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
    // Null where a session does not differ from the defaults.
    persistent: { type: 'boolean' },
    // Milliseconds.
    idleTtl: { type: 'biginteger' },
    accessTtl: { type: 'biginteger' },
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
      'Sessions are no longer a content type, but the schema of version 1 is still there. Delete src/extensions/users-permissions/content-types/refresh-session, and the same folder under dist if there is one, then restart. No session is lost.',
    ]);
  }
  strapi.get('models').add(sessionModel);
  strapi
    .hook('strapi::content-types.beforeSync')
    .register(() => forgetColumnsOfContent(strapi) as never);
}

/** Columns that version 1's table had because it was a content type. */
const COLUMNS_OF_CONTENT = [
  'document_id',
  'created_at',
  'updated_at',
  'published_at',
  'created_by_id',
  'updated_by_id',
  'locale',
];

interface Table {
  name: string;
  columns: { name: string }[];
  indexes: { columns: string[] }[];
  foreignKeys: { columns: string[] }[];
}

/**
 * Before release 5.8, Strapi drops a column and then its index, which is already gone, and the boot fails. So make Strapi
 * forget that it created them: they stay in the table, unused. Newer releases drop them.
 *
 * @see @strapi/database dist/schema/builder.js, alterTable
 */
async function forgetColumnsOfContent(strapi: Core.Strapi): Promise<void> {
  if (!isBefore(strapi, 8)) return;

  const { schemaStorage } = strapi.db.schema;
  const stored = (await schemaStorage.read()) as { schema: { tables: Table[] } } | null;
  const table = stored?.schema.tables.find(({ name }) => name === sessionModel.tableName);
  const isOfContent = (name: string) => COLUMNS_OF_CONTENT.includes(name);
  if (!stored || !table?.columns.some(({ name }) => isOfContent(name))) return;

  table.columns = table.columns.filter(({ name }) => !isOfContent(name));
  table.indexes = table.indexes.filter(({ columns }) => !columns.some(isOfContent));
  table.foreignKeys = table.foreignKeys.filter(({ columns }) => !columns.some(isOfContent));
  await schemaStorage.add(stored.schema as never);
}
