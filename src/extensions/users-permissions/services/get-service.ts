import type { Core } from '@strapi/strapi';
import type jwt from 'jsonwebtoken';
import type { AccessTokenClaims } from '../sessions/access-token';
import type { SessionManager } from '../sessions/manager';
import type { PolicyHooks } from '../sessions/policy-hooks';
import type { Config, Context, Session } from '../types';

/** What `strapi.service('plugin::users-permissions.refresh-session')` offers a project's own code. */
export interface RefreshSessionService {
  readonly config: Config;

  /** Whether users must have confirmed their email address. */
  confirmationRequired(): Promise<boolean>;

  /** What `policy.ts` decides, with its results checked. */
  readonly policy: PolicyHooks;

  /** The rules themselves, for this extension's controllers. */
  readonly sessions: SessionManager;

  /** A user's active sessions, the most recently refreshed first, a hundred at most. */
  list(userId: number): Promise<Session[]>;

  /**
   * Signs a user in from the project's own code: a magic link, an impersonation, a test. Of the policy, `lifetimes` and
   * `claims` apply. `beforeSignIn` is not asked: the caller has decided.
   *
   * @param userId the user's numeric id
   * @param options.ctx the request to respond to. With it, the cookie is set where the request or the configuration asks for
   *   it, and the new session replaces the one that the browser had. Without it, the refresh token is always returned.
   * @param options.rememberMe false for a cookie that is deleted when the browser closes
   * @param options.description text of at most 255 characters, shown in the list of sessions
   * @returns the response body: `jwt`, and `refreshToken` unless it went into the cookie; and the session's id
   * @throws SessionError `user_refused` if the user does not exist or is blocked; `origin_refused` for a script of a
   *   untrusted page; `invalid_request`
   */
  signIn(
    userId: number,
    options?: { ctx?: Context; rememberMe?: boolean; description?: string }
  ): Promise<{ jwt: string; refreshToken?: string; sid: string }>;

  /**
   * Ends sessions: one, a user's (except for one), or everyone's. Their access tokens stop working immediately.
   *
   * @returns how many
   */
  signOut(
    which: { sid: string } | { userId: number; except?: string } | 'everyone'
  ): Promise<number>;
}

/** Claims, or an object with `toJSON()`. */
export interface Payload {
  toJSON?(): object;
  [claim: string]: unknown;
}

/** The plugin's jwt service, as far as this extension uses it. */
export interface OriginalJwtService {
  issue(payload: Payload, jwtOptions?: jwt.SignOptions): string;
  /** `sessionId` is the session that the token belongs to. */
  verify(token: string): Promise<AccessTokenClaims & { sessionId?: string }>;
  getToken(ctx: Context): Promise<AccessTokenClaims | null> | null;
  [method: string]: unknown;
}

/** The same, as wrapped by this extension. */
export interface JwtService extends OriginalJwtService {
  /** @returns the sid of an access token of ours, expired or not, or null */
  sidOf(token: string): Promise<string | null>;
  /**
   * Signs and verifies a token that names no user, to test the configuration.
   *
   * @returns a warning where the project has its own service, and the plugin's keys could not be used
   * @throws ConfigurationError if no token can be signed with the configuration of the plugin
   */
  probe(): string | null;
}

interface Services {
  'refresh-session': RefreshSessionService;
  jwt: JwtService;
}

/** @returns a service of the plugin, as wrapped or added by this extension */
export const getService = <N extends keyof Services>(strapi: Core.Strapi, name: N): Services[N] =>
  strapi.plugin('users-permissions').service(name) as unknown as Services[N];
