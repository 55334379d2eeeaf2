import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import { JWT, JWT_SECRET, prepareKeys, withPairAsSecret } from '../config/jwt-keys';
import type { AccessTokenKeys } from '../config/jwt-keys';
import { ConfigurationError } from '../config/read';
import { original } from '../original-plugin';
import { isSid } from '../sessions/refresh-token';
import type { Context, SessionUser, TokenFields } from '../types';
import { withChanges, withPropertiesOf } from '../wrap';
import { refreshSessions } from './index';

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
  issueFor(session: TokenFields): string;
  /** @returns the sid of an access token of ours, expired or not, or null */
  sidOf(token: string): Promise<string | null>;
  /**
   * Signs and verifies a token of nobody, as every sign-in and every request will.
   *
   * @returns a warning where a project's own service is used, and the plugin's could not be
   * @throws ConfigurationError if the configuration of the plugin allows no token at all
   */
  probe(): string | null;
};

type JwtServiceFactory = (context: { strapi: Core.Strapi }) => JwtService;

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
 * verified with its options by keys that are prepared once (given a string, jsonwebtoken first tries to read it as PEM on
 * every call). A project's own `issue` and `verify` are called, and the session is checked as well.
 *
 * @param stock `plugin.services.jwt`
 * @see @strapi/plugin-users-permissions server/src/services/jwt.js
 */
export const withSessions = (stock: JwtServiceFactory | JwtService) =>
  withPropertiesOf(({ strapi }: { strapi: Core.Strapi }): AccessTokenService => {
    const isPluginsOwn = stock === original?.jwt;

    let prepared: { settings: unknown; secret: unknown; keys: AccessTokenKeys } | undefined;
    const keys = () => {
      const [settings, secret] = [strapi.config.get(JWT), strapi.config.get(JWT_SECRET)];
      if (!prepared || prepared.settings !== settings || prepared.secret !== secret) {
        prepared = { settings, secret, keys: prepareKeys(settings, secret) };
      }
      return prepared.keys;
    };

    const context = { strapi: isPluginsOwn ? strapi : withPairAsSecret(strapi, keys) };
    const stockService = typeof stock === 'function' ? stock(context) : stock;

    /** The claims of a token that was signed with the configured keys. @throws Error as jsonwebtoken */
    const read = (token: string, options: jwt.VerifyOptions = {}): unknown => {
      const { verifying, algorithm } = keys();
      return jwt.verify(token, verifying, { ...options, algorithms: [algorithm] });
    };

    const issue = (payload: Payload, jwtOptions: jwt.SignOptions = {}): string => {
      const { accessLife } = refreshSessions(strapi).config;
      const expiresIn = jwtOptions.expiresIn ?? accessLife / 1000;
      if (!isPluginsOwn) return stockService.issue(payload, { ...jwtOptions, expiresIn });

      const plain = typeof payload.toJSON === 'function' ? payload.toJSON() : payload;
      const { signing, options } = keys();
      return jwt.sign({ ...plain }, signing, { ...options, ...jwtOptions, expiresIn });
    };

    /** The claims of an access token, whatever its session. @throws Error `Invalid token.`, as the stock service */
    const claimsOf = async (token: string): Promise<Claims> => {
      if (!isPluginsOwn) return accessClaims(await stockService.verify(token));
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

      issue,

      issueFor(this: JwtService, { userId, sid, generation }: TokenFields) {
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
          // Not signed with the configured keys: perhaps by a service of the project's own.
          if (isPluginsOwn) return null;
        }
        try {
          const claims = accessClaims(await stockService.verify(token));
          return sidIn(claims.sid === undefined ? readUnverified(token) : claims);
        } catch {
          return null;
        }
      },

      probe() {
        if (isPluginsOwn) {
          try {
            read(issue({ id: 0 }));
          } catch (error) {
            throw error instanceof ConfigurationError ? error : unusableOptions(error);
          }
          return null;
        }
        // A project's own service is not called: it may look its user up, or write down who signs in.
        try {
          keys();
          return null;
        } catch (error) {
          if (!(error instanceof ConfigurationError)) throw error;
          return `${error.problems.join(' ')} Your project has a jwt service of its own. Ignore this if that does not call the plugin's.`;
        }
      },
    });
  }, stock);

const unusableOptions = (error: unknown) =>
  new ConfigurationError([
    `jwt of users-permissions in config/plugins cannot be used: ${(error as Error).message}. Expected options of jsonwebtoken's sign() with which a token is valid at once. Example: jwt: { issuer: 'my-shop' }`,
  ]);

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
