import { SessionError } from '../errors';
import type { ClientInfo, IssuedTokens, Session, Transport } from '../types';
import { deviceOf, endAndEmit, eventOf } from './dependencies';
import type { SessionDependencies } from './dependencies';
import { refreshOutcome } from './refresh-outcome';
import { issueTokens, verifyRefreshToken } from './refresh-token';
import type { RefreshTokenClaims } from './refresh-token';

/** How many times a refresh may lose the compare-and-swap. */
const MOST_LOSSES = 100;

type RefreshingClient = ClientInfo & { transport: Transport };

export const refreshing = (dependencies: SessionDependencies) => ({
  /**
   * Exchanges a refresh token for the next one, by the rule of `refreshOutcome`.
   *
   * @param presented the token, or those of all refresh cookies that came with the request
   * @param client the device, and how the response will be sent
   * @throws SessionError any of the 401 codes of the catalog
   * @see RFC 6749, section 6; RFC 9700, section 4.14
   */
  async refresh(
    presented: string | readonly [string, ...string[]],
    client: RefreshingClient
  ): Promise<IssuedTokens> {
    const { keys, now } = dependencies;
    const token = typeof presented === 'string' ? presented : await pick(dependencies, presented);
    const claims = verifyRefreshToken(token, keys, now());
    return (
      (await refreshFromToken(dependencies, claims, client)) ??
      (await refreshFromRow(dependencies, claims, client))
    );
  },

  /**
   * The active session that a refresh token could refresh right now. Changes nothing.
   *
   * @returns null for a token that is forged, expired or used up, or whose user may not sign in
   */
  async livingSessionOf(token: string): Promise<Session | null> {
    const { keys, now, grace } = dependencies;
    let claims: RefreshTokenClaims;
    try {
      claims = verifyRefreshToken(token, keys, now());
    } catch (error) {
      if (error instanceof SessionError) return null;
      throw error;
    }
    const { session, user } = await findWithUser(dependencies, claims.sid);
    const outcome = refreshOutcome(session, user, claims.generation, now(), grace);
    return ['rotate', 'repeat', 'replace'].includes(outcome) ? session : null;
  },
});

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
  const living = newest.size > 1 ? await repository.newest([...newest.keys()], now()) : null;
  const [first] = newest.values();
  const picked = living === null ? first : newest.get(living);
  if (!picked) throw refusal;
  return picked.token;
}

/** @returns null unless this is the ordinary case; always null for a token from before version 2.1 */
async function refreshFromToken(
  { repository, keys, now, idleTtl, emit }: SessionDependencies,
  { sid, generation, userId, endsAt }: RefreshTokenClaims,
  client: RefreshingClient
): Promise<IssuedTokens | null> {
  if (userId === null || endsAt === null) return null;

  const rotatedAt = now();
  const expiresAt = Math.min(rotatedAt + idleTtl, endsAt);
  const presented = { sid, generation, userId, endsAt };
  const done = await repository.rotateIfNewest(presented, { ...client, rotatedAt, expiresAt });
  if (!done) return null;

  emit('refreshed', { sid, userId, ...deviceOf(client) });
  return issueTokens({ ...presented, generation: generation + 1, rotatedAt, expiresAt }, keys);
}

/** @throws SessionError any of the 401 codes of the catalog; `temporarily_unavailable` */
async function refreshFromRow(
  dependencies: SessionDependencies,
  { sid, generation }: RefreshTokenClaims,
  client: RefreshingClient
): Promise<IssuedTokens> {
  const { repository, keys, now, grace, emit } = dependencies;
  // A request that loses the compare-and-swap decides again. Each loss is another request's progress, so this terminates.
  for (let losses = 0; losses < MOST_LOSSES; losses += 1) {
    const at = now();
    const { session, user } = await findWithUser(dependencies, sid);
    const outcome = refreshOutcome(session, user, generation, at, grace);
    if (outcome === 'session_ended' || session === null) throw new SessionError('session_ended');

    switch (outcome) {
      case 'repeat':
        return issueTokens(session, keys);

      case 'rotate':
      case 'replace': {
        const parent = outcome === 'rotate' ? generation : session.parent;
        const current = outcome === 'rotate' ? generation : session.generation;
        const next = rotatedRow(
          dependencies,
          session,
          { parent, generation: current + 1 },
          at,
          client
        );
        if (!(await repository.rotate(session, next, outcome === 'replace'))) continue;
        emit('refreshed', eventOf(next));
        return issueTokens(next, keys);
      }

      case 'user_refused':
        await endAndEmit(dependencies, session, 'refused', client);
        throw new SessionError('user_refused');

      case 'refresh_token_reused':
        if (await endAndEmit(dependencies, session, 'reused', client)) {
          const { description, userAgent, ip } = session;
          const own = { session: { description, userAgent, ip } };
          emit('reused', { ...eventOf(session), ...deviceOf(client), ...own });
        }
        throw new SessionError('refresh_token_reused');
    }
  }
  throw new SessionError('temporarily_unavailable');
}

async function findWithUser(
  { repository, confirmationRequired }: SessionDependencies,
  sid: string
) {
  const { session, user } = await repository.findWithUser(sid);
  if (!user || user.confirmed) return { session, user };
  return { session, user: { ...user, confirmed: !(await confirmationRequired()) } };
}

const rotatedRow = (
  { idleTtl }: SessionDependencies,
  session: Session,
  generations: Pick<Session, 'parent' | 'generation'>,
  now: number,
  client: RefreshingClient
): Session => ({
  ...session,
  ...generations,
  acknowledged: false,
  transport: client.transport,
  userAgent: client.userAgent,
  ip: client.ip,
  rotatedAt: now,
  expiresAt: Math.min(now + idleTtl, session.endsAt),
});
