import { createSecretKey } from 'crypto';
import type { KeyObject } from 'crypto';
import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import { isSid } from '../refresh-token';
import type { Context, Session, SessionUser } from '../types';
import { withChanges, withPropertiesOf } from '../wrap';
import { refreshSessions } from '.';

/** The claims of an access token that this extension reads, whatever they hold. */
export interface Claims {
  id?: unknown;
  sid?: unknown;
  gen?: unknown;
  typ?: unknown;
  [claim: string]: unknown;
}

/** The users-permissions jwt service, as far as this extension touches it. */
export interface JwtService {
  issue(payload: Payload, jwtOptions?: jwt.SignOptions): string;
  /** `sessionId` is the session that the token belongs to. */
  verify(token: string): Promise<Claims & { sessionId?: string }>;
  getToken(ctx: Context): Promise<Claims | null> | null;
  [method: string]: unknown;
}

/** The users-permissions user service, as far as it is called here. */
interface UserService {
  fetchAuthenticatedUser(id: unknown): Promise<(Partial<SessionUser> & { role?: object }) | null>;
}

/** Claims, or a document that makes them. */
interface Payload {
  toJSON?(): object;
  [claim: string]: unknown;
}

export type AccessTokenService = JwtService & {
  /** @returns an access token of this session's newest generation */
  issueFor(session: Session): string;
  /** @returns the sid of an access token of ours, expired or not, or null */
  sidOf(token: string): Promise<string | null>;
};

type JwtServiceFactory = (context: { strapi: Core.Strapi }) => JwtService;

const HMAC = ['HS256', 'HS384', 'HS512'];

/** The plugin's jwt service as it is before anybody wraps it; undefined if that cannot be found out. */
const PLUGINS_OWN: unknown = (() => {
  try {
    // Here, while the files are loaded, since a project may put its own service into this very object. It has no types.
    return module.require('@strapi/plugin-users-permissions/strapi-server')().services.jwt;
  } catch {
    return undefined;
  }
})();

/** Whoever signs in, registers or resets a password has no use for the access token that a client still sends along. */
const SIGN_IN_SCOPES = [
  'callback',
  'connect',
  'emailConfirmation',
  'forgotPassword',
  'register',
  'resetPassword',
  'sendEmailConfirmation',
].map((action) => `plugin::users-permissions.auth.${action}`);

/**
 * Wraps the plugin's jwt service: access tokens get the life of `JWT_SECRET_EXPIRES`, and one that carries a `sid` is
 * accepted only while that session lives and is its user's. Where the service is the plugin's own, tokens are signed and
 * verified with its secret and options by a key that is prepared once (given a string, jsonwebtoken first tries to read it
 * as PEM on every call). A project's own `issue` and `verify` are called, and the session is checked as well.
 *
 * @param stock `plugin.services.jwt`
 * @see @strapi/plugin-users-permissions server/src/services/jwt.js
 */
export const withSessions = (stock: JwtServiceFactory | JwtService) =>
  withPropertiesOf(({ strapi }: { strapi: Core.Strapi }): AccessTokenService => {
    const stockService = typeof stock === 'function' ? stock({ strapi }) : stock;
    const isPluginsOwn = stock === PLUGINS_OWN;
    const setting = (name: string) => strapi.config.get(`plugin::users-permissions.${name}`) as any;
    const algorithm = () => (setting('jwt')?.algorithm ?? 'HS256') as jwt.Algorithm;
    const isHmac = () => HMAC.includes(algorithm());
    const usesPreparedKey = () => isPluginsOwn && isHmac();

    let prepared: { secret: string; key: KeyObject } | undefined;
    const key = () => {
      const secret: string = setting('jwtSecret');
      if (prepared?.secret !== secret) {
        prepared = { secret, key: createSecretKey(Buffer.from(secret, 'utf8')) };
      }
      return prepared.key;
    };

    /** The claims of a token that was signed with the plugin's secret. @throws Error as jsonwebtoken */
    const read = (token: string, options: jwt.VerifyOptions = {}): unknown =>
      jwt.verify(token, isHmac() ? key() : setting('jwtSecret'), {
        ...options,
        algorithms: [algorithm()],
      });

    /** The claims of an access token, whatever its session. @throws Error `Invalid token.`, as the stock service */
    const claimsOf = async (token: string): Promise<Claims> => {
      if (!usesPreparedKey()) return accessClaims(await stockService.verify(token));
      let claims: unknown;
      try {
        claims = read(token);
      } catch {
        // One answer for all that is wrong with a token.
        throw new Error('Invalid token.');
      }
      return accessClaims(claims);
    };

    /** What makes Strapi refuse a request that is authenticated: a token of nobody, or of a user who may not sign in. */
    const isUsable = async ({ id }: Claims): Promise<boolean> => {
      if (id === undefined) return false;
      const users = strapi.plugin('users-permissions').service('user') as unknown as UserService;
      const user = await users.fetchAuthenticatedUser(id);
      if (!user?.role || user.blocked) return false;
      return Boolean(user.confirmed) || !(await refreshSessions(strapi).confirmationRequired());
    };

    return withChanges(stockService, {
      async getToken(this: JwtService, ctx: Context) {
        if (!isSignIn(ctx)) return stockService.getToken.call(this, ctx);
        // An access token that has expired must not keep its user from signing in again.
        try {
          const claims = await stockService.getToken.call(this, ctx);
          return claims && (await isUsable(claims)) ? claims : null;
        } catch {
          return null;
        }
      },

      issue(payload: Payload, jwtOptions: jwt.SignOptions = {}) {
        const { accessLife } = refreshSessions(strapi).config;
        const expiresIn = jwtOptions.expiresIn ?? accessLife / 1000;
        if (!usesPreparedKey()) return stockService.issue(payload, { ...jwtOptions, expiresIn });

        const plain = typeof payload.toJSON === 'function' ? payload.toJSON() : payload;
        return jwt.sign({ ...plain }, key(), { ...setting('jwt'), ...jwtOptions, expiresIn });
      },

      issueFor(this: JwtService, { userId, sid, generation }: Session) {
        return this.issue({ id: userId, sid, gen: generation });
      },

      async verify(token: string) {
        const { config, sessions } = refreshSessions(strapi);
        const claims = await claimsOf(token);
        // A project's own `verify` may answer nothing but the user. The token itself is good by then.
        const { sid, gen } = claims.sid === undefined ? readUnverified(token) : claims;

        if (sid === undefined) {
          if (config.requireSession) throw new Error('Invalid token.');
          return claims;
        }

        const warn = (error: unknown) =>
          strapi.log.warn(`[refresh-token] could not acknowledge a session: ${String(error)}`);
        const admitted = isSid(sid) && (await sessions.admits(sid, claims.id, gen, warn));
        if (!admitted) throw new Error('Invalid token.');

        // The stock strategy reads it into `ctx.state.session`.
        return { ...claims, sessionId: sid };
      },

      async sidOf(token: string) {
        try {
          const options = { ignoreExpiration: true, ignoreNotBefore: true };
          return sidIn(accessClaims(read(token, options)));
        } catch {
          // Not signed with the plugin's secret: perhaps by a service of the project's own.
          if (isPluginsOwn) return null;
        }
        try {
          const claims = accessClaims(await stockService.verify(token));
          return sidIn(claims.sid === undefined ? readUnverified(token) : claims);
        } catch {
          return null;
        }
      },
    });
  }, stock);

/** @throws Error for a refresh token, which is never taken for an access token */
function accessClaims(claims: unknown): Claims {
  if (typeof claims === 'object' && claims !== null) {
    if ((claims as Claims).typ !== 'refresh') return claims as Claims;
  }
  throw new Error('Invalid token.');
}

/** Of a token that a project's own `verify` has accepted. */
const readUnverified = (token: string): Claims => (jwt.decode(token) ?? {}) as Claims;

const sidIn = ({ sid }: Claims): string | null => (isSid(sid) ? sid : null);

/** Whether the request is for a route that signs users in: by the permission it needs, which its own path may not show. */
function isSignIn(ctx: Context): boolean {
  const { auth } = ctx.state?.route?.config ?? {};
  return auth ? castArray(auth.scope).some((scope) => SIGN_IN_SCOPES.includes(scope)) : false;
}

const castArray = (value: unknown): string[] =>
  Array.isArray(value) ? value : value ? [value as string] : [];
