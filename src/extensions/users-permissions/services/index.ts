import type { Core } from '@strapi/strapi';
import type { AccessTokenService } from './access-token';
import * as transport from '../transport';
import type { Context, Grant, Transport } from '../types';
import type { RefreshSessionService } from './refresh-session';

/** @returns the plugin's jwt service, as wrapped by this extension */
export const accessTokens = (strapi: Core.Strapi): AccessTokenService =>
  strapi.plugin('users-permissions').service('jwt') as unknown as AccessTokenService;

/** @returns the service of this extension; the environment is read when it is first asked for, which is at boot */
export const refreshSessions = (strapi: Core.Strapi): RefreshSessionService =>
  strapi.service('plugin::users-permissions.refresh-session') as unknown as RefreshSessionService;

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
