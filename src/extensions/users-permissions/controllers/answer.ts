import { SessionError } from '../errors';
import type { Context } from '../types';

export type Action = (ctx: Context, ...rest: any[]) => unknown;

const RESPONSES = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'notFound',
} as const;

/**
 * The one place where a refusal becomes an answer, of Strapi's shape with the code in `error.details`. It is not left to
 * Strapi's error middleware: on its way there a 401 would lose its details.
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
    } catch (error) {
      if (!(error instanceof SessionError)) throw error;
      const [respond, message] = [
        RESPONSES[error.status],
        sentences[error.status] ?? error.message,
      ];
      // The types of old releases know nothing of the details.
      return (ctx as any)[respond](message, error.details);
    }
  };
