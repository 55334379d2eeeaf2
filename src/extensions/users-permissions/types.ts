import type { Core } from '@strapi/strapi';

/** A Koa context as Strapi hands it to a controller. */
export type Context = Parameters<Core.ControllerHandler>[0];

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

/** What a sign-in or a refresh hands out. */
export interface Grant {
  session: Session;
  refreshToken: string;
  /** End of the refresh token's life, in milliseconds since the epoch. */
  expiresAt: number;
}
