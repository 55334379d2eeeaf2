import { SessionError } from '../errors';
import type { SessionDependencies } from './dependencies';
import { verifyRefreshToken } from './refresh-token';
import type { RefreshTokenClaims } from './refresh-token';

/** A refresh token, or those of all refresh cookies that came with a request. */
export type Presented = string | readonly [string, ...string[]];

/** @throws SessionError `refresh_token_invalid`, `refresh_token_expired` */
export async function readPresented(
  dependencies: SessionDependencies,
  presented: Presented
): Promise<RefreshTokenClaims> {
  const { keys, now } = dependencies;
  const token = typeof presented === 'string' ? presented : await pick(dependencies, presented);
  return verifyRefreshToken(token, keys, now());
}

/**
 * Of several refresh tokens in one request, the one that counts: for one session, the newest; for several sessions, the
 * token of the active session that was opened last.
 *
 * @param tokens as presented, at least one
 * @throws SessionError why the first one is refused, if none is valid
 */
async function pick(
  { keys, now, repository }: SessionDependencies,
  tokens: readonly [string, ...string[]]
): Promise<string> {
  if (tokens.length === 1) return tokens[0];

  const newest = new Map<string, { token: string; generation: number }>();
  let refusal: unknown;
  for (const token of tokens) {
    try {
      const { sid, generation } = verifyRefreshToken(token, keys, now());
      const other = newest.get(sid);
      if (!other || other.generation < generation) newest.set(sid, { token, generation });
    } catch (error) {
      if (!(error instanceof SessionError)) throw error;
      refusal ??= error;
    }
  }
  const active = newest.size > 1 ? await repository.newest([...newest.keys()], now()) : null;
  const [first] = newest.values();
  const picked = active === null ? first : newest.get(active);
  if (!picked) throw refusal;
  return picked.token;
}
