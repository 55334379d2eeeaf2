import type { Core } from '@strapi/strapi';
import type { AccessTokenService } from './jwt';
import * as transport from '../http/request';
import type { Context, Grant, Transport } from '../types';
import type { RefreshSessionService } from './refresh-session';

/** @returns the plugin's jwt service, as wrapped by this extension */
export const accessTokens = (strapi: Core.Strapi): AccessTokenService =>
  strapi.plugin('users-permissions').service('jwt') as unknown as AccessTokenService;

/** @returns the service of this extension; the environment is read when it is first asked for, which is at boot */
export const refreshSessions = (strapi: Core.Strapi): RefreshSessionService =>
  strapi.service('plugin::users-permissions.refresh-session') as unknown as RefreshSessionService;

/**
 * The session that the request is signed in by, for routes that have authenticated it. Not from `ctx.state.session`, which
 * Strapi fills since 5.50 only.
 *
 * @returns its sid, or null where the access token has none
 */
export const currentSid = async (strapi: Core.Strapi, ctx: Context): Promise<string | null> => {
  const bearer = transport.bearerOf(ctx);
  return bearer === null ? null : accessTokens(strapi).sidOf(bearer);
};

/**
 * @returns the sids of the sessions whose validly signed cookies came with the request, those included whose token is an
 *   older one or has expired
 */
export const sessionsOfCookies = (strapi: Core.Strapi, ctx: Context): string[] => {
  const { config, sessions } = refreshSessions(strapi);
  const sids = transport.readCookies(ctx, config).map((token) => sessions.sidOf(token));
  return [...new Set(sids)].filter((sid) => sid !== null);
};

/** Writes what a grant hands out to an answer. @returns the fields that go into its JSON */
export const handOut = (
  strapi: Core.Strapi,
  ctx: Context,
  answerBy: Transport,
  grant: Grant
): { jwt: string; refreshToken?: string } => ({
  jwt: accessTokens(strapi).issueFor(grant.session),
  ...transport.writeGrant(ctx, refreshSessions(strapi).config, answerBy, grant),
});
