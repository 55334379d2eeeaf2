import type { Session, SessionUser } from '../types';
import { COLUMNS, fromRow } from './database';
import type { Database } from './database';

/** Reads of single sessions, and of their users. */
export const reads = ({ run, locked, sessions, users, userColumn, userColumns }: Database) => ({
  async find(sid: string): Promise<Session | null> {
    const row = await run((knex) => locked(knex(sessions).where({ sid })).first(...COLUMNS));
    return row ? fromRow(row) : null;
  },

  /** The session and its user, in one round trip. */
  async findWithUser(sid: string): Promise<{ session: Session | null; user: SessionUser | null }> {
    const row = await run((knex) => {
      const query = knex(`${sessions} as s`)
        .leftJoin(`${users} as u`, 'u.id', 's.user_id')
        .where('s.sid', sid)
        .first(
          ...COLUMNS.map((column) => `s.${column}`),
          'u.id as uid',
          ...userColumns(['blocked', 'confirmed'], 'u')
        );
      return locked(query, 's');
    });
    return {
      session: row ? fromRow(row) : null,
      user: row?.uid
        ? {
            id: row.uid,
            blocked: Boolean(row.blocked),
            confirmed: !userColumn('confirmed') || Boolean(row.confirmed),
          }
        : null,
    };
  },

  /** Of several sessions, the sid of the living one that was opened last (by row id, since clocks differ). */
  async newest(sids: readonly string[], now: number): Promise<string | null> {
    const row = await run((knex) =>
      knex(sessions)
        .whereIn('sid', [...sids])
        .where('expires_at', '>', now)
        .orderBy('id', 'desc')
        .first('sid')
    );
    return row?.sid ?? null;
  },

  /** What a sign-in depends on in the user's row. Waits for a transaction that is changing it. */
  async readSignInState(
    userId: number
  ): Promise<{ password: string | null; blocked: boolean } | null> {
    const row = await run((knex) =>
      knex(users)
        .where({ id: userId })
        .forShare()
        .first('id', ...userColumns(['password', 'blocked']))
    );
    return row ? { password: row.password ?? null, blocked: Boolean(row.blocked) } : null;
  },
});

/** Of two sessions refreshed at the same moment, the newer row comes first. */
const LAST_USED_FIRST: { column: string; order: 'desc' }[] = [
  { column: 'rotated_at', order: 'desc' },
  { column: 'id', order: 'desc' },
];

/** Reads of a user's sessions. */
export const lists = ({ run, locked, sessions }: Database) => ({
  /** Up to `limit` of a user's living sessions, the one refreshed last first. */
  async list(userId: number, now: number, limit: number): Promise<Session[]> {
    const rows = await run((knex) => {
      const query = knex(sessions)
        .where({ user_id: userId })
        .where('expires_at', '>', now)
        .orderBy(LAST_USED_FIRST)
        .limit(limit)
        .select(...COLUMNS);
      return locked(query);
    });
    return rows.map(fromRow);
  },

  /**
   * Up to `limit` sessions that a user has beyond the cap: all but the newest sign-in (by row id, since clocks differ) and
   * the `cap - 1` others that were used last.
   *
   * @param leaving sids that do not count, because they will be ended anyway
   */
  async surplus(
    userId: number,
    cap: number,
    leaving: readonly string[],
    limit: number
  ): Promise<Session[]> {
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
      return locked(query);
    });
    return rows.map(fromRow);
  },

  /** A user's sessions on a device, by its exact id. */
  async onDevice(userId: number, deviceId: string): Promise<Session[]> {
    const rows = await run((knex) =>
      locked(
        knex(sessions)
          .where({ user_id: userId, device_id: deviceId })
          .select(...COLUMNS)
      )
    );
    // MySQL's collations treat 'Phone' and 'phone ' as equal.
    return rows.map(fromRow).filter((session) => session.deviceId === deviceId);
  },
});
