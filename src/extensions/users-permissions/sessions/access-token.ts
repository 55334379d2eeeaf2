import { isSid } from './refresh-token';

/** The claims of an access token that this extension reads, with values of any type. */
export interface AccessTokenClaims {
  id?: unknown;
  sid?: unknown;
  gen?: unknown;
  typ?: unknown;
  [claim: string]: unknown;
}

/**
 * @param payload of a JWT with a valid signature
 * @throws Error for a refresh token, which is never accepted as an access token
 */
export function readAccessTokenClaims(payload: unknown): AccessTokenClaims {
  if (typeof payload === 'object' && payload !== null) {
    if ((payload as AccessTokenClaims).typ !== 'refresh') return payload as AccessTokenClaims;
  }
  throw new Error('Invalid token.');
}

/** @returns the session that the claims name, or null */
export const sidIn = ({ sid }: AccessTokenClaims): string | null => (isSid(sid) ? sid : null);
