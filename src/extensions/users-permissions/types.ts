import type { KeyObject } from 'crypto';
import type { Core } from '@strapi/strapi';

/** The first key signs; all of them verify. */
export type KeyRing = readonly [KeyObject, ...KeyObject[]];

/** The configuration in effect. Durations are milliseconds. */
export interface Config {
  /** Prepared once: given a string, jsonwebtoken first tries to read it as PEM on every call. */
  keys: KeyRing;
  /** Lifetime of an access token. */
  accessTtl: number;
  /** How long a session lasts without a refresh. */
  idleTtl: number;
  /** The longest that a session can last. */
  absoluteTtl: number;
  grace: number;
  response: Transport;
  /** 0 for no cap. */
  sessionsPerUser: number;
  /** Whether `POST /token/access` exists. */
  tokenAccess: boolean;
  requireSession: boolean;
  /** Origins, or `https://*.example.com` for each host one label below. */
  allowedOrigins: readonly string[];
  /** Whether front ends on this machine pass the origin check, on any port and with any scheme. */
  allowLocalhost: boolean;
  cookie: {
    name: string;
    sameSite: 'lax' | 'strict' | 'none';
    domain: string | undefined;
    secure: boolean;
    /** Whether browsers keep it for each top-level site separately (CHIPS). */
    partitioned: boolean;
  };
}

/** A Koa context as Strapi hands it to a controller, with what Strapi's type leaves out. */
export type Context = Parameters<Core.ControllerHandler>[0] & {
  params: { [name: string]: unknown; provider?: unknown };
  state: { user?: { id?: unknown }; route?: { config?: { auth?: false | { scope?: unknown } } } };
  /** Strapi's session cookie; missing where a project has removed its middleware. */
  session?: StrapiSession | null;
  send(body: unknown): void;
  notFound(): void;
};

/** What Strapi keeps in its session cookie for a social sign-in, and what this extension adds. */
export interface StrapiSession {
  grant?: { response?: unknown };
  refreshTokenVisit?: Visit;
}

/** A browser's round trip to a provider, kept in Strapi's session cookie, which is signed but readable. */
export interface Visit {
  nonceHash: string;
  /** Milliseconds since the epoch. */
  startedAt: number;
  /** What was sent to the provider, which sends it back. */
  state: string;
  /** Hashes of the tokens that the browser came back with, by name. Missing until then. */
  tokenHashes?: Record<string, string>;
  requestRefresh?: unknown;
  rememberMe?: unknown;
  sessionDescription?: unknown;
  deviceId?: unknown;
}

/** How a refresh token travels: an httpOnly cookie, the JSON body, or both. */
export type Transport = 'cookie' | 'body' | 'both';

/** What a request says about the device behind it. */
export interface ClientInfo {
  userAgent: string | null;
  ip: string | null;
}

/** A sign-in's device, transport, and own description. */
export interface NewClient extends ClientInfo {
  transport: Transport;
  /** True by default. */
  persistent?: boolean;
  description?: string | null;
  deviceId?: string | null;
}

/** One sign-in on one device: a row of `up_refresh_sessions`. Times are milliseconds since the epoch. */
export interface Session {
  sid: string;
  userId: number | null;
  /** Generation of the newest refresh token. */
  generation: number;
  /** Generation of the token that was exchanged for the newest one; null before the first refresh. */
  parent: number | null;
  /** Whether an access token of the newest generation has been seen: the response is known to have arrived. */
  acknowledged: boolean;
  transport: Transport;
  /** The client's own name for its device; several sessions may share it. */
  deviceId: string | null;
  description: string | null;
  userAgent: string | null;
  ip: string | null;
  openedAt: number;
  rotatedAt: number;
  /** Idle end, never after `endsAt`. */
  expiresAt: number;
  /** Absolute end. */
  endsAt: number;
  /** Whether the cookie outlives the browser. */
  persistent: boolean;
  /** Milliseconds, for a session whose lifetimes differ from the configuration; null for those of the configuration. */
  idleTtl: number | null;
  accessTtl: number | null;
}

/** The fields of a user that decide whether their sessions may continue. */
export interface SessionUser {
  id: number;
  blocked: boolean;
  confirmed: boolean;
}

/** The fields of a session that its tokens are signed from. */
export type TokenFields = Pick<
  Session,
  | 'sid'
  | 'userId'
  | 'generation'
  | 'rotatedAt'
  | 'expiresAt'
  | 'endsAt'
  | 'persistent'
  | 'idleTtl'
  | 'accessTtl'
>;

/** The fields that an access token is signed from. */
export type AccessFields = Pick<TokenFields, 'sid' | 'userId' | 'generation' | 'accessTtl'>;

/** Additional claims of an access token, as JSON. `id`, `sid`, `gen`, `iat`, `exp`, `nbf` and `typ` are reserved. */
export type Claims = Record<string, unknown>;

/** What an access token is signed from, when the response is written. */
export interface IssuedAccess {
  session: AccessFields;
  /** The policy's. */
  claims?: Claims | undefined;
}

/** The outcome of a sign-in or a refresh. */
export interface IssuedTokens extends IssuedAccess {
  session: TokenFields;
  refreshToken: string;
}

/** Which sessions to end: those of some users (except for one), everyone's, or those whose user is gone. */
export type SessionSelector =
  { userIds: readonly number[]; except?: string | undefined } | 'everyone' | 'orphaned';
