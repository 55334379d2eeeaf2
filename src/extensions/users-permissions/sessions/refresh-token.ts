import jwt from 'jsonwebtoken';
import { SessionError } from '../errors';
import type { IssuedTokens, KeyRing, TokenFields } from '../types';

/** Signed and verified with this algorithm only (RFC 8725, section 3.1). */
const ALGORITHM = 'HS256';

/** A generation fits its signed 32-bit column, even after one more rotation. */
const LAST_GENERATION = 2 ** 31 - 2;

const SID = /^[0-9a-f]{32}$/;

/** @returns whether a value has the form of a session's public id: 32 lowercase hex digits. */
export const isSid = (value: unknown): value is string =>
  typeof value === 'string' && SID.test(value);

/** The contents of a refresh token. `userId` and `endsAt` (milliseconds) are null in a token from before version 2.1. */
export interface RefreshTokenClaims {
  sid: string;
  generation: number;
  userId: number | null;
  /** The session's absolute end, rounded down to a whole second. */
  endsAt: number | null;
  persistent: boolean;
  /** Milliseconds; null for the lifetimes of the configuration. */
  idleTtl: number | null;
  accessTtl: number | null;
}

/**
 * The session's newest refresh token. All claims derive from the row, so that any process that signs it produces the
 * same bytes. `uid` and `end` let the next refresh sign from the token alone, and so do `idle`, `access` and `persistent`
 * where the session differs from the defaults.
 *
 * @param session the row, or what a refresh has just written to it
 * @param keys the key ring; the first one signs
 */
export function signRefreshToken(session: TokenFields, keys: KeyRing): string {
  const claims = {
    typ: 'refresh',
    sid: session.sid,
    gen: session.generation,
    uid: session.userId,
    end: Math.floor(session.endsAt / 1000),
    iat: Math.floor(session.rotatedAt / 1000),
    exp: Math.floor(session.expiresAt / 1000),
  };
  const own: { idle?: number; access?: number; persistent?: false } = {};
  if (session.idleTtl !== null) own.idle = session.idleTtl / 1000;
  if (session.accessTtl !== null) own.access = session.accessTtl / 1000;
  if (!session.persistent) own.persistent = false;
  return jwt.sign({ ...claims, ...own }, keys[0], { algorithm: ALGORITHM });
}

/** @returns what a sign-in or a refresh returns */
export const issueTokens = (session: TokenFields, keys: KeyRing): IssuedTokens => ({
  session,
  refreshToken: signRefreshToken(session, keys),
});

/**
 * Reads a refresh token. A token that fails here never costs a query.
 *
 * @param token as presented
 * @param keys the key ring; any of them may have signed
 * @param now milliseconds since the epoch
 * @param ignoreExpiration whether an expired token still names its session (revoking, RFC 7009)
 * @throws SessionError `refresh_token_expired`, or `refresh_token_invalid` for anything that is not one of our refresh
 *   tokens
 */
export function verifyRefreshToken(
  token: string,
  keys: KeyRing,
  now: number,
  ignoreExpiration = false
): RefreshTokenClaims {
  const claims = verifyWithAny(token, keys, {
    algorithms: [ALGORITHM],
    clockTimestamp: Math.floor(now / 1000),
    ignoreExpiration,
  });

  const { typ, id, sid, gen, uid, end, exp } = claims;
  const { idle, access, persistent } = claims;
  if (typ === undefined && id !== undefined) {
    // The `{ id }` token of the well-known tutorials, signed with the same REFRESH_SECRET.
    throw new SessionError(
      'refresh_token_invalid',
      'This refresh token uses an older format that cannot be revoked and is no longer accepted. Please sign in again.'
    );
  }

  const wellFormed =
    typ === 'refresh' &&
    isSid(sid) &&
    Number.isInteger(gen) &&
    gen >= 0 &&
    gen <= LAST_GENERATION &&
    typeof exp === 'number';
  if (!wellFormed) throw new SessionError('refresh_token_invalid');

  return {
    sid,
    generation: gen,
    userId: typeof uid === 'number' ? uid : null,
    endsAt: milliseconds(end),
    persistent: persistent !== false,
    idleTtl: milliseconds(idle),
    accessTtl: milliseconds(access),
  };
}

const milliseconds = (seconds: unknown): number | null =>
  typeof seconds === 'number' ? seconds * 1000 : null;

function verifyWithAny(token: string, keys: KeyRing, options: jwt.VerifyOptions): jwt.JwtPayload {
  for (const key of keys) {
    try {
      const payload = jwt.verify(token, key, options);
      if (typeof payload === 'object') return payload;
    } catch (error) {
      // Expiry is checked after the signature: the key was the right one.
      if (error instanceof jwt.TokenExpiredError) throw new SessionError('refresh_token_expired');
    }
  }
  throw new SessionError('refresh_token_invalid');
}
