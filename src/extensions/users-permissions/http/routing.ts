import type { Core } from '@strapi/strapi';
import type { Context } from '../types';
import { withPropertiesOf } from '../wrap';
import type { Action } from './response';

export type Route = {
  method: string;
  path: string;
  config?: { middlewares?: unknown[]; [key: string]: unknown };
  [key: string]: unknown;
};
type Router = { type?: string; prefix?: string; routes: Route[] };
export type RouterInput = Router | ((context: { strapi: Core.Strapi }) => Router);

/** Routes to add. Handlers are functions: a string would get a separate permission. */
export type RouteTable = (
  strapi: Core.Strapi
) => [method: string, path: string, handler: Action, config: object][];

/** A client whose access token has expired must be able to call these. No rate limit: a forged token costs no query. */
export const PUBLIC = { auth: false };

/** Any signed-in user, without a permission to enable in a role. */
export const SIGNED_IN = { auth: { scope: [] } };

/**
 * Adds routes to the plugin's content API, in place of its own routes with the same names.
 *
 * @param original `plugin.routes['content-api']`
 */
export const withAddedRoutes = (original: RouterInput, table: RouteTable): RouterInput =>
  withChangedRoutes(original, (routes, strapi) => {
    const added = table(strapi).map(([method, path, handler, config]) => ({
      method,
      path,
      // The admin panel gets the routes as JSON, and expects each to have a handler with a name.
      handler: Object.assign(handler, { toJSON: () => `refresh-token.${method} ${path}` }),
      config: { ...config, prefix: '' },
    }));
    const names = new Set(added.map(nameOf));
    return [...added, ...routes.filter((route) => !names.has(nameOf(route)))];
  });

/** @returns the route's method and path, such as `GET /users/me` */
export const nameOf = ({ method, path }: { method: string; path: string }) => `${method} ${path}`;

/**
 * Changes the routes of the plugin's content API. That API is a function that needs a loaded Strapi, so it is wrapped
 * lazily; before Strapi 5.20 it is an object. Projects read, extend and replace the list by its `routes` property, so that
 * stays reachable.
 *
 * @param original `plugin.routes['content-api']`
 * @see @strapi/utils dist/content-api-router.js
 */
export function withChangedRoutes(
  original: RouterInput,
  change: (routes: Route[], strapi: Core.Strapi) => Route[]
): RouterInput {
  if (typeof original !== 'function') {
    return { ...original, routes: change(original.routes, currentStrapi()) };
  }
  let routes: Route[] | undefined;
  const router = () => {
    const unchanged = original({ strapi: currentStrapi() });
    routes ??= change(unchanged.routes, currentStrapi());
    return { ...unchanged, routes };
  };
  Object.defineProperty(router, 'routes', {
    get: () => router().routes,
    set(replaced: Route[]) {
      routes = replaced;
    },
    enumerable: true,
  });
  return withPropertiesOf(router, original);
}

/** The routes may be read before any code of this extension has received `strapi`. */
const currentStrapi = () => (globalThis as unknown as { strapi: Core.Strapi }).strapi;

/**
 * Strapi's rate limit, applied as if the request had a different path. For a path that it does not know, the limiter builds
 * its key from `body.email`, which a caller can vary at will, and from the path as the caller wrote it. So give it a path
 * that it knows.
 *
 * @see @strapi/plugin-users-permissions server/src/middlewares/rateLimit.js
 */
export function limitedAs(strapi: Core.Strapi, knownPath: string) {
  let limiter: Core.MiddlewareHandler | undefined;
  return async (ctx: Context, next: () => Promise<unknown>) => {
    limiter ??= strapi.middleware('plugin::users-permissions.rateLimit')(
      {},
      { strapi }
    ) as Core.MiddlewareHandler;
    const { path } = ctx;
    ctx.path = strapi.config.get('api.rest.prefix') + knownPath;
    try {
      await limiter(ctx, async () => {
        ctx.path = path;
        await next();
      });
    } finally {
      ctx.path = path;
    }
  };
}
