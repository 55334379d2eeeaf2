import { setTimeout as sleep } from 'timers/promises';
import type { Core } from '@strapi/strapi';
import { SessionError } from '../errors';
import type { Session } from '../types';

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
    sessions: strapi.db.metadata.get(SESSION_UID).tableName as string,
    users: users.tableName as string,
    userColumn,

    /** Selects the fields that the project's users have, under their own names. */
    userColumns: (fields: string[], table: string = users.tableName): string[] =>
      fields.flatMap((field) => {
        const column = userColumn(field);
        return column ? [`${table}.${column} as ${field}`] : [];
      }),

    inTransaction: (): boolean => strapi.db.inTransaction(),
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

/** Errors for a statement that was rolled back by a conflict (deadlock or serialization failure). */
const CONFLICTS = [
  '40001',
  '40P01',
  'ER_LOCK_DEADLOCK',
  'ER_CHECKREAD',
  'SQLITE_BUSY',
  'SQLITE_BUSY_SNAPSHOT',
];

/** @returns whether the database rolled back a statement, and its transaction, because of a concurrent one */
export const isConflict = (error: unknown): boolean =>
  CONFLICTS.includes((error as { code?: string } | null)?.code ?? '');

/** Milliseconds for which a statement is retried. A caller who waits longer has given up or is asking again. */
const PATIENCE = 5_000;

/**
 * Retries a standalone transaction until it no longer conflicts with another.
 *
 * @throws SessionError `temporarily_unavailable` when that takes longer than five seconds
 */
export async function retryOnConflict<T>(attempt: () => PromiseLike<T>): Promise<T> {
  // Monotonic: changes of the system clock don't affect it.
  const deadline = performance.now() + PATIENCE;
  for (let turn = 1; ; turn += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!isConflict(error)) throw error;
      // At random, so that the same statements do not collide again, and less often the longer it takes.
      const pause = Math.random() * Math.min(10 * turn, 250);
      if (performance.now() + pause > deadline) {
        throw new SessionError('temporarily_unavailable', undefined, { cause: error });
      }
      await sleep(pause);
    }
  }
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
  'persistent',
  'idle_ttl',
  'access_ttl',
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
  persistent: session.persistent ? null : false,
  idle_ttl: session.idleTtl,
  access_ttl: session.accessTtl,
});

const numberOrNull = (value: unknown): number | null => (value === null ? null : Number(value));

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
  persistent: row.persistent === null || Boolean(row.persistent),
  idleTtl: numberOrNull(row.idle_ttl),
  accessTtl: numberOrNull(row.access_ttl),
});
