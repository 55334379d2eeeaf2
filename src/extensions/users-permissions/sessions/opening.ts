import { SessionError } from '../errors';
import type { PolicyUser } from '../policy-types';
import type { Claims, ClientInfo, IssuedTokens, NewClient, Session } from '../types';
import { endAndEmit, eventOf } from './dependencies';
import type { SessionDependencies } from './dependencies';
import { issueTokens } from './refresh-token';

/** How many sessions one statement handles. */
const BATCH = 500;

/** How often a session may escape the cap because it was refreshed at that moment. */
const MAX_MISSES = 3;

export interface OpeningOptions {
  /** The hash that the sign-in was checked against, if it was. */
  passwordHash?: string | undefined;
  /** Sids of sessions in the same browser that this one replaces. */
  replaced?: readonly string[];
  /** Throws to refuse the user. Called before there is a session. */
  approve?: ((user: PolicyUser) => Promise<void>) | undefined;
}

export const opening = (dependencies: SessionDependencies) => ({
  /**
   * Opens a session: one sign-in on one device.
   *
   * @returns the first refresh token
   * @throws SessionError `user_refused` if the user has been deleted or blocked, or the password has changed;
   *   `session_ended` if newer sign-ins have used up the cap; what the policy throws
   */
  async open(
    userId: number,
    client: NewClient,
    { passwordHash, replaced = [], approve }: OpeningOptions = {}
  ): Promise<IssuedTokens> {
    const { repository, emit, keys, sessionsPerUser } = dependencies;
    const { session, claims } = await newSession(dependencies, userId, client, approve);

    const stateIfAllowed = async () => {
      const user = await repository.readSignInState(session, replaced);
      const isOvertaken = passwordHash !== undefined && user?.password !== passwordHash;
      return user !== null && !user.blocked && !isOvertaken ? user : null;
    };
    try {
      await repository.insert(session);
    } catch (error) {
      // The foreign key fails if the user was deleted in the meantime.
      if (await stateIfAllowed()) throw error;
      throw new SessionError('user_refused');
    }
    // The password may have changed, or the user may have been blocked, while bcrypt ran. Revocation ran before this row
    // existed, so check again.
    const state = await stateIfAllowed();
    if (!state) {
      await repository.end(session.sid);
      throw new SessionError('user_refused');
    }
    emit('opened', { ...eventOf(session), ...(state.newDevice && { newDevice: true }) });

    if (sessionsPerUser > 0) {
      await trim(dependencies, userId, client, replaced);
      if (!(await repository.find(session.sid))) {
        throw new SessionError(
          'session_ended',
          'A newer sign-in of this user has already replaced this one. Sign in again.'
        );
      }
    }
    // From here on, nothing can refuse the new session.
    for (const sid of replaced) {
      const other = await repository.find(sid);
      if (other) await endAndEmit(dependencies, other, 'revoked', client);
    }
    return { ...issueTokens(session, keys), claims };
  },
});

/** A session that is not stored yet. Asks the owner's policy, as far as there is one. */
async function newSession(
  { now, randomSid, idleTtl, absoluteTtl, policy }: SessionDependencies,
  userId: number,
  client: NewClient,
  approve: OpeningOptions['approve']
): Promise<{ session: Session; claims: Claims | undefined }> {
  const hasSay = approve ?? policy.lifetimes ?? policy.claims;
  const user = hasSay ? await policy.readUser(userId) : null;
  if (hasSay && !user) throw new SessionError('user_refused');
  if (user) await approve?.(user);
  const own = user && (await policy.lifetimes?.(user, client));

  const openedAt = now();
  // Whole seconds, as in the token, so that the row agrees with what is signed from the token alone.
  const endsAt = Math.floor((openedAt + (own?.absoluteTtl ?? absoluteTtl)) / 1000) * 1000;
  const session = {
    sid: randomSid(),
    userId,
    generation: 0,
    parent: null,
    acknowledged: false,
    transport: client.transport,
    deviceId: client.deviceId ?? null,
    description: client.description ?? null,
    userAgent: client.userAgent,
    ip: client.ip,
    openedAt,
    rotatedAt: openedAt,
    expiresAt: Math.min(openedAt + (own?.idleTtl ?? idleTtl), endsAt),
    endsAt,
    persistent: client.persistent ?? true,
    idleTtl: own?.idleTtl ?? null,
    accessTtl: own?.accessTtl ?? null,
  };
  const claims = user ? await policy.claims?.(user, session) : undefined;
  return { session, claims };
}

/**
 * Ends the sessions beyond the cap. Each sign-in trims after its own insert, so that if two run at the same time, the later one
 * sees both. A session that is refreshed between the query and its end is looked at again, but not forever: a client that
 * refreshes in a loop cannot keep new sign-ins out.
 */
async function trim(
  dependencies: SessionDependencies,
  userId: number,
  client: ClientInfo,
  leaving: readonly string[]
): Promise<void> {
  const { repository, sessionsPerUser } = dependencies;
  for (let missed = 0; ;) {
    const surplus = await repository.surplus(userId, sessionsPerUser, leaving, BATCH);
    if (surplus.length === 0) return;
    for (const session of surplus) {
      const seenAt = missed < MAX_MISSES ? session.rotatedAt : undefined;
      if (!(await endAndEmit(dependencies, session, 'cap', client, seenAt))) missed += 1;
    }
  }
}
