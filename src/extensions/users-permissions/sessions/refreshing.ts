import { SessionError } from '../errors';
import type { Claims, ClientInfo, IssuedAccess, IssuedTokens, Session, Transport } from '../types';
import { deviceOf, endAndEmit, eventOf } from './dependencies';
import type { SessionDependencies } from './dependencies';
import { readPresented } from './presented';
import type { Presented } from './presented';
import { refreshOutcome } from './refresh-outcome';
import { issueTokens, verifyRefreshToken } from './refresh-token';
import type { RefreshTokenClaims } from './refresh-token';

/** How many times a refresh may lose the compare-and-swap. */
const MAX_LOSSES = 100;

type RefreshingClient = ClientInfo & { transport: Transport };

export const refreshing = (dependencies: SessionDependencies) => ({
  /**
   * Exchanges a refresh token for the next one, by the rule of `refreshOutcome`.
   *
   * @param client the device, and how the response will be sent
   * @throws SessionError any of the 401 codes of the catalog; what the policy throws, with nothing changed
   * @see RFC 6749, section 6; RFC 9700, section 4.14
   */
  async refresh(presented: Presented, client: RefreshingClient): Promise<IssuedTokens> {
    const token = await readPresented(dependencies, presented);
    const claims = asksPolicy(dependencies) && (await askPolicy(dependencies, token, client));
    const tokens =
      (await refreshFromToken(dependencies, token, client)) ??
      (await refreshFromRow(dependencies, token, client));
    return claims ? { ...tokens, claims } : tokens;
  },

  /**
   * What an access token is signed from, without rotating. Where `refreshOutcome` accepts the refresh token, nothing is
   * written; a refusal is the same as for `refresh`, and ends the session in the same cases.
   *
   * @param presented as for `refresh`
   * @param client the device
   * @returns the session with the generation of the presented token. The access token acknowledges only that one: the
   *   response with a newer refresh token may still have been lost
   * @throws SessionError as `refresh`
   */
  async access(presented: Presented, client: ClientInfo): Promise<IssuedAccess> {
    const token = await readPresented(dependencies, presented);
    const claims = asksPolicy(dependencies) && (await askPolicy(dependencies, token, client));
    const found = await outcomeFromRow(dependencies, token, dependencies.now(), client);
    const session = { ...found.session, generation: token.generation };
    return claims ? { session, claims } : { session };
  },

  /**
   * The active session that a refresh token could refresh right now. Changes nothing.
   *
   * @returns null for a token that is forged, expired or used up, or whose user may not sign in
   */
  async activeSessionOf(token: string): Promise<Session | null> {
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

const asksPolicy = ({ policy }: SessionDependencies): boolean =>
  Boolean(policy.beforeRefresh ?? policy.claims);

/**
 * Asks the owner's policy before anything is written, so that a veto does not use up the token.
 *
 * @returns its claims; undefined without any, and for a session that is gone, which the refresh itself refuses
 * @throws SessionError what the policy throws; if the token is refused anyway, why: a veto does not hide reuse
 */
async function askPolicy(
  dependencies: SessionDependencies,
  token: RefreshTokenClaims,
  client: ClientInfo
): Promise<Claims | undefined> {
  const { policy, repository, now } = dependencies;
  // Before version 2.1, the token does not say whose it is.
  const known = token.userId === null ? await repository.find(token.sid) : token;
  if (!known || known.userId === null || known.endsAt === null) return undefined;
  const { sid, userId, endsAt, persistent } = known;
  try {
    const user = await policy.readUser(userId);
    if (!user) throw new SessionError('user_refused');
    const session = { sid, endsAt, persistent };
    await policy.beforeRefresh?.(user, session, deviceOf(client));
    return await policy.claims?.(user, session);
  } catch (error) {
    await outcomeFromRow(dependencies, token, now(), client);
    throw error;
  }
}

/** @returns null unless this is the ordinary case; always null for a token from before version 2.1 */
async function refreshFromToken(
  { repository, keys, now, idleTtl, emit }: SessionDependencies,
  claims: RefreshTokenClaims,
  client: RefreshingClient
): Promise<IssuedTokens | null> {
  const { sid, generation, userId, endsAt } = claims;
  if (userId === null || endsAt === null) return null;

  const rotatedAt = now();
  const expiresAt = Math.min(rotatedAt + (claims.idleTtl ?? idleTtl), endsAt);
  const presented = { ...claims, userId, endsAt };
  const done = await repository.rotateIfNewest(presented, { ...client, rotatedAt, expiresAt });
  if (!done) return null;

  emit('refreshed', { sid, userId, ...deviceOf(client) });
  return issueTokens({ ...presented, generation: generation + 1, rotatedAt, expiresAt }, keys);
}

/** @throws SessionError any of the 401 codes of the catalog; `temporarily_unavailable` */
async function refreshFromRow(
  dependencies: SessionDependencies,
  claims: RefreshTokenClaims,
  client: RefreshingClient
): Promise<IssuedTokens> {
  const { repository, keys, now, emit } = dependencies;
  const { generation } = claims;
  // A request that loses the compare-and-swap decides again. Each loss is another request's progress, so this terminates.
  for (let losses = 0; losses < MAX_LOSSES; losses += 1) {
    const at = now();
    const { session, outcome } = await outcomeFromRow(dependencies, claims, at, client);
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
    }
  }
  throw new SessionError('temporarily_unavailable');
}

/**
 * Reads the session that a refresh token names, and decides what to do about the token. Ends the session if the token or its
 * user is refused.
 *
 * @throws SessionError `session_ended`, `user_refused`, `refresh_token_reused`
 */
async function outcomeFromRow(
  dependencies: SessionDependencies,
  { sid, generation }: RefreshTokenClaims,
  at: number,
  client: ClientInfo
): Promise<{ session: Session; outcome: 'rotate' | 'repeat' | 'replace' }> {
  const { grace, emit } = dependencies;
  const { session, user } = await findWithUser(dependencies, sid);
  const outcome = refreshOutcome(session, user, generation, at, grace);
  if (outcome === 'session_ended' || session === null) throw new SessionError('session_ended');

  switch (outcome) {
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

    default:
      return { session, outcome };
  }
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
  expiresAt: Math.min(now + (session.idleTtl ?? idleTtl), session.endsAt),
});
