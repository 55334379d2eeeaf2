import type { Core } from '@strapi/strapi';
import { withErrorResponse } from '../http/response';
import type { Action } from '../http/response';
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

export const table: RouteTable = (strapi) => {
  const answer = (create: (strapi: Core.Strapi) => Action): Action => {
    const action = withErrorResponse(strapi, create(strapi));
    return (ctx) => {
      // Names, addresses and devices: browsers would keep them on disk.
      ctx.set('Cache-Control', 'no-store');
      return action(ctx);
    };
  };
  return [
    ['GET', PATH, answer(sessions.list), READ],
    ['GET', `${PATH}/count`, answer(sessions.count), READ],
    ['GET', `${PATH}/overview`, answer(sessions.overview), READ],
    ['GET', `${PATH}/incidents`, answer(sessions.incidents), READ],
    ['DELETE', PATH, answer(sessions.endMany), END],
    ['DELETE', `${PATH}/:id`, answer(sessions.end), END],
  ];
};
