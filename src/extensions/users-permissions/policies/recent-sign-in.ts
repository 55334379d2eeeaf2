import { errors } from '@strapi/utils';
import type { Core } from '@strapi/strapi';
import { parseDuration } from '../config/duration';
import { ERRORS } from '../errors';
import { graphqlError } from '../http/graphql-error';
import { getService } from '../services/get-service';
import { currentSid } from '../services/jwt';
import type { Context } from '../types';

/** What Strapi passes to a policy: the fields of the request's context or, over GraphQL, that context as `http`. */
type PolicyContext = Context & { http?: Context };

const CODE = 'recent_sign_in_required';

/**
 * A policy for routes that need more than a session, such as one that changes an email address:
 * `{ name: 'plugin::users-permissions.recent-sign-in', config: { within: '10m' } }`. Refreshing does not count as signing in.
 *
 * @see @strapi/core services/server/policy.js
 */
export const recentSignIn = {
  name: 'recent-sign-in',

  /** Called when Strapi creates the route. @throws Error which stops the boot */
  validator: (config: unknown) => void readWithin(config),

  /** @throws PolicyError (over GraphQL, GraphQLError) 403 `recent_sign_in_required`, unless the session of the access token was opened recently enough */
  async handler(
    policyContext: PolicyContext,
    config: unknown,
    { strapi }: { strapi: Core.Strapi }
  ) {
    const ctx = policyContext.http ?? policyContext;
    const { user } = ctx.state;
    const sid = user ? await currentSid(strapi, ctx) : null;
    const { sessions } = getService(strapi, 'refresh-session');
    const session = sid === null ? null : await sessions.find(sid);
    // The project's own code may have found the user by something other than this access token.
    const isOwn = session !== null && session.userId === user?.id;
    // Without the absolute value, a clock that steps back would make every sign-in recent.
    if (isOwn && Math.abs(Date.now() - session.openedAt) <= readWithin(config)) return;
    // Strapi's own error, because the router drops the details of others.
    const refusal = new errors.PolicyError(ERRORS[CODE][1], { code: CODE });
    throw policyContext.http ? graphqlError(strapi, refusal) : refusal;
  },
};

/** @returns milliseconds */
function readWithin(config: unknown): number {
  const { within } = (config ?? {}) as { within?: unknown };
  const duration = typeof within === 'string' ? parseDuration(within) : null;
  if (duration) return duration;
  throw new Error(
    "The policy plugin::users-permissions.recent-sign-in expects a duration. Example: config: { within: '10m' }"
  );
}
