import { createSecretKey } from 'crypto';
import type { KeyObject } from 'crypto';
import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import { isSid } from '../refresh-token';
import type { Session } from '../types';
import { refreshSessions } from '.';

/** The users-permissions jwt service, as far as this extension touches it. */
export interface JwtService {
  issue(payload: Record<string, unknown>, jwtOptions?: jwt.SignOptions): string;
  verify(token: string): Promise<jwt.JwtPayload>;
  [method: string]: unknown;
}

export type AccessTokenService = JwtService & {
  /** @returns an access token of this session's newest generation */
  issueFor(session: Session): string;
  /** @returns the sid of an access token of ours, be it expired, or null */
  sidOf(token: string): string | null;
};

type JwtServiceFactory = (context: { strapi: Core.Strapi }) => JwtService;

const HMAC = ['HS256', 'HS384', 'HS512'];

/**
 * Wraps the plugin's jwt service: access tokens get the life of `JWT_SECRET_EXPIRES`, and one that carries a `sid` is
 * accepted only while that session lives and is its user's. Tokens are signed and verified with the plugin's own secret
 * and options, by a key that is prepared once (given a string, jsonwebtoken first tries to read it as PEM on every call).
 *
 * @param stock `plugin.services.jwt`
 * @see @strapi/plugin-users-permissions server/src/services/jwt.js
 */
export const withSessions =
  (stock: JwtServiceFactory | JwtService) =>
  ({ strapi }: { strapi: Core.Strapi }): AccessTokenService => {
    const stockService = typeof stock === 'function' ? stock({ strapi }) : stock;
    const setting = (name: string) => strapi.config.get(`plugin::users-permissions.${name}`) as any;
    const algorithm = () => (setting('jwt')?.algorithm ?? 'HS256') as jwt.Algorithm;
    const isHmac = () => HMAC.includes(algorithm());

    let prepared: { secret: string; key: KeyObject } | undefined;
    const key = () => {
      const secret: string = setting('jwtSecret');
      if (prepared?.secret !== secret) {
        prepared = { secret, key: createSecretKey(Buffer.from(secret, 'utf8')) };
      }
      return prepared.key;
    };

    /** The claims of a token that was signed as an access token. @throws Error `Invalid token.`, as the stock service */
    const read = (token: string, options: jwt.VerifyOptions = {}): jwt.JwtPayload => {
      try {
        const claims = jwt.verify(token, isHmac() ? key() : setting('jwtSecret'), {
          ...options,
          algorithms: [algorithm()],
        }) as jwt.JwtPayload;
        if (typeof claims === 'object' && claims.typ !== 'refresh') return claims;
      } catch {
        // One answer for all that is wrong with a token.
      }
      throw new Error('Invalid token.');
    };

    return {
      ...stockService,

      issue(payload, jwtOptions = {}) {
        const { accessLife } = refreshSessions(strapi).config;
        const options = {
          ...setting('jwt'),
          ...jwtOptions,
          expiresIn: jwtOptions.expiresIn ?? accessLife / 1000,
        };
        if (!isHmac()) return stockService.issue(payload, options);

        const plain = typeof payload.toJSON === 'function' ? payload.toJSON() : payload;
        return jwt.sign({ ...plain }, key(), options);
      },

      issueFor({ userId, sid, generation }) {
        return this.issue({ id: userId, sid, gen: generation });
      },

      async verify(token) {
        const { config, sessions } = refreshSessions(strapi);
        const claims = isHmac() ? read(token) : await stockService.verify(token);

        if (claims.sid === undefined) {
          if (config.requireSession) throw new Error('Invalid token.');
          return { ...claims, sessionId: undefined };
        }

        const warn = (error: unknown) =>
          strapi.log.warn(`[refresh-token] could not acknowledge a session: ${String(error)}`);
        const admitted =
          isSid(claims.sid) && (await sessions.admits(claims.sid, claims.id, claims.gen, warn));
        if (!admitted) throw new Error('Invalid token.');

        // The stock strategy reads it into `ctx.state.session`.
        return { ...claims, sessionId: claims.sid };
      },

      sidOf(token) {
        try {
          const { sid } = read(token, { ignoreExpiration: true, ignoreNotBefore: true });
          return isSid(sid) ? sid : null;
        } catch {
          return null;
        }
      },
    };
  };
