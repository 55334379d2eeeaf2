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

  /** Of several sessions, the sid of the active one that was opened last (by row id, since clocks differ). */
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
});

/** What is read after a sign-in's session was inserted. */
export const signInReads = ({ run, sessions, users, userColumns }: Database) => ({
  /**
   * What a sign-in depends on in the user's row. Waits for a transaction that is changing it. In the same statement, whether
   * the device is new: the user has other active sessions, and none of them has its user agent or is in the same browser.
   *
   * @param session the one that was just opened
   * @param sameBrowser sids of sessions that this browser had
   */
  async readSignInState(
    { sid, userId, userAgent, openedAt }: Session,
    sameBrowser: readonly string[]
  ): Promise<{ password: string | null; blocked: boolean; newDevice: boolean } | null> {
    const row = await run((knex) => {
      const others = knex(sessions)
        .where({ user_id: userId })
        .whereNot({ sid })
        .where('expires_at', '>', openedAt)
        .limit(1)
        .select('id');
      const alike = others
        .clone()
        .where(
          (same) => void same.where({ user_agent: userAgent }).orWhereIn('sid', [...sameBrowser])
        );
      return knex(users)
        .where({ id: userId })
        .forShare()
        .first(
          'id',
          ...userColumns(['password', 'blocked']),
          others.as('other'),
          alike.as('alike')
        );
    });
    return row
      ? {
          password: row.password ?? null,
          blocked: Boolean(row.blocked),
          newDevice: row.other !== null && row.alike === null,
        }
      : null;
  },
});

/** Of two sessions refreshed at the same moment, the newer row comes first. */
const LAST_USED_FIRST: { column: string; order: 'desc' }[] = [
  { column: 'rotated_at', order: 'desc' },
  { column: 'id', order: 'desc' },
];

/** Reads of a user's sessions. */
export const lists = ({ run, locked, sessions }: Database) => ({
  /** Up to `limit` of a user's active sessions, the most recently refreshed first. */
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
