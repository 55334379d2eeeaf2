import { setTimeout as sleep } from 'timers/promises';
import type { Core } from '@strapi/strapi';
import { prepared } from './prepared';
import type { Client, Session, SessionUser, Transport } from './types';

export const SESSION_UID = 'plugin::users-permissions.refresh-session';
export const USER_UID = 'plugin::users-permissions.user';

/** Which sessions to end: of some users (but for one session), or everyone's. */
export type Which = { userIds: readonly number[]; except?: string } | 'everyone';

/** What a refresh writes, whatever the row holds. Times are milliseconds since the epoch. */
export interface Refresh {
  client: Client & { transport: Transport };
  rotatedAt: number;
  /** Idle end, unless the absolute one comes first. */
  idleEnd: number;
}

/** Where sessions live. `createStore` is the real one; the model-based test brings one in memory. */
export interface Store {
  /** The session and its user, in one round trip. */
  find(sid: string): Promise<{ session: Session | null; user: SessionUser | null }>;
  /**
   * The ordinary refresh in one statement: rotates a session whose newest token was presented, which has not reached its
   * absolute end, and whose user may sign in beyond doubt.
   *
   * @returns the session as it is now; null, and nothing changed, where any of this is not so, or where the database cannot
   *   do it in one statement: then the rule decides, on what `find` reads
   */
  advance(sid: string, generation: number, refresh: Refresh): Promise<Session | null>;
  /** @throws Error if the session's user is gone */
  insert(session: Session): Promise<void>;
  /**
   * Compare-and-swap: writes `next` only where the row still has the generation that was `seen` (and, for a `replace`, is
   * still not acknowledged).
   *
   * @returns whether it was this caller who did it
   */
  rotate(seen: Session, next: Session, onlyUnacknowledged: boolean): Promise<boolean>;
  /** Marks the generation as having arrived, if it is still the newest. */
  acknowledge(sid: string, generation: number): Promise<void>;
  /**
   * @param seenAt ends it only if it was not refreshed since
   * @returns whether it was this caller who ended it
   */
  end(sid: string, seenAt?: number): Promise<boolean>;
  /** A user's sessions, the one refreshed last first. */
  list(userId: number): Promise<Session[]>;
  /**
   * Ends up to `limit` sessions.
   *
   * @returns what it was this caller who ended, and whether there may be more
   */
  endMany(
    which: Which,
    limit: number
  ): Promise<{ ended: Pick<Session, 'sid' | 'userId'>[]; more: boolean }>;
  /** What of a user's row a sign-in depends on, waiting for whoever is changing it. */
  standing(userId: number): Promise<{ password: string | null; blocked: boolean } | null>;
  /**
   * Deletes rows past their absolute end, or idle since before `idleBefore`, among the `limit` rows after `cursor`.
   *
   * @returns the cursor to go on from, null at the table's end
   */
  sweep(cursor: number, limit: number, now: number, idleBefore: number): Promise<number | null>;
}

type Knex = Core.Strapi['db']['connection'];

/**
 * The only code that knows the table. Times are stored as milliseconds since the epoch: Strapi's datetime columns have no
 * time zone, so two processes with different `TZ` would disagree about them.
 */
export function createStore(strapi: Core.Strapi): Store {
  const sessions = strapi.db.metadata.get(SESSION_UID).tableName;
  const users = strapi.db.metadata.get(USER_UID).tableName;

  // Beside an open transaction a statement of its own would wait for a second connection, and SQLite has only one.
  const run = async <T>(query: (knex: Knex) => PromiseLike<T>): Promise<T> =>
    strapi.db.inTransaction()
      ? strapi.db.transaction(({ trx }) => query(trx) as Promise<T>)
      : untilDone(() => query(strapi.db.connection));

  // A locking read: within a transaction MySQL would otherwise answer the same snapshot for ever.
  const current = <Q extends { forUpdate(...tables: string[]): Q }>(
    query: Q,
    ...tables: string[]
  ) => (strapi.db.inTransaction() ? query.forUpdate(...tables) : query);

  const client = strapi.db.dialect.client as 'sqlite' | 'postgres' | 'mysql';

  // A project may have taken fields out of its users, or given their columns other names.
  const { attributes } = strapi.db.metadata.get(USER_UID);
  const columnOf = (field: string): string | undefined => {
    const attribute = attributes[field] as { columnName?: string } | undefined;
    return attribute && (attribute.columnName ?? field);
  };
  const columnsOf = (fields: string[], table = users) =>
    fields.flatMap((field) => {
      const column = columnOf(field);
      return column ? [`${table}.${column} as ${field}`] : [];
    });

  const advance = client !== 'mysql' && prepareAdvance(client, sessions, users, columnOf);

  return {
    async advance(sid, generation, { client: device, rotatedAt, idleEnd }) {
      // MySQL's UPDATE returns no row.
      if (!advance) return null;
      const [row] = await run((knex) =>
        advance(knex, { sid, generation, rotatedAt, idleEnd, ...device })
      );
      return row ? fromRow(row) : null;
    },

    async find(sid) {
      const row = await run((knex) => {
        const query = knex(`${sessions} as s`)
          .leftJoin(`${users} as u`, 'u.id', 's.user_id')
          .where('s.sid', sid)
          .first(
            ...COLUMNS.map((column) => `s.${column}`),
            'u.id as uid',
            ...columnsOf(['blocked', 'confirmed'], 'u')
          );
        return current(query, 's');
      });
      return {
        session: row ? fromRow(row) : null,
        user: row?.uid
          ? {
              id: row.uid,
              blocked: Boolean(row.blocked),
              confirmed: !attributes.confirmed || Boolean(row.confirmed),
            }
          : null,
      };
    },

    async insert(session) {
      const insert = (knex: Knex) => knex(sessions).insert(toRow(session));
      // SQLite has one writer, who must not read before he writes.
      if (client === 'sqlite') {
        await run(insert);
        return;
      }
      // The user's row first, as whoever changes it does: the other way round MySQL finds a deadlock.
      const insertBehindUser = () =>
        strapi.db.transaction(async ({ trx }) => {
          const user = await trx(users).where({ id: session.userId }).forShare().first('id');
          if (!user) throw new Error('The user is gone.');
          await insert(trx as unknown as Knex);
        });
      await (strapi.db.inTransaction() ? insertBehindUser() : untilDone(insertBehindUser));
    },

    async rotate(seen, next, onlyUnacknowledged) {
      const { sid, user_id: _userId, opened_at: _openedAt, ...changes } = toRow(next);
      const count = await run((knex) => {
        const guarded = knex(sessions).where({ sid, generation: seen.generation });
        if (onlyUnacknowledged) void guarded.where({ acknowledged: false });
        return guarded.update(changes);
      });
      return count > 0;
    },

    async acknowledge(sid, generation) {
      await run((knex) =>
        knex(sessions)
          .where({ sid, generation, acknowledged: false })
          .update({ acknowledged: true })
      );
    },

    async end(sid, seenAt) {
      const guard = seenAt === undefined ? { sid } : { sid, rotated_at: seenAt };
      const count = await run((knex) => knex(sessions).where(guard).delete());
      return count > 0;
    },

    async list(userId) {
      const rows = await run((knex) => {
        const query = knex(sessions)
          .where({ user_id: userId })
          .orderBy([
            { column: 'rotated_at', order: 'desc' },
            { column: 'id', order: 'desc' },
          ])
          .select(...COLUMNS);
        return current(query);
      });
      return rows.map(fromRow);
    },

    async endMany(which, limit) {
      const matching = (knex: Knex) => {
        const query = knex(sessions).orderBy('id').limit(limit);
        if (which === 'everyone') return query;
        if (which.except) void query.whereNot('sid', which.except);
        return query.whereIn('user_id', [...which.userIds]);
      };
      // Who deletes a row is who ended it, so that it is told once.
      if (client === 'postgres') {
        const ended = await run((knex) =>
          knex(sessions)
            .whereIn('id', matching(knex).select('id'))
            .delete()
            .returning(['sid', 'user_id'])
        );
        return {
          ended: ended.map(({ sid, user_id: userId }) => ({ sid, userId })),
          more: ended.length === limit,
        };
      }

      const ended: { sid: string; userId: number | null }[] = [];
      const found = await run((knex) => current(matching(knex).select('sid', 'user_id')));
      for (const { sid, user_id: userId } of found) {
        if (await this.end(sid)) ended.push({ sid, userId });
      }
      return { ended, more: found.length === limit };
    },

    async standing(userId) {
      const row = await run((knex) =>
        knex(users)
          .where({ id: userId })
          .forShare()
          .first('id', ...columnsOf(['password', 'blocked']))
      );
      return row ? { password: row.password ?? null, blocked: Boolean(row.blocked) } : null;
    },

    async sweep(cursor, limit, now, idleBefore) {
      const rows = await run((knex) =>
        knex(sessions).where('id', '>', cursor).orderBy('id').limit(limit).select('id')
      );
      if (rows.length === 0) return null;

      const last = rows[rows.length - 1].id as number;
      // The condition stands in the DELETE itself: a session that is refreshed meanwhile stays.
      await run((knex) =>
        knex(sessions)
          .where('id', '>', cursor)
          .where('id', '<=', last)
          .where(
            (due) => void due.where('ends_at', '<=', now).orWhere('expires_at', '<=', idleBefore)
          )
          .delete()
      );
      return rows.length < limit ? null : last;
    },
  };
}

/** The part of the decision table that is the ordinary refresh, in SQL. */
function prepareAdvance(
  client: 'sqlite' | 'postgres',
  sessions: string,
  users: string,
  columnOf: (field: string) => string | undefined
) {
  const must = (field: string, condition: string) =>
    columnOf(field) ? `AND u."${columnOf(field)}" ${condition}` : '';
  return prepared(
    client,
    `UPDATE "${sessions}"
     SET generation = generation + 1, parent = generation, acknowledged = FALSE,
       rotated_at = :rotatedAt,
       expires_at = CASE WHEN ends_at < :idleEnd THEN ends_at ELSE :idleEnd END,
       transport = :transport, user_agent = :userAgent, ip = :ip
     WHERE sid = :sid AND generation = :generation AND ends_at > :rotatedAt
       AND EXISTS (
         SELECT 1 FROM "${users}" AS u
         WHERE u.id = "${sessions}".user_id
           ${must('blocked', 'IS NOT TRUE')} ${must('confirmed', 'IS TRUE')}
       )
     RETURNING ${COLUMNS.join(', ')}`
  );
}

/** What a database calls a statement that it undid for another one's sake: deadlock, or a row that is newer by now. */
const CONFLICTS = ['40001', '40P01', 'ER_LOCK_DEADLOCK', 'ER_CHECKREAD'];

/** Runs what is a transaction of its own until no other one is in its way. */
async function untilDone<T>(attempt: () => PromiseLike<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!CONFLICTS.includes((error as { code?: string }).code ?? '')) throw error;
      // Each at another moment, so that they do not meet again.
      await sleep(Math.random() * 10);
    }
  }
}

const COLUMNS = [
  'sid',
  'user_id',
  'generation',
  'parent',
  'acknowledged',
  'transport',
  'description',
  'user_agent',
  'ip',
  'opened_at',
  'rotated_at',
  'expires_at',
  'ends_at',
] as const;

const toRow = (session: Session) => ({
  sid: session.sid,
  user_id: session.userId,
  generation: session.generation,
  parent: session.parent,
  acknowledged: session.acknowledged,
  transport: session.transport,
  description: session.description,
  user_agent: session.userAgent,
  ip: session.ip,
  opened_at: session.openedAt,
  rotated_at: session.rotatedAt,
  expires_at: session.expiresAt,
  ends_at: session.endsAt,
});

// PostgreSQL answers a bigint as text, SQLite a boolean as 0 or 1.
const fromRow = (row: Record<string, any>): Session => ({
  sid: row.sid,
  userId: row.user_id,
  generation: row.generation,
  parent: row.parent,
  acknowledged: Boolean(row.acknowledged),
  transport: row.transport,
  description: row.description,
  userAgent: row.user_agent,
  ip: row.ip,
  openedAt: Number(row.opened_at),
  rotatedAt: Number(row.rotated_at),
  expiresAt: Number(row.expires_at),
  endsAt: Number(row.ends_at),
});
