import type { Core } from '@strapi/strapi';
import type { Session } from '../types';
import { retryOnConflict } from './conflicts';

export const SESSION_UID = 'plugin::users-permissions.refresh-session';
export const USER_UID = 'plugin::users-permissions.user';

export type Knex = Core.Strapi['db']['connection'];

export type Database = ReturnType<typeof createDatabase>;

/** The tables of sessions and users, and how statements on them run inside and outside of a transaction. */
export function createDatabase(strapi: Core.Strapi) {
  const users = strapi.db.metadata.get(USER_UID);

  /** A project may have removed fields from its users, or renamed their columns. */
  const userColumn = (field: string): string | undefined => {
    const attribute = users.attributes[field] as { columnName?: string } | undefined;
    return attribute && (attribute.columnName ?? field);
  };

  return {
    client: strapi.db.dialect.client as 'sqlite' | 'postgres' | 'mysql',
    sessions: strapi.db.metadata.get(SESSION_UID).tableName,
    users: users.tableName,
    userColumn,

    /** Selects the fields that the project's users have, under their own names. */
    userColumns: (fields: string[], table = users.tableName): string[] =>
      fields.flatMap((field) => {
        const column = userColumn(field);
        return column ? [`${table}.${column} as ${field}`] : [];
      }),

    inTransaction: () => strapi.db.inTransaction(),
    transaction: <T>(run: (knex: Knex) => Promise<T>): Promise<T> =>
      strapi.db.transaction(({ trx }) => run(trx as unknown as Knex)) as Promise<T>,

    /**
     * Runs one statement, in the open transaction if there is one: a separate statement would wait for a second
     * connection, and SQLite has only one.
     */
    run: <T>(query: (knex: Knex) => PromiseLike<T>): Promise<T> =>
      strapi.db.inTransaction()
        ? (strapi.db.transaction(
            ({ trx }) => query(trx as unknown as Knex) as Promise<T>
          ) as Promise<T>)
        : retryOnConflict(() => query(strapi.db.connection)),

    /** Inside a transaction, turns the query into a locking read: MySQL would otherwise return the same snapshot forever. */
    locked: <Q extends { forUpdate(...tables: string[]): Q }>(query: Q, ...tables: string[]): Q =>
      strapi.db.inTransaction() ? query.forUpdate(...tables) : query,
  };
}

/** The session's columns. Times are milliseconds since the epoch: Strapi's datetime columns have no time zone. */
export const COLUMNS = [
  'sid',
  'user_id',
  'generation',
  'parent',
  'acknowledged',
  'transport',
  'device_id',
  'description',
  'user_agent',
  'ip',
  'opened_at',
  'rotated_at',
  'expires_at',
  'ends_at',
] as const;

type Row = Record<(typeof COLUMNS)[number], any>;

export const toRow = (session: Session): Row => ({
  sid: session.sid,
  user_id: session.userId,
  generation: session.generation,
  parent: session.parent,
  acknowledged: session.acknowledged,
  transport: session.transport,
  device_id: session.deviceId,
  description: session.description,
  user_agent: session.userAgent,
  ip: session.ip,
  opened_at: session.openedAt,
  rotated_at: session.rotatedAt,
  expires_at: session.expiresAt,
  ends_at: session.endsAt,
});

/** PostgreSQL returns a bigint as text, SQLite a boolean as 0 or 1. */
export const fromRow = (row: Row): Session => ({
  sid: row.sid,
  userId: row.user_id,
  generation: row.generation,
  parent: row.parent,
  acknowledged: Boolean(row.acknowledged),
  transport: row.transport,
  deviceId: row.device_id,
  description: row.description,
  userAgent: row.user_agent,
  ip: row.ip,
  openedAt: Number(row.opened_at),
  rotatedAt: Number(row.rotated_at),
  expiresAt: Number(row.expires_at),
  endsAt: Number(row.ends_at),
});
