import * as sessions from './controllers/sessions';
import * as token from './controllers/token';
import { withErrorResponse } from './http/response';
import {
  limitedAs,
  nameOf,
  PUBLIC,
  SIGNED_IN,
  withAddedRoutes,
  withChangedRoutes,
} from './http/routing';
import type { RouterInput, RouteTable } from './http/routing';

const table: RouteTable = (strapi) => [
  ['POST', '/token/refresh', withErrorResponse(strapi, token.refresh(strapi)), PUBLIC],
  ['POST', '/token/access', withErrorResponse(strapi, token.access(strapi)), PUBLIC],
  ['POST', '/token/revoke', withErrorResponse(strapi, token.revoke(strapi)), PUBLIC],
  ['GET', '/users/me/sessions', withErrorResponse(strapi, sessions.list(strapi)), SIGNED_IN],
  ['DELETE', '/users/me/sessions', withErrorResponse(strapi, sessions.endAll(strapi)), SIGNED_IN],
  ['DELETE', '/users/me/sessions/:id', withErrorResponse(strapi, sessions.end(strapi)), SIGNED_IN],
];

/** @param original `plugin.routes['content-api']` */
export const withRoutes = (original: RouterInput): RouterInput =>
  withProviderLimit(withAddedRoutes(original, table));

/**
 * Strapi rate-limits the redirect to a provider, but not the callback that signs in, which has no body. All providers share
 * one limit per IP address.
 */
const withProviderLimit = (original: RouterInput): RouterInput =>
  withChangedRoutes(original, (routes, strapi) =>
    routes.map((route) => {
      if (nameOf(route) !== 'GET /auth/:provider/callback') return route;
      const { config } = route;
      const middlewares = [limitedAs(strapi, '/connect/callback'), ...(config?.middlewares ?? [])];
      return { ...route, config: { ...config, middlewares } };
    })
  );
