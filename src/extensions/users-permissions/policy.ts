/**
 * Your rules for sessions. This file is yours to edit: an upgrade never overwrites it. Everything in it is optional.
 * `docs/policy.md` in the repository of the extension has worked examples.
 */
import type { SessionPolicy } from './policy-types';

// To refuse, throw a SessionError (from ./errors): new SessionError('user_refused', 'why'), or one with a code, a status (400, 401
// or 403) and a message of your own: new SessionError('country_refused', 403, 'why').

export const policy: SessionPolicy = {
  // More claims for every access token:
  // claims: ({ user }) => ({ tenant: user.tenant }),
  //
  // Lifetimes that differ from JWT_SECRET_EXPIRES (access), REFRESH_TOKEN_EXPIRES (idle) and REFRESH_SESSION_EXPIRES (absolute):
  // lifetimes: ({ user, transport, rememberMe }, defaults) =>
  //   user.role?.type === 'staff' ? { ...defaults, idle: '2h', absolute: '12h' } : defaults,
  //
  // A veto after the credentials have been checked, and before a session exists:
  // beforeSignIn: async ({ user, ctx, client }) => {},
  //
  // A veto before an access token is issued from a refresh token:
  // beforeRefresh: async ({ user, session, client }) => {},
};
