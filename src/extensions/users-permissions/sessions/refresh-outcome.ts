import type { Session, SessionUser } from '../types';

/** A refusal has the name of the error code that it produces. */
export type RefreshOutcome =
  'rotate' | 'repeat' | 'replace' | 'session_ended' | 'user_refused' | 'refresh_token_reused';

/**
 * What to do about a refresh token with a valid signature: the whole rule, from one row and no history. The order of the
 * lines is part of it.
 *
 * `ordinaryRefreshSql` below runs the ordinary case without this function: a refusal that you add here must be added there,
 * too.
 *
 * @param session the row that the token names, or null
 * @param user the session's user, or null if deleted; `confirmed` is true where confirmation is not required
 * @param generation the token's
 * @param now milliseconds since the epoch
 * @param grace milliseconds before or after a rotation during which the parent counts as a racing tab; 0 turns it off
 * @see RFC 9700, section 4.14.2 (refresh token rotation and reuse detection)
 */
export function refreshOutcome(
  session: Session | null,
  user: SessionUser | null,
  generation: number,
  now: number,
  grace: number
): RefreshOutcome {
  if (!session || now >= session.endsAt) return 'session_ended';
  if (!user || user.blocked || !user.confirmed) return 'user_refused';

  // Newer than the row, as after restoring a backup. The signature is valid, so accept it.
  if (generation >= session.generation) return 'rotate';

  const isParent = generation === session.parent;
  // Other processes' clocks may be ahead. Without the absolute value, a clock that steps back would keep the parent valid
  // for as long as it is behind.
  const isRacingTab = isParent && Math.abs(now - session.rotatedAt) < grace;
  if (isRacingTab) return 'repeat';
  const isLostResponse = isParent && !session.acknowledged;
  if (isLostResponse) return 'replace';

  return 'refresh_token_reused';
}

/**
 * The `rotate` line of `refreshOutcome` for a token of exactly its row's generation and a user who may certainly sign in:
 * the ordinary refresh, in one statement. The test `one-statement` keeps the two in sync.
 *
 * All values are bound: MySQL assigns from left to right, so `generation = generation + 1, parent = generation` would be
 * wrong there. The user is looked up by the bound id, not by the row's, so that MySQL locks the user before the session, as
 * everything does.
 *
 * @param sessions name of the table
 * @param users name of the table
 * @param userColumn finds the column of a user's field; undefined if the project has removed it
 */
export function ordinaryRefreshSql(
  sessions: string,
  users: string,
  userColumn: (field: string) => string | undefined
): string {
  const must = (field: string, condition: string) =>
    userColumn(field) ? `AND u."${userColumn(field)}" ${condition}` : '';
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
