import type { Core } from '@strapi/strapi';
import type { ClientInfo, Session, TokenFields, Transport } from '../types';
import { createDatabase, retryOnConflict, toRow } from './database';
import type { Database, Knex } from './database';
import { endings, endingsOfEveryone, expiry } from './deletions';
import { lists, reads, signInReads } from './queries';
import { ordinaryRefreshSql } from './refresh-outcome';
import { prepared } from './statements';

/** What the ordinary refresh finds in the token. `endsAt`: milliseconds, rounded down to a whole second. */
type PresentedToken = Pick<TokenFields, 'sid' | 'generation' | 'endsAt'> & {
  userId: number;
};

/** What the ordinary refresh writes. Times are milliseconds since the epoch. */
interface Rotation extends ClientInfo {
  transport: Transport;
  rotatedAt: number;
  expiresAt: number;
}

export type Repository = ReturnType<typeof createRepository>;

/** The table of sessions. Nothing outside of this folder knows its columns. The reads are in `queries.ts`. */
export function createRepository(strapi: Core.Strapi) {
  const database = createDatabase(strapi);
  return {
    ...reads(database),
    ...lists(database),
    ...rotations(database),
    ...signIns(database),
    ...signInReads(database),
    ...endings(database),
    ...endingsOfEveryone(database),
    ...expiry(database),
  };
}

function rotations({ run, client, sessions, users, userColumn }: Database) {
  const ordinaryRefresh = prepared(client, ordinaryRefreshSql(sessions, users, userColumn));

  return {
    /**
     * The ordinary refresh in one statement: rotates a session whose newest token was presented, which has not reached its
     * absolute end, and whose user may certainly sign in.
     *
     * @returns false, with nothing changed, if any condition fails: `refreshOutcome` then decides
     */
    async rotateIfNewest(
      { sid, generation, userId, endsAt }: PresentedToken,
      rotation: Rotation
    ): Promise<boolean> {
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

    /**
     * Compare-and-swap: writes `next` only where the row still has the generation that was `seen` and, for a `replace`, is
     * still not acknowledged.
     *
     * @returns whether this call made the change
     */
    async rotate(seen: Session, next: Session, onlyUnacknowledged: boolean): Promise<boolean> {
      const { sid, user_id: _userId, opened_at: _openedAt, ...values } = toRow(next);
      const count = await run((knex) => {
        const guarded = knex(sessions).where({ sid, generation: seen.generation });
        if (onlyUnacknowledged) void guarded.where({ acknowledged: false });
        return guarded.update(values);
      });
      return count > 0;
    },

    /** Records that the generation has arrived, if it is still the newest. */
    async acknowledge(sid: string, generation: number): Promise<void> {
      await run((knex) =>
        knex(sessions)
          .where({ sid, generation, acknowledged: false })
          .update({ acknowledged: true })
      );
    },
  };
}

const signIns = ({ run, client, sessions, users, inTransaction, transaction }: Database) => ({
  /** @throws Error if the session's user is gone */
  async insert(session: Session): Promise<void> {
    const insert = (knex: Knex) => knex(sessions).insert(toRow(session));
    // SQLite has one writer, which must not read before it writes.
    if (client === 'sqlite') {
      await run(insert);
      return;
    }
    // The user's row first, like everything that changes it: the other way around MySQL finds a deadlock.
    const insertBehindUser = () =>
      transaction(async (knex) => {
        const user = await knex(users).where({ id: session.userId }).forShare().first('id');
        if (!user) throw new Error('The user is gone.');
        await insert(knex);
      });
    await (inTransaction() ? insertBehindUser() : retryOnConflict(insertBehindUser));
  },

  /** Locks the rows of users whose sessions will end in this transaction: user before session, as everywhere. */
  async lockUsers(userIds: readonly number[]): Promise<void> {
    // Outside a transaction the lock would last for its own statement only. SQLite has one writer.
    if (client === 'sqlite' || !inTransaction()) return;
    await run((knex) =>
      knex(users)
        .whereIn('id', [...userIds])
        .orderBy('id')
        .forUpdate()
        .select('id')
    );
  },
});
