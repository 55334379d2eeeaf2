import type { Session, SessionUser } from '../types';

export type Decision = 'ended' | 'refused' | 'rotate' | 'repeat' | 'replace' | 'reused';

/**
 * What to do about a refresh token whose signature holds: the whole rule, from one row and no history. The order of the
 * lines is part of it. The ordinary case runs as SQL, `ordinaryRefreshSql` in `store.ts`: a refusal that you add here must be
 * added there, too.
 *
 * @param session the row that the token names, or null
 * @param user the session's user, or null when deleted; `confirmed` is true where confirmation is not required
 * @param generation the token's
 * @param now milliseconds since the epoch
 * @param grace milliseconds before or after a rotation during which the parent counts as a racing tab; 0 turns it off
 * @see RFC 9700, section 4.14.2 (refresh token rotation and reuse detection)
 */
export function decide(
  session: Session | null,
  user: SessionUser | null,
  generation: number,
  now: number,
  grace: number
): Decision {
  if (!session || now >= session.endsAt) return 'ended';
  if (!user || user.blocked || !user.confirmed) return 'refused';

  // A token ahead of its row (a database restored from a backup) was signed by us, and is taken.
  if (generation >= session.generation) return 'rotate';

  const isParent = generation === session.parent;
  // The clocks of other processes may be ahead. Without the absolute value, a clock that steps back would keep the parent
  // alive for as long as it is behind.
  if (isParent && Math.abs(now - session.rotatedAt) < grace) return 'repeat';
  if (isParent && !session.acknowledged) return 'replace';

  return 'reused';
}
