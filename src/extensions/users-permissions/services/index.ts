import type { Core } from '@strapi/strapi';
import type { AccessTokenService } from './access-token';
import type { RefreshSessionService } from './refresh-session';

/** @returns the plugin's jwt service, as wrapped by this extension */
export const accessTokens = (strapi: Core.Strapi): AccessTokenService =>
  strapi.plugin('users-permissions').service('jwt') as unknown as AccessTokenService;

/** @returns the service of this extension; the environment is read when it is first asked for, which is at boot */
export const refreshSessions = (strapi: Core.Strapi): RefreshSessionService =>
  strapi.service('plugin::users-permissions.refresh-session') as unknown as RefreshSessionService;
