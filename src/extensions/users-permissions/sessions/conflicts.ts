import { setTimeout as sleep } from 'timers/promises';
import { SessionError } from '../errors';

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
