import type { Core } from '@strapi/strapi';

/** A Koa context as Strapi hands it to a controller, with what Strapi's type leaves out. */
export type Context = Parameters<Core.ControllerHandler>[0] & {
  params: { [name: string]: unknown; provider?: unknown };
  state: { user?: { id?: unknown }; route?: { config?: { auth?: false | { scope?: unknown } } } };
  /** Strapi's session cookie; missing where a project has taken out its middleware. */
  session?: StrapiSession | null;
  send(body: unknown): void;
};

/** What Strapi keeps in its session cookie on the way to a provider, and what this extension adds. */
export interface StrapiSession {
  grant?: { response?: unknown };
  refreshTokenVisit?: Visit;
}

/**
 * A browser's way to a provider and back, as it is kept in Strapi's session cookie. That cookie is signed, but can be read.
 */
export interface Visit {
  nonceHash: string;
  /** Milliseconds since the epoch. */
  startedAt: number;
  /** What the provider was sent, and sends back. */
  state: string;
  /** Of what the browser came back with, by name. Missing until it has. */
  tokenHashes?: Record<string, string>;
  requestRefresh?: unknown;
  sessionDescription?: unknown;
  deviceId?: unknown;
}

/** How a refresh token travels: an httpOnly cookie, the JSON body, or both. */
export type Transport = 'cookie' | 'body' | 'both';

/** What a request tells about the device behind it. */
export interface Client {
  userAgent: string | null;
  ip: string | null;
}

/** One sign-in on one device: a row of `up_refresh_sessions`. Times are milliseconds since the epoch. */
export interface Session {
  sid: string;
  userId: number | null;
  /** Generation of the newest refresh token. */
  generation: number;
  /** Generation whose presenting brought the newest token about; none before the first refresh. */
  parent: number | null;
  /** Whether an access token of the newest generation has been seen, so that the answer is known to have arrived. */
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
}

/** What of a user decides whether a session may go on. */
export interface SessionUser {
  id: number;
  blocked: boolean;
  confirmed: boolean;
}

/** What of a session its tokens are signed from. */
export type TokenFields = Pick<
  Session,
  'sid' | 'userId' | 'generation' | 'rotatedAt' | 'expiresAt' | 'endsAt'
>;

/** What a sign-in or a refresh hands out. */
export interface Grant {
  session: TokenFields;
  refreshToken: string;
  /** End of the refresh token's life, in milliseconds since the epoch. */
  expiresAt: number;
}
