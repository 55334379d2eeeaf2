import type { KeyRing } from '../config/read';
import { decide } from './refresh-outcome';
import type { Decision } from './refresh-outcome';
import { SessionError } from '../errors';
import { signRefreshToken, verifyRefreshToken } from './refresh-token';
import type { Store, Which } from './repository';
import type { Client, Grant, Session, TokenFields, Transport } from '../types';

/** Why a session ended, as its event says. */
export type EndReason =
  'revoked' | 'reused' | 'refused' | 'cap' | 'password changed' | 'user blocked' | 'user deleted';

export interface SessionEvent {
  sid: string;
  userId: number | null;
  userAgent: string | null;
  ip: string | null;
  reason?: EndReason;
}

/** All that sessions need, so that time, randomness and the database come from outside. */
export interface Surroundings {
  store: Store;
  keys: KeyRing;
  /** Milliseconds. */
  idleLife: number;
  absoluteLife: number;
  grace: number;
  /** 0 for no cap. */
  sessionsPerUser: number;
  /** Whether users must have confirmed their email address: asked only about those who have not. */
  confirmationRequired(): Promise<boolean>;
  /** Milliseconds since the epoch. */
  now(): number;
  /** 128 random bits as 32 lower-case hex digits. */
  randomSid(): string;
  tell(what: 'opened' | 'refreshed' | 'reused' | 'ended', event: SessionEvent): void;
}

export type Sessions = ReturnType<typeof createSessions>;

/**
 * Opens, refreshes and ends sessions. Every decision is a compare-and-swap on the session's row, so that no interleaving
 * of any number of processes forks a session.
 */
export function createSessions(surroundings: Surroundings) {
  const { store, keys, idleLife, absoluteLife, grace, sessionsPerUser, now, tell } = surroundings;

  const grantOf = (session: TokenFields): Grant => ({
    session,
    refreshToken: signRefreshToken(session, keys),
    expiresAt: session.expiresAt,
  });

  const lookUp = async (sid: string) => {
    const { session, user } = await store.findWithUser(sid);
    if (!user || user.confirmed) return { session, user };
    return { session, user: { ...user, confirmed: !(await surroundings.confirmationRequired()) } };
  };

  const endFor = async (
    session: Session,
    reason: EndReason,
    client: Client,
    seenAt?: number
  ): Promise<boolean> => {
    const ended = await store.end(session.sid, seenAt);
    if (ended)
      tell('ended', { sid: session.sid, userId: session.userId, reason, ...deviceOf(client) });
    return ended;
  };

  /**
   * Each sign-in trims after its own insert, so that of two at once the later one sees both. A session that is refreshed
   * between the look and the end is looked at again, but not for ever: whoever refreshes in a loop keeps nobody out.
   */
  const trim = async (
    userId: number,
    client: Client,
    leaving: readonly string[]
  ): Promise<void> => {
    for (let missed = 0; ;) {
      const surplus = await store.surplus(userId, sessionsPerUser, leaving, BATCH);
      if (surplus.length === 0) return;
      for (const session of surplus) {
        const seenAt = missed < MOST_MISSES ? session.rotatedAt : undefined;
        if (!(await endFor(session, 'cap', client, seenAt))) missed += 1;
      }
    }
  };

  return {
    /**
     * Starts a session: one sign-in on one device.
     *
     * @param userId whose
     * @param client the device, and how it takes its refresh token
     * @param passwordHash the hash that the sign-in was checked against, if it was
     * @param replaced the sids of sessions that this one takes the place of, in the same browser
     * @returns the first refresh token
     * @throws SessionError `user_refused` if the user is gone, blocked, or has another password by now; `session_ended` if
     *   newer sign-ins have used up the cap
     */
    async open(
      userId: number,
      client: Client & {
        transport: Transport;
        description?: string | null;
        deviceId?: string | null;
      },
      passwordHash?: string,
      replaced: readonly string[] = []
    ): Promise<Grant> {
      const openedAt = now();
      // Whole seconds, as in the token: the row and what is signed from the token alone agree.
      const endsAt = Math.floor((openedAt + absoluteLife) / 1000) * 1000;
      const session: Session = {
        sid: surroundings.randomSid(),
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
        expiresAt: Math.min(openedAt + idleLife, endsAt),
        endsAt,
      };

      // bcrypt takes long enough for the password to change, or the user to be blocked, in between; and what ends a
      // user's sessions then came too early to see this one. So it is looked at again, now that the row is there.
      const stands = async () => {
        const user = await store.standing(userId);
        const overtaken = passwordHash !== undefined && user?.password !== passwordHash;
        return user !== null && !user.blocked && !overtaken;
      };
      try {
        await store.insert(session);
      } catch (error) {
        // The foreign key of a user who was deleted meanwhile.
        if (await stands()) throw error;
        throw new SessionError('user_refused');
      }
      if (!(await stands())) {
        await store.end(session.sid);
        throw new SessionError('user_refused');
      }
      tell('opened', eventOf(session));

      if (sessionsPerUser > 0) {
        await trim(userId, client, replaced);
        if (!(await store.find(session.sid))) {
          throw new SessionError(
            'session_ended',
            'A newer sign-in of this user has already taken the place of this one. Sign in again.'
          );
        }
      }
      // Only now is it sure to be answered.
      for (const sid of replaced) await this.end(sid, client);
      return grantOf(session);
    },

    /**
     * Of several refresh tokens that come with one request, the one that counts: of one session the newest, of several
     * sessions the one of the living session that was opened last.
     *
     * @param tokens as presented, at least one
     * @throws SessionError why the first one is refused, if none is valid
     */
    async pick(tokens: readonly [string, ...string[]]): Promise<string> {
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
      const living = newest.size > 1 ? await store.newest([...newest.keys()], now()) : null;
      const [first] = newest.values();
      const picked = living === null ? first : newest.get(living);
      if (!picked) throw refusal;
      return picked.token;
    },

    /**
     * The living session that a refresh token could refresh right now. Nothing changes.
     *
     * @returns null if there is none: for a token that is forged, expired or used up, or whose user may not sign in
     */
    async livingSessionOf(token: string): Promise<Session | null> {
      let claims: { sid: string; generation: number };
      try {
        claims = verifyRefreshToken(token, keys, now());
      } catch (error) {
        if (error instanceof SessionError) return null;
        throw error;
      }
      const { session, user } = await lookUp(claims.sid);
      const decision = decide(session, user, claims.generation, now(), grace);
      return ['rotate', 'repeat', 'replace'].includes(decision) ? session : null;
    },

    /**
     * Answers a refresh token with the next one, by the decision table of `decide.ts`.
     *
     * @param token as presented
     * @param client the device, and how it will be answered
     * @throws SessionError any of the 401 codes of the catalogue
     * @see RFC 6749, section 6; RFC 9700, section 4.14
     */
    async refresh(token: string, client: Client & { transport: Transport }): Promise<Grant> {
      const { sid, generation, userId, endsAt } = verifyRefreshToken(token, keys, now());

      if (userId !== null && endsAt !== null) {
        const rotatedAt = now();
        const expiresAt = Math.min(rotatedAt + idleLife, endsAt);
        const presented = { sid, generation, userId, endsAt };
        if (await store.rotateIfOrdinary(presented, { ...client, rotatedAt, expiresAt })) {
          tell('refreshed', { sid, userId, ...deviceOf(client) });
          return grantOf({ ...presented, generation: generation + 1, rotatedAt, expiresAt });
        }
      }

      // Who loses the compare-and-swap decides again. Each loss is somebody else's progress, so this ends by itself.
      for (let losses = 0; losses < MOST_LOSSES; losses += 1) {
        const at = now();
        const { session, user } = await lookUp(sid);
        const decision = decide(session, user, generation, at, grace);

        if (decision === 'repeat') return grantOf(session!);
        if (decision === 'rotate' || decision === 'replace') {
          const next = successor(session!, decision, generation, at, idleLife, client);
          if (!(await store.rotate(session!, next, decision === 'replace'))) continue;
          tell('refreshed', eventOf(next));
          return grantOf(next);
        }

        if (decision === 'ended') throw new SessionError('session_ended');
        const ended = await endFor(session!, decision, client);
        if (decision === 'refused') throw new SessionError('user_refused');
        if (ended) tell('reused', { ...eventOf(session!), ...deviceOf(client) });
        throw new SessionError('refresh_token_reused');
      }
      throw new SessionError('temporarily_unavailable');
    },

    /**
     * The session that a refresh token names, be it expired or an older one (RFC 7009).
     *
     * @returns its sid, or null: a string that is no token of ours is no error here
     */
    sidOf(token: string): string | null {
      try {
        return verifyRefreshToken(token, keys, now(), true).sid;
      } catch (error) {
        if (error instanceof SessionError) return null;
        throw error;
      }
    },

    /**
     * A user's living sessions, the one refreshed last first, a hundred at most.
     *
     * @param always the sid of a session that is among them even if a hundred others were refreshed since
     */
    async list(userId: number, always: string | null = null): Promise<Session[]> {
      const sessions = await store.list(userId, now(), LONGEST_LIST);
      if (!always || sessions.some(({ sid }) => sid === always)) return sessions;
      const session = await store.find(always);
      if (!session || session.userId !== userId || !isAlive(session, now())) return sessions;
      return [...sessions.slice(0, LONGEST_LIST - 1), session];
    },

    /** Ends a user's sessions on a device. @returns their sids */
    async endOnDevice(userId: number, deviceId: string, client: Client): Promise<string[]> {
      const ended: string[] = [];
      for (const session of await store.onDevice(userId, deviceId)) {
        if (await endFor(session, 'revoked', client)) ended.push(session.sid);
      }
      return ended;
    },

    /** Ends one session, of anybody or of one user. @returns the session, if it was this call that ended it */
    async end(sid: string, client: Client = NOBODY, ownerId?: number): Promise<Session | null> {
      const session = await store.find(sid);
      if (!session || (ownerId !== undefined && session.userId !== ownerId)) return null;
      return (await endFor(session, 'revoked', client)) ? session : null;
    },

    /** Ends many sessions. @returns how many */
    async endMany(which: Which, reason: EndReason, client: Client = NOBODY): Promise<number> {
      let total = 0;
      for (;;) {
        const { ended, more } = await store.endMany(which, BATCH);
        for (const session of ended) tell('ended', { ...session, reason, ...deviceOf(client) });
        total += ended.length;
        if (!more) return total;
      }
    },

    /** A session, or null if there is none of this sid. */
    async find(sid: string): Promise<Session | null> {
      return store.find(sid);
    },

    /**
     * Whether an access token of this session is still good, and the note that it arrived.
     *
     * @param sid the session it carries
     * @param userId the user it carries
     * @param generation the generation it was issued with
     * @param onFailedNote told when the note could not be written, which never fails the request that carries the token
     */
    async admits(
      sid: string,
      userId: unknown,
      generation: unknown,
      onFailedNote: (error: unknown) => void
    ): Promise<boolean> {
      const session = await store.find(sid);
      if (!session || session.userId === null || session.userId !== userId) return false;
      if (!isAlive(session, now())) return false;

      if (!session.acknowledged && generation === session.generation) {
        await store.acknowledge(sid, session.generation).catch(onFailedNote);
      }
      return true;
    },
  };
}

const BATCH = 500;

const LONGEST_LIST = 100;

/** How often a session may escape the cap because it was refreshed at that moment. */
const MOST_MISSES = 3;

/** How often a refresh may lose against others. */
const MOST_LOSSES = 100;

/** The idle end is never after the absolute one. */
const isAlive = (session: Session, at: number): boolean => at < session.expiresAt;

/** The device of what no request asked for. */
export const NOBODY: Client = { userAgent: null, ip: null };

const deviceOf = ({ userAgent, ip }: Client): Client => ({ userAgent, ip });

const eventOf = ({ sid, userId, userAgent, ip }: Session): SessionEvent => ({
  sid,
  userId,
  userAgent,
  ip,
});

function successor(
  session: Session,
  decision: Extract<Decision, 'rotate' | 'replace'>,
  presented: number,
  now: number,
  idleLife: number,
  client: Client & { transport: Transport }
): Session {
  const generations =
    decision === 'rotate'
      ? { parent: presented, generation: presented + 1 }
      : { parent: session.parent, generation: session.generation + 1 };
  return {
    ...session,
    ...generations,
    acknowledged: false,
    transport: client.transport,
    userAgent: client.userAgent,
    ip: client.ip,
    rotatedAt: now,
    expiresAt: Math.min(now + idleLife, session.endsAt),
  };
}
