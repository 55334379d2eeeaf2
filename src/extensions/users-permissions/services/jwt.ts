import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import { JWT, JWT_SECRET, prepareKeys, withPairAsSecret } from '../config/jwt-keys';
import type { AccessTokenKeys } from '../config/jwt-keys';
import { ConfigurationError, oneLine } from '../errors';
import { readBearer } from '../http/request';
import { originalPlugin } from '../original-plugin';
import { readAccessTokenClaims, sidIn } from '../sessions/access-token';
import type { AccessTokenClaims } from '../sessions/access-token';
import { isSid } from '../sessions/refresh-token';
import { recordIssuedJwt } from '../sessions/sign-in-context';
import type { Context, SessionUser } from '../types';
import { withChanges, withPropertiesOf } from '../wrap';
import { getService } from './get-service';
import type { JwtService, OriginalJwtService, Payload } from './get-service';

type JwtServiceFactory = (context: { strapi: Core.Strapi }) => OriginalJwtService;

/**
 * Wraps the plugin's jwt service: access tokens get the lifetime of `JWT_SECRET_EXPIRES`, and one that carries a `sid` is
 * accepted only while that session is active and belongs to its user. A project's own `issue` and `verify` are called, and the
 * session is checked as well.
 *
 * @param original `plugin.services.jwt`
 * @see @strapi/plugin-users-permissions server/src/services/jwt.js
 */
export const withSessionCheck = (original: JwtServiceFactory | OriginalJwtService) =>
  withPropertiesOf(({ strapi }: { strapi: Core.Strapi }): JwtService => {
    const isPluginsOwn = original === originalPlugin?.jwt;
    const keys = preparedKeys(strapi);
    const context = { strapi: isPluginsOwn ? strapi : withPairAsSecret(strapi, keys) };
    const service = typeof original === 'function' ? original(context) : original;
    const tokens = isPluginsOwn ? pluginTokens(keys) : projectTokens(service, keys);

    return withChanges(service, {
      issue(payload: Payload, jwtOptions: jwt.SignOptions = {}): string {
        const { accessTtl } = getService(strapi, 'refresh-session').config;
        const expiresIn = jwtOptions.expiresIn ?? accessTtl / 1000;
        const token = tokens.issue(payload, { ...jwtOptions, expiresIn });
        recordIssuedJwt(token, plain(payload)?.id);
        return token;
      },

      async verify(token: string) {
        const { config, sessions } = getService(strapi, 'refresh-session');
        const claims = await tokens.verify(token);
        // A project's own `verify` may return only the user. The token itself is valid at this point.
        const { sid, gen } = claims.sid === undefined ? readUnverified(token) : claims;

        if (sid === undefined) {
          if (config.requireSession) throw new Error('Invalid token.');
          return claims;
        }

        const warn = (error: unknown) =>
          strapi.log.warn(`[refresh-token] could not acknowledge a session: ${oneLine(error)}`);
        const isValid =
          isSid(sid) && (await sessions.isAccessTokenValid(sid, claims.id, gen, warn));
        if (!isValid) throw new Error('Invalid token.');

        // Strapi's strategy reads it into `ctx.state.session`.
        return { ...claims, sessionId: sid };
      },

      // The original calls `this.verify`, which is the one above.
      async getToken(this: OriginalJwtService, ctx: Context) {
        if (!isSignIn(ctx)) return service.getToken.call(this, ctx);
        // An access token that has expired must not keep its user from signing in again.
        try {
          const claims = await service.getToken.call(this, ctx);
          return claims && (await isUsable(strapi, claims)) ? claims : null;
        } catch {
          return null;
        }
      },

      sidOf: tokens.sidOf,
      probe: tokens.probe,
    });
  }, original);

/**
 * The session whose access token came with the request, for routes that have authenticated it. (Strapi fills
 * `ctx.state.session` only since 5.50.)
 *
 * @returns its sid, or null where the access token has none
 */
export async function currentSid(strapi: Core.Strapi, ctx: Context): Promise<string | null> {
  const bearer = readBearer(ctx);
  return bearer === null ? null : getService(strapi, 'jwt').sidOf(bearer);
}

/** Access tokens, without regard to their session. */
interface Tokens extends Pick<JwtService, 'sidOf' | 'probe'> {
  issue(payload: Payload, options: jwt.SignOptions): string;
  /** @throws Error `Invalid token.`, as the plugin's own service */
  verify(token: string): Promise<AccessTokenClaims>;
}

/** Prepares the keys again only when the configuration has changed.
 *
 * @returns a function that throws ConfigurationError if the keys are unusable */
function preparedKeys(strapi: Core.Strapi): () => AccessTokenKeys {
  let prepared: { settings: unknown; secret: unknown; keys: AccessTokenKeys } | undefined;
  return () => {
    const [settings, secret] = [strapi.config.get(JWT), strapi.config.get(JWT_SECRET)];
    if (!prepared || prepared.settings !== settings || prepared.secret !== secret) {
      prepared = { settings, secret, keys: prepareKeys(settings, secret) };
    }
    return prepared.keys;
  };
}

/** The claims of a token that was signed with the configured keys. @throws Error as jsonwebtoken */
function readSigned(
  { verifying, algorithm }: AccessTokenKeys,
  token: string,
  options: jwt.VerifyOptions = {}
): AccessTokenClaims {
  return readAccessTokenClaims(
    jwt.verify(token, verifying, { ...options, algorithms: [algorithm] })
  );
}

/** Revoking accepts a token that has expired, or is not valid yet. */
const AT_ANY_TIME = { ignoreExpiration: true, ignoreNotBefore: true };

/** In place of the plugin's own: the same options, but with keys that are prepared once. */
function pluginTokens(keys: () => AccessTokenKeys): Tokens {
  const issue: Tokens['issue'] = (payload, jwtOptions) => {
    const { signing, options } = keys();
    return jwt.sign({ ...plain(payload) }, signing, { ...options, ...jwtOptions });
  };
  return {
    issue,

    async verify(token) {
      try {
        return readSigned(keys(), token);
      } catch {
        // One message for everything that can be wrong with a token.
        throw new Error('Invalid token.');
      }
    },

    async sidOf(token) {
      try {
        return sidIn(readSigned(keys(), token, AT_ANY_TIME));
      } catch {
        return null;
      }
    },

    probe() {
      try {
        readSigned(keys(), issue({ id: 0 }, { expiresIn: 60 }));
        return null;
      } catch (error) {
        throw error instanceof ConfigurationError ? error : unusableOptions(error);
      }
    },
  };
}

/** Where the project has replaced the service. */
const projectTokens = (service: OriginalJwtService, keys: () => AccessTokenKeys): Tokens => ({
  issue: (payload, options) => service.issue(payload, options),

  verify: async (token) => readAccessTokenClaims(await service.verify(token)),

  async sidOf(token) {
    try {
      return sidIn(readSigned(keys(), token, AT_ANY_TIME));
    } catch {
      // Not signed with the configured keys.
    }
    try {
      const claims = readAccessTokenClaims(await service.verify(token));
      return sidIn(claims.sid === undefined ? readUnverified(token) : claims);
    } catch {
      return null;
    }
  },

  // The project's service is not called: it may look up its user, or record who signs in.
  probe() {
    try {
      keys();
      return null;
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      return `${error.problems.join(' ')} Your project has its own jwt service. Ignore this warning if that service does not call the plugin's.`;
    }
  },
});

const unusableOptions = (error: unknown) =>
  new ConfigurationError([
    `jwt of users-permissions in config/plugins cannot be used: ${(error as Error).message}. Expected options for jsonwebtoken's sign() that make a token valid immediately. Example: jwt: { issuer: 'my-shop' }`,
  ]);

const plain = (payload?: Payload): { id?: unknown } | undefined =>
  typeof payload?.toJSON === 'function' ? payload.toJSON() : (payload as object | undefined);

/** Reads a token that a project's own `verify` has accepted. */
const readUnverified = (token: string) => (jwt.decode(token) ?? {}) as AccessTokenClaims;

/** Signing in, registering and resetting a password do not need the access token that a client still sends along. */
const SIGN_IN_SCOPES = [
  'callback',
  'connect',
  'emailConfirmation',
  'forgotPassword',
  'register',
  'resetPassword',
  'sendEmailConfirmation',
].map((action) => `plugin::users-permissions.auth.${action}`);

/** Whether the route signs users in. Decided by the permission that it requires, because a path does not always show it. */
function isSignIn(ctx: Context): boolean {
  const { auth } = ctx.state?.route?.config ?? {};
  const scopes = auth ? [auth.scope].flat() : [];
  return scopes.some((scope) => SIGN_IN_SCOPES.includes(scope as string));
}

/** Strapi refuses a request with a token that names no user, or a user who may not sign in. */
async function isUsable(strapi: Core.Strapi, { id }: AccessTokenClaims): Promise<boolean> {
  if (id === undefined) return false;
  const users = strapi.plugin('users-permissions').service('user') as unknown as UserService;
  const user = await users.fetchAuthenticatedUser(id);
  if (!user?.role || user.blocked) return false;
  const { confirmationRequired } = getService(strapi, 'refresh-session');
  return Boolean(user.confirmed) || !(await confirmationRequired());
}

/** The plugin's user service, as far as this file uses it. */
interface UserService {
  fetchAuthenticatedUser(id: unknown): Promise<(Partial<SessionUser> & { role?: object }) | null>;
}
