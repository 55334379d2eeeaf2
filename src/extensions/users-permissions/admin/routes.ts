import type { Core } from '@strapi/strapi';
import { withErrorResponse } from '../http/response';
import type { RouteTable } from '../http/routing';
import * as sessions from './controllers';

const PLUGIN = 'users-permissions';

/** Checkboxes under Settings > Roles. Super admins have both from the start. Other roles have to be given them. */
const PERMISSIONS = [
  { uid: 'sessions.read', displayName: 'Read' },
  { uid: 'sessions.end', displayName: 'End' },
].map((action) => ({
  ...action,
  section: 'plugins',
  subCategory: 'sessions',
  pluginName: PLUGIN,
}));

/** Must run before the admin's own bootstrap, which removes unregistered permissions from roles. */
export const registerPermissions = async (strapi: Core.Strapi): Promise<void> =>
  strapi.service('admin::permission')!['actionProvider'].registerMany(PERMISSIONS);

const only = (action: 'read' | 'end') => ({
  policies: [
    'admin::isAuthenticatedAdmin',
    {
      name: 'admin::hasPermissions',
      config: { actions: [`plugin::${PLUGIN}.sessions.${action}`] },
    },
  ],
});

const [READ, END] = [only('read'), only('end')];

const PATH = `/${PLUGIN}/sessions`;

export const table: RouteTable = (strapi) => [
  ['GET', PATH, withErrorResponse(strapi, sessions.list(strapi)), READ],
  ['GET', `${PATH}/count`, withErrorResponse(strapi, sessions.count(strapi)), READ],
  ['GET', `${PATH}/overview`, withErrorResponse(strapi, sessions.overview(strapi)), READ],
  ['GET', `${PATH}/incidents`, withErrorResponse(strapi, sessions.incidents(strapi)), READ],
  ['DELETE', PATH, withErrorResponse(strapi, sessions.endMany(strapi)), END],
  ['DELETE', `${PATH}/:id`, withErrorResponse(strapi, sessions.end(strapi)), END],
];
