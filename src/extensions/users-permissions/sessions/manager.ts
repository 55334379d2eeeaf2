import { SessionError } from '../errors';
import type { ClientInfo, Session, SessionSelector } from '../types';
import { endAndEmit, enderOf, UNKNOWN_CLIENT } from './dependencies';
import type { EndedBy, EndReason, SessionDependencies } from './dependencies';
import { opening } from './opening';
import { refreshing } from './refreshing';
import { verifyRefreshToken } from './refresh-token';

/** How many sessions one statement handles. */
const BATCH = 500;

/** How many rows one pass of the cleanup looks at. */
const CLEANUP_BATCH = 1000;

const LONGEST_LIST = 100;

export type SessionManager = ReturnType<typeof createSessionManager>;

/**
 * Opens, refreshes and ends sessions. Every decision is a compare-and-swap on the session's row, so that no interleaving
 * of any number of processes forks a session. `open` is in `opening.ts`, `refresh` in `refreshing.ts`, the rest is here.
 */
export const createSessionManager = (dependencies: SessionDependencies) => ({
  ...opening(dependencies),
  ...refreshing(dependencies),
  ...reading(dependencies),
  ...ending(dependencies),
});

/** The idle end is never after the absolute one. */
const isAlive = (session: Session, at: number): boolean => at < session.expiresAt;

/**
 * The session that a refresh token names, expired or outdated tokens included (RFC 7009).
 *
 * @returns its sid, or null for anything that is not one of our tokens
 */
function sidOf({ keys, now }: SessionDependencies, token: string): string | null {
  try {
    return verifyRefreshToken(token, keys, now(), true).sid;
  } catch (error) {
    if (error instanceof SessionError) return null;
    throw error;
  }
}

const reading = (dependencies: SessionDependencies) => {
  const { repository, now } = dependencies;
  return {
    find: repository.find,
    sidOf: (token: string) => sidOf(dependencies, token),

    /** @returns the distinct sids of the sessions that refresh tokens name */
    sidsOf: (tokens: readonly string[]): string[] => [
      ...new Set(tokens.flatMap((token) => sidOf(dependencies, token) ?? [])),
    ],

    /**
     * A user's active sessions, the most recently refreshed first, a hundred at most.
     *
     * @param always sid of a session to include even if a hundred others were refreshed since
     */
    async list(userId: number, always: string | null = null): Promise<Session[]> {
      const sessions = await repository.list(userId, now(), LONGEST_LIST);
      if (!always || sessions.some(({ sid }) => sid === always)) return sessions;
      const session = await repository.find(always);
      if (!session || session.userId !== userId || !isAlive(session, now())) return sessions;
      return [...sessions.slice(0, LONGEST_LIST - 1), session];
    },

    /**
     * Whether an access token is still valid. Records that its generation has arrived.
     *
     * @param sid the session it carries
     * @param userId the user it carries
     * @param generation the generation it was issued with
     * @param onFailure called when the arrival could not be recorded, which never fails the request
     */
    async isAccessTokenValid(
      sid: string,
      userId: unknown,
      generation: unknown,
      onFailure: (error: unknown) => void
    ): Promise<boolean> {
      const session = await repository.find(sid);
      if (!session || session.userId === null || session.userId !== userId) return false;
      if (!isAlive(session, now())) return false;

      if (!session.acknowledged && generation === session.generation) {
        await repository.acknowledge(sid, session.generation).catch(onFailure);
      }
      return true;
    },
  };
};

const ending = (dependencies: SessionDependencies) => {
  const { repository, emit, now, idleTtl } = dependencies;
  return {
    /** Ends one session, of any user or of the given one. @returns the session, if it was this call that ended it */
    async end(
      sid: string,
      by: EndedBy = UNKNOWN_CLIENT,
      ownerId?: number
    ): Promise<Session | null> {
      const session = await repository.find(sid);
      if (!session || (ownerId !== undefined && session.userId !== ownerId)) return null;
      const reason = by.adminId === undefined ? 'revoked' : 'ended by admin';
      return (await endAndEmit(dependencies, session, reason, by)) ? session : null;
    },

    /** Ends a user's sessions on a device. @returns their sids */
    async endOnDevice(userId: number, deviceId: string, client: ClientInfo): Promise<string[]> {
      const ended: string[] = [];
      for (const session of await repository.onDevice(userId, deviceId)) {
        if (await endAndEmit(dependencies, session, 'revoked', client)) ended.push(session.sid);
      }
      return ended;
    },

    /** Ends many sessions, with one event for each, or a single one if they are everyone's. @returns how many */
    async endMany(
      selector: SessionSelector,
      reason: EndReason,
      by: EndedBy = UNKNOWN_CLIENT
    ): Promise<number> {
      if (selector === 'everyone') return endEveryone(dependencies, reason, by);
      let total = 0;
      for (;;) {
        const { ended, more } = await repository.endMany(selector, BATCH);
        for (const session of ended) emit('ended', { ...session, reason, ...enderOf(by) });
        total += ended.length;
        if (!more) return total;
      }
    },

    lockUsers: repository.lockUsers,

    /**
     * Deletes the rows of sessions that are over: past their absolute end, idle for twice their idle lifetime, or without a
     * user. (One idle lifetime would be enough for the tokens. The second is for a database restored from a backup, whose
     * rows are older than the tokens that clients hold.) Walks the table by primary key in bounded batches, so that it
     * never holds a long lock.
     */
    async deleteExpired(): Promise<void> {
      const at = now();
      let cursor: number | null = 0;
      while (cursor !== null) {
        cursor = await repository.deleteExpired(cursor, CLEANUP_BATCH, at, idleTtl);
      }
    },
  };
};

/**
 * Ends all sessions that exist when it starts: if new ones counted, people who sign in could keep it from ever ending. One
 * event for each could be millions, so there is one with their number.
 */
async function endEveryone(
  { repository, emit }: SessionDependencies,
  reason: EndReason,
  by: EndedBy
): Promise<number> {
  const last = await repository.lastId();
  let count = 0;
  try {
    for (let cursor = 0; ;) {
      const { next, ended } = await repository.endAny(cursor, last, BATCH);
      count += ended;
      // At its end it starts over, until there is nothing: a row may be committed after one with a higher id.
      if (next === null && cursor === 0) break;
      cursor = next ?? 0;
    }
  } finally {
    // If a batch fails, the sessions before it have ended nevertheless.
    if (count > 0) emit('ended', { sid: null, userId: null, reason, ...enderOf(by), count });
  }
  return count;
}
