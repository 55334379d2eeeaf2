import { errors } from '@strapi/utils';
import type { Core } from '@strapi/strapi';
import { SessionError } from '../errors';
import { isConflict } from '../sessions/repository';
import type { Context } from '../types';

export type Action = (ctx: Context, ...rest: any[]) => unknown;

const RESPONSES = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'notFound',
  503: 'serviceUnavailable',
} as const;

/** What GraphQL shows to a client with its details; of any other error it says "Internal Server Error". */
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
 * The one place where a refusal becomes an answer, of Strapi's shape with the code in `error.details`. It is not left to
 * Strapi's error middleware, on the way to which a 401 would lose its details. Where there is no response to write, because
 * GraphQL or the project's own code called the action, the refusal is thrown.
 *
 * @param action a controller action that may throw a `SessionError`
 * @param sentences replace its sentences, by status, on a route whose origin has others; the code stays
 * @see @strapi/core services/server/compose-endpoint.js, createAuthorizeMiddleware
 */
export const answering =
  (action: Action, sentences: { [status: number]: string } = {}): Action =>
  async (ctx, ...rest) => {
    try {
      return await action(ctx, ...rest);
    } catch (thrown) {
      // A transaction of Strapi's own, such as the change of a password, is not repeated here: the caller may.
      const error = isConflict(thrown)
        ? new SessionError('temporarily_unavailable', undefined, { cause: thrown })
        : thrown;
      if (!(error instanceof SessionError)) throw error;
      const { status, details } = error;
      const message = sentences[status] ?? error.message;
      if (isGraphql(ctx)) throw new GRAPHQL_ERRORS[status](message, details);
      if (typeof (ctx as any)[RESPONSES[status]] !== 'function') throw error;

      if (status === 503) ctx.set('Retry-After', '1');
      // The types of old releases know nothing of the details.
      return (ctx as any)[RESPONSES[status]](message, details);
    }
  };

/** GraphQL's resolvers call the actions with the context of their own request, whose path they change for the time. */
function isGraphql(ctx: Context): boolean {
  const { strapi } = globalThis as unknown as { strapi: Core.Strapi };
  const endpoint = strapi.plugin('graphql')?.config('endpoint');
  if (!endpoint || !ctx.originalUrl) return false;
  // As the router has it: without regard to case or a slash at the end.
  const normalize = (path: string) => path.toLowerCase().replace(/\/$/, '');
  const { pathname } = new URL(ctx.originalUrl, 'http://localhost');
  return normalize(pathname) === normalize(String(endpoint));
}
