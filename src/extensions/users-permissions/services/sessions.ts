import type { KeyObject } from 'crypto';
import { decide } from '../decide';
import type { Decision } from '../decide';
import { SessionError } from '../errors';
import { signRefreshToken, verifyRefreshToken } from '../refresh-token';
import type { Store } from '../store';
import type { Client, Grant, Session, Transport } from '../types';

/** Why a session ended, as its event says. */
export type EndReason = 'revoked' | 'reused' | 'refused' | 'cap';

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
  keys: readonly KeyObject[];
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

  const grantOf = (session: Session): Grant => ({
    session,
    refreshToken: signRefreshToken(session, keys),
    expiresAt: session.expiresAt,
  });

  const lookUp = async (sid: string) => {
    const { session, user } = await store.find(sid);
    if (!user || user.confirmed) return { session, user };
    return { session, user: { ...user, confirmed: !(await surroundings.confirmationRequired()) } };
  };

  const endFor = async (session: Session, reason: EndReason, client: Client): Promise<boolean> => {
    const ended = await store.end(session.sid);
    if (ended) tell('ended', { sid: session.sid, userId: session.userId, reason, ...client });
    return ended;
  };

  return {
    /**
     * Starts a session: one sign-in on one device.
     *
     * @param userId whose
     * @param client the device, and how it takes its refresh token
     * @returns the first refresh token
     */
    async open(
      userId: number,
      client: Client & { transport: Transport; description?: string | null }
    ): Promise<Grant> {
      const openedAt = now();
      const endsAt = openedAt + absoluteLife;
      const session: Session = {
        sid: surroundings.randomSid(),
        userId,
        generation: 0,
        parent: null,
        acknowledged: false,
        transport: client.transport,
        description: client.description ?? null,
        userAgent: client.userAgent,
        ip: client.ip,
        openedAt,
        rotatedAt: openedAt,
        expiresAt: Math.min(openedAt + idleLife, endsAt),
        endsAt,
      };
      await store.insert(session);
      tell('opened', eventOf(session));

      // Each sign-in trims after its own insert, so that of two at once the later one sees both.
      if (sessionsPerUser > 0) {
        for (const sid of await store.beyondCap(userId, sessionsPerUser)) {
          await endFor({ ...session, sid }, 'cap', client);
        }
      }
      return grantOf(session);
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
      const { sid, generation } = verifyRefreshToken(token, keys, now());

      // Who loses the compare-and-swap decides again: each loss is somebody else's progress, so this ends.
      for (;;) {
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
        if (ended) tell('reused', { ...eventOf(session!), ...clientOf(client) });
        throw new SessionError('refresh_token_reused');
      }
    },

    /**
     * Ends the session that a refresh token names, be it expired or an older one (RFC 7009).
     *
     * @returns nothing: a string that is no token of ours is no error here
     */
    async revoke(token: string, client: Client): Promise<void> {
      try {
        const { sid } = verifyRefreshToken(token, keys, now(), true);
        await this.end(sid, client);
      } catch (error) {
        if (!(error instanceof SessionError)) throw error;
      }
    },

    /** Ends one session. @returns whether it was this call that did it */
    async end(sid: string, client: Client = NOBODY): Promise<boolean> {
      const { session } = await store.find(sid);
      return session ? endFor(session, 'revoked', client) : false;
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
      const { session } = await store.find(sid);
      if (!session || session.userId === null || session.userId !== userId) return false;
      if (now() >= session.expiresAt || now() >= session.endsAt) return false;

      if (!session.acknowledged && generation === session.generation) {
        await store.acknowledge(sid, session.generation).catch(onFailedNote);
      }
      return true;
    },
  };
}

const NOBODY: Client = { userAgent: null, ip: null };

const clientOf = ({ userAgent, ip }: Client): Client => ({ userAgent, ip });

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
