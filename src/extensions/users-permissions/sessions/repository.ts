import { setTimeout as sleep } from 'timers/promises';
import type { Core } from '@strapi/strapi';
import { SessionError } from '../errors';
import { prepared } from './statements';
import { SESSION_UID } from '../register';
import type { Client, Session, SessionUser, TokenFields, Transport } from '../types';

export const USER_UID = 'plugin::users-permissions.user';

/** Which sessions to end: of some users (but for one session), everyone's, or those whose user is gone. */
export type Which =
  { userIds: readonly number[]; except?: string | undefined } | 'everyone' | 'orphaned';

/** What the ordinary refresh finds in the token. `endsAt`: milliseconds, rounded down to a whole second. */
export type Presented = Pick<TokenFields, 'sid' | 'generation' | 'endsAt'> & { userId: number };

/** What the ordinary refresh writes. Times are milliseconds since the epoch. */
export interface Rotation extends Client {
  transport: Transport;
  rotatedAt: number;
  expiresAt: number;
}

/** Where sessions live. `createStore` is the real one; the model-based test brings one in memory. */
export interface Store {
  find(sid: string): Promise<Session | null>;
  /** The session and its user, in one round trip. */
  findWithUser(sid: string): Promise<{ session: Session | null; user: SessionUser | null }>;
  /**
   * The ordinary refresh in one statement: rotates a session whose newest token was presented, which has not reached its
   * absolute end, and whose user may sign in beyond doubt.
   *
   * @returns false, and nothing changed, where any of this is not so: then the rule decides, on what `findWithUser` reads
   */
  rotateIfOrdinary(presented: Presented, rotation: Rotation): Promise<boolean>;
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
  /** Up to `limit` of a user's living sessions, the one refreshed last first. */
  list(userId: number, now: number, limit: number): Promise<Session[]>;
  /**
   * Up to `limit` sessions that a user has beyond the cap: all but the newest sign-in (by row, since clocks differ) and the
   * `cap - 1` others that were used last.
   *
   * @param leaving sids that do not count, since they will be ended anyway
   */
  surplus(
    userId: number,
    cap: number,
    leaving: readonly string[],
    limit: number
  ): Promise<Session[]>;
  /** A user's sessions on a device, by its exact id. */
  onDevice(userId: number, deviceId: string): Promise<Session[]>;
  /** Of several sessions, the sid of the living one that was opened last (by row, since clocks differ). */
  newest(sids: readonly string[], now: number): Promise<string | null>;
  /**
   * Ends up to `limit` sessions.
   *
   * @returns what it was this caller who ended, and whether it found as many as it looked for
   */
  endMany(
    which: Which,
    limit: number
  ): Promise<{ ended: Pick<Session, 'sid' | 'userId'>[]; more: boolean }>;
  /** Locks the rows of users whose sessions will end in this transaction: user before session, as everybody does. */
  lockUsers(userIds: readonly number[]): Promise<void>;
  /** What of a user's row a sign-in depends on, waiting for whoever is changing it. */
  standing(userId: number): Promise<{ password: string | null; blocked: boolean } | null>;
  /**
   * Deletes rows past their absolute end, idle since before `idleBefore`, or without a user, among the `limit` rows after
   * `cursor`.
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
      : retryOnConflict(() => query(strapi.db.connection));

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

  const ordinaryRefresh = prepared(client, ordinaryRefreshSql(sessions, users, columnOf));

  return {
    async rotateIfOrdinary({ sid, generation, userId, endsAt }, rotation) {
      const count = await run((knex) =>
        ordinaryRefresh(knex, {
          ...rotation,
          sid,
          userId,
          generation,
          next: generation + 1,
          endsFrom: endsAt,
          endsBefore: endsAt + 1000,
        })
      );
      return count > 0;
    },

    async find(sid) {
      const row = await run((knex) => {
        const query = knex(sessions).where({ sid });
        return current(query).first(...COLUMNS);
      });
      return row ? fromRow(row) : null;
    },

    async findWithUser(sid) {
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
              confirmed: !columnOf('confirmed') || Boolean(row.confirmed),
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
      await (strapi.db.inTransaction() ? insertBehindUser() : retryOnConflict(insertBehindUser));
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

    async list(userId, now, limit) {
      const rows = await run((knex) => {
        const query = knex(sessions)
          .where({ user_id: userId })
          .where('expires_at', '>', now)
          .orderBy(LAST_USED_FIRST)
          .limit(limit)
          .select(...COLUMNS);
        return current(query);
      });
      return rows.map(fromRow);
    },

    async surplus(userId, cap, leaving, limit) {
      const rows = await run((knex) => {
        const newestId = knex(sessions).where({ user_id: userId }).max('id');
        const query = knex(sessions)
          .where({ user_id: userId })
          .where('id', '<', newestId)
          .whereNotIn('sid', [...leaving])
          .orderBy(LAST_USED_FIRST)
          .offset(cap - 1)
          .limit(limit)
          .select(...COLUMNS);
        return current(query);
      });
      return rows.map(fromRow);
    },

    async onDevice(userId, deviceId) {
      const rows = await run((knex) =>
        current(
          knex(sessions)
            .where({ user_id: userId, device_id: deviceId })
            .select(...COLUMNS)
        )
      );
      // MySQL's collations take 'Phone' and 'phone ' for the same.
      return rows.map(fromRow).filter((session) => session.deviceId === deviceId);
    },

    async newest(sids, now) {
      const row = await run((knex) =>
        knex(sessions)
          .whereIn('sid', [...sids])
          .where('expires_at', '>', now)
          .orderBy('id', 'desc')
          .first('sid')
      );
      return row?.sid ?? null;
    },

    async endMany(which, limit) {
      const matching = (knex: Knex) => {
        const query = knex(sessions).orderBy('id').limit(limit);
        if (which === 'everyone') return query;
        if (which === 'orphaned') return query.whereNull('user_id');
        if (which.except) void query.whereNot('sid', which.except);
        return query.whereIn('user_id', [...which.userIds]);
      };
      const found = await run((knex) => current(matching(knex).select('id', 'sid', 'user_id')));
      // How many it found says whether there are more, not how many it ended: others may be ending the same ones.
      const more = found.length === limit;

      // Whoever deletes a row ended it, so that one caller reports it.
      const ended: { sid: string; userId: number | null }[] = [];
      if (client === 'postgres' && found.length > 0) {
        const ids = found.map(({ id }) => id);
        const rows = await run((knex) =>
          knex(sessions).whereIn('id', ids).delete().returning(['sid', 'user_id'])
        );
        for (const { sid, user_id: userId } of rows) ended.push({ sid, userId });
      } else {
        for (const { sid, user_id: userId } of found) {
          if (await this.end(sid)) ended.push({ sid, userId });
        }
      }
      return { ended, more };
    },

    async lockUsers(userIds) {
      // Outside a transaction a lock would last for its own statement only; SQLite has one writer.
      if (client === 'sqlite' || !strapi.db.inTransaction()) return;
      await run((knex) =>
        knex(users)
          .whereIn('id', [...userIds])
          .orderBy('id')
          .forUpdate()
          .select('id')
      );
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
            (due) =>
              void due
                .where('ends_at', '<=', now)
                .orWhere('expires_at', '<=', idleBefore)
                .orWhereNull('user_id')
          )
          .delete()
      );
      return rows.length < limit ? null : last;
    },
  };
}

/**
 * The part of the decision table of `decide.ts` that is the ordinary refresh, in SQL; the property test `one-statement` holds
 * the two together. All values are bound: MySQL assigns from left to right, so that `generation = generation + 1, parent =
 * generation` would be wrong there. The user is looked up by the bound id, not by the row's, so that MySQL locks the user
 * before the session, as everybody does.
 */
function ordinaryRefreshSql(
  sessions: string,
  users: string,
  columnOf: (field: string) => string | undefined
): string {
  const must = (field: string, condition: string) =>
    columnOf(field) ? `AND u."${columnOf(field)}" ${condition}` : '';
  return `UPDATE "${sessions}"
    SET generation = :next, parent = :generation, acknowledged = FALSE, rotated_at = :rotatedAt,
      expires_at = :expiresAt, transport = :transport, user_agent = :userAgent, ip = :ip
    WHERE sid = :sid AND generation = :generation AND user_id = :userId
      AND ends_at >= :endsFrom AND ends_at < :endsBefore AND ends_at > :rotatedAt
      AND EXISTS (
        SELECT 1 FROM "${users}" u
        WHERE u.id = :userId ${must('blocked', 'IS NOT TRUE')} ${must('confirmed', 'IS TRUE')}
      )`;
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

/** @returns whether the database undid a statement, and with it its transaction, for another one's sake */
export const isConflict = (error: unknown): boolean =>
  CONFLICTS.includes((error as { code?: string } | null)?.code ?? '');

/** Milliseconds for which a statement is repeated. Whoever waits longer than this has given up or is asking again. */
const PATIENCE = 5_000;

/**
 * Runs what is a transaction of its own until no other one is in its way.
 *
 * @throws SessionError `temporarily_unavailable` when that takes longer than five seconds
 */
async function retryOnConflict<T>(attempt: () => PromiseLike<T>): Promise<T> {
  // By a clock that cannot be set.
  const deadline = performance.now() + PATIENCE;
  for (let turn = 1; ; turn += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!isConflict(error)) throw error;
      // At random moments, so that the same ones do not meet again, and less often the longer it takes.
      const pause = Math.random() * Math.min(10 * turn, 250);
      if (performance.now() + pause > deadline) {
        throw new SessionError('temporarily_unavailable', undefined, { cause: error });
      }
      await sleep(pause);
    }
  }
}

/** Of two that were refreshed at the same moment, the newer row comes first. */
const LAST_USED_FIRST: { column: string; order: 'desc' }[] = [
  { column: 'rotated_at', order: 'desc' },
  { column: 'id', order: 'desc' },
];

const COLUMNS = [
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

const toRow = (session: Session) => ({
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

// PostgreSQL answers a bigint as text, SQLite a boolean as 0 or 1.
const fromRow = (row: Row): Session => ({
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
