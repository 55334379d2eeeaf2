import type { Repository } from '../../src/extensions/users-permissions/sessions/repository';
import type { Session, SessionUser } from '../../src/extensions/users-permissions/types';

/**
 * Sessions in memory, with the guarantees of the database: a statement is atomic, rows are copied in and out, and an update
 * reports whether it matched a row.
 *
 * @param user the owner of all sessions
 * @param travel awaited on the way to the database and back, so that others can go first
 */
export function createMemoryRepository(user: SessionUser, travel: () => Promise<unknown>) {
  const rows = new Map<string, Session>();

  const statement =
    <A extends unknown[], R>(run: (...args: A) => R) =>
    async (...args: A): Promise<R> => {
      await travel();
      const result = run(...args);
      await travel();
      return result;
    };

  /** One guarded UPDATE. */
  const update = (sid: string, guard: Partial<Session>, changes: Partial<Session>): boolean => {
    const row = rows.get(sid);
    const matches =
      row &&
      Object.entries(guard).every(([column, value]) => row[column as keyof Session] === value);
    if (matches) rows.set(sid, { ...row, ...changes });
    return Boolean(matches);
  };

  const repository: Repository = {
    find: statement((sid) => {
      const row = rows.get(sid);
      return row ? { ...row } : null;
    }),
    findWithUser: statement((sid) => {
      const row = rows.get(sid);
      return { session: row ? { ...row } : null, user: row ? { ...user } : null };
    }),
    rotateIfNewest: statement(({ sid, generation, userId, endsAt }, rotation) => {
      const row = rows.get(sid);
      const isOrdinary =
        row?.generation === generation &&
        row.userId === userId &&
        Math.floor(row.endsAt / 1000) * 1000 === endsAt &&
        row.endsAt > rotation.rotatedAt &&
        !user.blocked &&
        user.confirmed;
      if (!isOrdinary) return false;
      const next = { generation: generation + 1, parent: generation, acknowledged: false };
      rows.set(sid, { ...row, ...next, ...rotation });
      return true;
    }),
    insert: statement((session) => void rows.set(session.sid, { ...session })),
    rotate: statement((seen, next, onlyUnacknowledged) => {
      const { sid, userId: _userId, openedAt: _openedAt, ...changes } = next;
      const guard = { generation: seen.generation };
      return update(sid, onlyUnacknowledged ? { ...guard, acknowledged: false } : guard, changes);
    }),
    acknowledge: statement((sid, generation) => {
      update(sid, { generation, acknowledged: false }, { acknowledged: true });
    }),
    end: statement((sid, seenAt) => {
      const row = rows.get(sid);
      return row && (seenAt ?? row.rotatedAt) === row.rotatedAt ? rows.delete(sid) : false;
    }),
    list: statement((userId, now, limit) =>
      [...rows.values()]
        .filter((row) => row.userId === userId && row.expiresAt > now)
        .sort((a, b) => b.rotatedAt - a.rotatedAt)
        .slice(0, limit)
    ),
    surplus: statement((_userId, cap, leaving, limit) =>
      [...rows.values()]
        .slice(0, -1)
        .filter(({ sid }) => !leaving.includes(sid))
        .sort((a, b) => b.rotatedAt - a.rotatedAt)
        .slice(cap - 1, cap - 1 + limit)
    ),
    onDevice: statement((_userId, deviceId) =>
      [...rows.values()].filter((row) => row.deviceId === deviceId)
    ),
    newest: statement(
      (sids, now) =>
        [...rows.values()]
          .filter(({ sid, expiresAt }) => sids.includes(sid) && expiresAt > now)
          .map(({ sid }) => sid)
          .pop() ?? null
    ),
    lockUsers: statement(() => {}),
    endMany: statement((which, limit) => {
      const ended = [...rows.values()]
        .filter(({ sid }) => typeof which === 'string' || sid !== which.except)
        .slice(0, limit);
      ended.forEach(({ sid }) => rows.delete(sid));
      return { ended, more: false };
    }),
    readSignInState: statement(() => ({
      password: null,
      blocked: user.blocked,
      newDevice: false,
    })),
    lastId: statement(() => rows.size),
    endAny: statement((_cursor, _last, limit) => {
      const ended = [...rows.keys()].slice(0, limit);
      ended.forEach((sid) => rows.delete(sid));
      return { next: ended.length > 0 ? 1 : null, ended: ended.length };
    }),
    deleteExpired: async () => null,
  };
  return { repository, rows: rows as ReadonlyMap<string, Readonly<Session>> };
}
