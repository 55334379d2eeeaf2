import type { ClientInfo, KeyRing, Session } from '../types';
import type { PolicyHooks } from './policy-hooks';
import type { Repository } from './repository';

/** Why a session ended, as its event says. */
export type EndReason =
  | 'revoked'
  | 'reused'
  | 'refused'
  | 'cap'
  | 'password changed'
  | 'user blocked'
  | 'user deleted'
  | 'ended by admin';

/** The device of the request that ends a session, and the admin if it was one. */
export interface EndedBy extends ClientInfo {
  adminId?: number;
}

export interface SessionEvent extends EndedBy {
  /** Null if everyone's sessions ended. */
  sid: string | null;
  userId: number | null;
  reason?: EndReason;
  /** How many sessions ended, if everyone's did. */
  count?: number;
  /** `opened`: the user has other active sessions, and none with this user agent. Missing otherwise. */
  newDevice?: true;
  /** `reused`: the device that the session had before. */
  session?: Pick<Session, 'description' | 'userAgent' | 'ip'>;
}

/** Everything that sessions need: time, randomness and the database come from outside. */
export interface SessionDependencies {
  repository: Repository;
  keys: KeyRing;
  /** Milliseconds. */
  idleTtl: number;
  absoluteTtl: number;
  grace: number;
  /** 0 for no cap. */
  sessionsPerUser: number;
  /** The owner's. */
  policy: PolicyHooks;
  /** Whether users must have confirmed their email address. Called only for users who have not. */
  confirmationRequired(): Promise<boolean>;
  /** Milliseconds since the epoch. */
  now(): number;
  /** 128 random bits as 32 lowercase hex digits. */
  randomSid(): string;
  emit(event: 'opened' | 'refreshed' | 'reused' | 'ended', data: SessionEvent): void;
}

/** The device of a change that no request caused. */
export const UNKNOWN_CLIENT: ClientInfo = { userAgent: null, ip: null };

export const deviceOf = ({ userAgent, ip }: ClientInfo): ClientInfo => ({ userAgent, ip });

export const enderOf = ({ adminId, ...client }: EndedBy): EndedBy => ({
  ...deviceOf(client),
  ...(adminId !== undefined && { adminId }),
});

export const eventOf = ({ sid, userId, userAgent, ip }: Session): SessionEvent => ({
  sid,
  userId,
  userAgent,
  ip,
});

/** Ends a session and reports it. @param seenAt ends it only if it was not refreshed since. @returns whether this call ended it */
export async function endAndEmit(
  { repository, emit }: SessionDependencies,
  session: Session,
  reason: EndReason,
  by: EndedBy,
  seenAt?: number
): Promise<boolean> {
  const ended = await repository.end(session.sid, seenAt);
  if (ended) emit('ended', { ...eventOf(session), reason, ...enderOf(by) });
  return ended;
}
