import type { Claims, ClientInfo, Context, Transport } from './types';

/** A user with their role and the fields of your project, without the password and its tokens. */
export interface PolicyUser {
  id: number;
  username?: string;
  email?: string;
  role: { id: number; name: string; type: string; [field: string]: any } | null;
  [field: string]: any;
}

/** What is known of a session without reading its row. */
export interface PolicySession {
  sid: string;
  /** Its absolute end, in milliseconds since the epoch. */
  endsAt: number;
  /** False for `rememberMe: false`. */
  persistent: boolean;
}

/** Durations in the notation of the variables: `360s`, `15m`, `12h` or `2d`. */
export interface Lifetimes {
  /** JWT_SECRET_EXPIRES by default. */
  access: string;
  /** REFRESH_TOKEN_EXPIRES by default. */
  idle: string;
  /** REFRESH_SESSION_EXPIRES by default. */
  absolute: string;
}

type Awaitable<T> = T | Promise<T>;

/**
 * What `policy.ts` can decide. Each function is optional, and costs nothing while it is absent. It has two seconds; after that
 * the request is answered with 503 `temporarily_unavailable`. A `SessionError` that it throws becomes the response, and any
 * other error a 500. In both cases nothing is opened, and a refresh token is not used up.
 */
export interface SessionPolicy {
  /** Additional claims of every access token of a session, at sign-in and at each refresh. */
  claims?(about: {
    user: PolicyUser;
    session: PolicySession;
  }): Awaitable<Claims | null | undefined | void>;

  /** A new session's lifetimes, where they differ from the defaults. They stay with the session. */
  lifetimes?(
    about: { user: PolicyUser; transport: Transport; rememberMe: boolean },
    defaults: Lifetimes
  ): Awaitable<Partial<Lifetimes>>;

  /**
   * Runs after the credentials have been checked, and before a session exists. Not for `signIn` of the service, which your own
   * code calls. On register, reset-password and change-password, the user or the new password is already stored.
   */
  beforeSignIn?(about: { user: PolicyUser; ctx: Context; client: ClientInfo }): unknown;

  /** Runs before an access token is issued from a refresh token, `POST /token/access` included. */
  beforeRefresh?(about: { user: PolicyUser; session: PolicySession; client: ClientInfo }): unknown;
}
