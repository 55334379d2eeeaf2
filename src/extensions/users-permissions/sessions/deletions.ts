import type { Session, SessionSelector } from '../types';
import type { Database, Knex } from './database';

type Ended = Pick<Session, 'sid' | 'userId'>;

type NarrowSelector = Exclude<SessionSelector, 'everyone'>;

/** Ended means deleted: the call that deletes the row ends the session. */
export function endings({ run, locked, client, sessions }: Database) {
  const end = async (sid: string, seenAt?: number): Promise<boolean> => {
    const guard = seenAt === undefined ? { sid } : { sid, rotated_at: seenAt };
    const count = await run((knex) => knex(sessions).where(guard).delete());
    return count > 0;
  };

  const matching = (knex: Knex, selector: NarrowSelector, limit: number) => {
    const query = knex(sessions).orderBy('id').limit(limit);
    if (selector === 'orphaned') return query.whereNull('user_id');
    if (selector.except) void query.whereNot('sid', selector.except);
    return query.whereIn('user_id', [...selector.userIds]);
  };

  /** Deletes rows and returns those that this call deleted, so that exactly one caller reports each. */
  const deleteRows = async (
    rows: { id: number; sid: string; user_id: number | null }[]
  ): Promise<Ended[]> => {
    if (client === 'postgres' && rows.length > 0) {
      const ids = rows.map(({ id }) => id);
      rows = await run((knex) =>
        knex(sessions).whereIn('id', ids).delete().returning(['id', 'sid', 'user_id'])
      );
      return rows.map(({ sid, user_id: userId }) => ({ sid, userId }));
    }
    const ended: Ended[] = [];
    for (const { sid, user_id: userId } of rows) {
      if (await end(sid)) ended.push({ sid, userId });
    }
    return ended;
  };

  return {
    /**
     * @param seenAt ends the session only if it was not refreshed since
     * @returns whether this call ended it
     */
    end,

    /**
     * Ends up to `limit` sessions.
     *
     * @returns those that this call ended, and whether it hit the limit
     */
    async endMany(
      selector: NarrowSelector,
      limit: number
    ): Promise<{ ended: Ended[]; more: boolean }> {
      const found = await run((knex) =>
        locked(matching(knex, selector, limit).select('id', 'sid', 'user_id'))
      );
      // Whether there are more depends on how many rows it found, not on how many it ended: others may be ending the same
      // ones.
      return { ended: await deleteRows(found), more: found.length === limit };
    },
  };
}

/** Ends everyone's sessions. */
export const endingsOfEveryone = ({ run, locked, sessions }: Database) => ({
  /** @returns the highest id of a row, 0 if there is none */
  async lastId(): Promise<number> {
    const row = await run((knex) => knex(sessions).orderBy('id', 'desc').first('id'));
    return row?.id ?? 0;
  },

  /**
   * Ends the sessions of up to `limit` rows with ids above `cursor` and up to `last`.
   *
   * @returns the cursor to continue from, null if there is no such row; and how many sessions this call ended
   */
  async endAny(
    cursor: number,
    last: number,
    limit: number
  ): Promise<{ next: number | null; ended: number }> {
    const found = await run((knex) =>
      locked(
        knex(sessions)
          .where('id', '>', cursor)
          .where('id', '<=', last)
          .orderBy('id')
          .limit(limit)
          .select('id')
      )
    );
    if (found.length === 0) return { next: null, ended: 0 };
    const ids = found.map(({ id }) => id as number);
    const ended = await run((knex) => knex(sessions).whereIn('id', ids).delete());
    return { next: ids[ids.length - 1]!, ended };
  },
});

export const expiry = ({ run, sessions }: Database) => ({
  /**
   * Deletes rows past their absolute end, idle for twice their idle lifetime, or without a user, among the `limit` rows after
   * `cursor`.
   *
   * @param idleTtl milliseconds, for rows without their own
   * @returns the cursor to continue from, null at the end of the table
   */
  async deleteExpired(
    cursor: number,
    limit: number,
    now: number,
    idleTtl: number
  ): Promise<number | null> {
    const rows = await run((knex) =>
      knex(sessions).where('id', '>', cursor).orderBy('id').limit(limit).select('id')
    );
    if (rows.length === 0) return null;

    const last = rows[rows.length - 1].id as number;
    // The condition is in the DELETE itself: a session that is refreshed in the meantime stays.
    await run((knex) =>
      knex(sessions)
        .where('id', '>', cursor)
        .where('id', '<=', last)
        .where(
          (due) =>
            void due
              .where('ends_at', '<=', now)
              .orWhereRaw('expires_at <= ? - coalesce(idle_ttl, ?)', [now, idleTtl])
              .orWhereNull('user_id')
        )
        .delete()
    );
    return rows.length < limit ? null : last;
  },
});
