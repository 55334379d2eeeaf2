import { errors } from '@strapi/utils';
import type { Core } from '@strapi/strapi';
import { isErrorCode, SessionError } from '../errors';
import { isConflict } from '../sessions/database';
import type { Config, Context, IssuedAccess, IssuedTokens, Transport } from '../types';

export type Action = (ctx: Context, ...rest: any[]) => unknown;

/** Messages that replace the catalog's, by status, on a route whose original has different ones. The codes stay. */
export type Messages = { [status: number]: string };

/**
 * Signs the access token, and writes the refresh token by the chosen transport.
 *
 * @returns the JSON of the response; the refresh token is in it unless it travels by cookie
 */
export function writeTokens(
  strapi: Core.Strapi,
  ctx: Context,
  config: Config,
  transport: Transport,
  tokens: IssuedTokens
): { jwt: string; refreshToken?: string } {
  const { jwt } = writeAccessToken(strapi, ctx, config, tokens);
  if (transport !== 'body') writeRefreshCookie(strapi, ctx, config, tokens);
  return transport === 'cookie' ? { jwt } : { jwt, refreshToken: tokens.refreshToken };
}

/** Writes a response with nothing but an access token. @returns its JSON */
export function writeAccessToken(
  strapi: Core.Strapi,
  ctx: Context,
  config: Config,
  issued: IssuedAccess
): { jwt: string } {
  if (typeof ctx.set === 'function') ctx.set('Cache-Control', 'no-store');
  return { jwt: signAccessToken(strapi, config, issued) };
}

/** Signs by the plugin's jwt service, which a project may have replaced. */
export function signAccessToken(
  strapi: Core.Strapi,
  config: Config,
  { session, claims }: IssuedAccess
): string {
  const { userId, sid, generation, accessTtl } = session;
  const service = strapi.plugin('users-permissions').service('jwt') as unknown as {
    issue(payload: object, options: { expiresIn: number }): string;
  };
  const expiresIn = (accessTtl ?? config.accessTtl) / 1000;
  return service.issue({ ...claims, id: userId, sid, gen: generation }, { expiresIn });
}

/** Sets the refresh cookie or, without tokens, clears it. Without `persistent`, the browser drops it when it closes. */
export function writeRefreshCookie(
  strapi: Core.Strapi,
  ctx: Context,
  config: Config,
  tokens: IssuedTokens | null
): void {
  const { name, sameSite, domain, secure, partitioned } = config.cookie;
  const expires = tokens ? tokens.session.expiresAt : 0;
  const isPersistent = tokens === null || tokens.session.persistent;
  if (secure) allowSecureCookies(strapi, ctx);
  ctx.cookies.set(name, tokens ? tokens.refreshToken : null, {
    httpOnly: true,
    signed: true,
    overwrite: true,
    path: '/',
    sameSite,
    domain,
    secure,
    // The types of older releases lack it.
    ...({ partitioned } as object),
    ...(isPersistent && { expires: new Date(expires) }),
  });
}

/**
 * Lets this response set Secure cookies although the request arrived over plain http. The cookie library would throw, and
 * a sign-in would return 500: it cannot know that the proxy in front of Strapi terminates TLS.
 */
export function allowSecureCookies(strapi: Core.Strapi, ctx: Context): void {
  if (ctx.secure) return;
  ctx.cookies.secure = true;

  if (warned.has(strapi)) return;
  warned.add(strapi);
  strapi.log.warn(
    '[refresh-token] the response to a plain http request sets a Secure cookie, which browsers keep only over https. Behind a proxy that terminates TLS, set server.proxy: { koa: true } in config/server, and make the proxy send X-Forwarded-Proto.'
  );
}

const warned = new WeakSet<object>();

const RESPONSES = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'notFound',
  503: 'serviceUnavailable',
} as const;

/** Errors that GraphQL returns with their details; it reports all others as "Internal Server Error". */
const GRAPHQL_ERRORS: Record<
  SessionError['status'],
  new (message: string, details: object) => Error
> = {
  400: errors.ValidationError,
  401: errors.UnauthorizedError,
  403: errors.ForbiddenError,
  404: errors.NotFoundError,
  503: errors.ApplicationError,
};

/**
 * The one place where a refusal becomes a response of Strapi's shape, with the code in `error.details`. It cannot be left
 * to Strapi's error middleware: on the way there, a 401 loses its details. Where there is no response to write, because
 * GraphQL or the project's own code called the action, the refusal is thrown.
 *
 * @param action a controller action that may throw a `SessionError`
 * @param messages replace the error's own, by status
 * @see @strapi/core services/server/compose-endpoint.js, createAuthorizeMiddleware
 */
export const withErrorResponse =
  (strapi: Core.Strapi, action: Action, messages: Messages = {}): Action =>
  async (ctx, ...rest) => {
    try {
      return await action(ctx, ...rest);
    } catch (thrown) {
      // A transaction of Strapi's own, such as a password change, is not retried here. The caller may retry it.
      const error = isConflict(thrown)
        ? new SessionError('temporarily_unavailable', undefined, { cause: thrown })
        : thrown;
      if (!(error instanceof SessionError)) throw error;
      const { status, details } = error;
      // Those are for the codes of the catalog. A policy's own code comes with its own message.
      const message = (isErrorCode(error.code) && messages[status]) || error.message;
      if (isGraphql(strapi, ctx)) throw new GRAPHQL_ERRORS[status](message, details);
      if (typeof (ctx as any)[RESPONSES[status]] !== 'function') throw error;

      if (status === 503) ctx.set('Retry-After', '1');
      // The types of older releases lack the `details` argument.
      return (ctx as any)[RESPONSES[status]](message, details);
    }
  };

/** GraphQL's resolvers call actions with the context of their own request, whose path they change while they run. */
function isGraphql(strapi: Core.Strapi, ctx: Context): boolean {
  const endpoint = strapi.plugin('graphql')?.config('endpoint');
  if (!endpoint || !ctx.originalUrl) return false;
  // The router ignores case and a trailing slash.
  const normalize = (path: string) => path.toLowerCase().replace(/\/$/, '');
  // Koa accepts a request target that `URL` does not, such as `http://a:999999/api/token/refresh`.
  const pathname = ctx.originalUrl.replace(/^https?:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '');
  return normalize(pathname) === normalize(String(endpoint));
}
