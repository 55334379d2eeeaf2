import type { Core } from '@strapi/strapi';
import type { Action } from './http/response';
import * as sessions from './controllers/sessions';
import * as token from './controllers/token';
import type { Context } from './types';
import { withPropertiesOf } from './wrap';

type Route = {
  method: string;
  path: string;
  config?: { middlewares?: unknown[]; [key: string]: unknown };
  [key: string]: unknown;
};
type Router = { type?: string; prefix?: string; routes: Route[] };
type RouterInput = Router | ((context: { strapi: Core.Strapi }) => Router);

/** A client whose access token has run out must get here. No rate limiter: a forged token costs no query. */
const PUBLIC = { auth: false };

/** Any signed-in user, without a tick in a role: an existing project gets no new permissions. */
const SIGNED_IN = { auth: { scope: [] } };

/** The stock login by another path: its permission, and its rate limit. */
const login = (strapi: Core.Strapi) => ({
  auth: { scope: ['plugin::users-permissions.auth.callback'] },
  middlewares: [limitedAs(strapi, '/auth/local')],
});

/** Strapi limits the way to a provider, but not the callback that signs in. One limit for all providers of an address. */
const PROVIDER_CALLBACK = 'GET /auth/:provider/callback';
const limitProviders = (strapi: Core.Strapi) => limitedAs(strapi, '/connect/callback');

/** Every route that is added or replaced. Handlers are functions: a string would be given a permission of its own. */
const table = (strapi: Core.Strapi): [string, string, Action, object][] => [
  ['POST', '/token/refresh', token.refresh(strapi), PUBLIC],
  ['POST', '/token/revoke', token.revoke(strapi), PUBLIC],
  ['GET', '/users/me/sessions', sessions.list(strapi), SIGNED_IN],
  ['DELETE', '/users/me/sessions', sessions.endAll(strapi), SIGNED_IN],
  ['DELETE', '/users/me/sessions/:id', sessions.end(strapi), SIGNED_IN],

  // The names that front ends of strapi-plugin-refresh-token call,
  ['POST', '/auth/local/refresh', token.refresh(strapi), PUBLIC],

  // those of strapi-plugin-refreshing,
  ['POST', '/auth/token/request', token.request(strapi), login(strapi)],
  ['POST', '/auth/token', token.refresh(strapi, 'token'), PUBLIC],
  ['POST', '/auth/revoke', token.revoke(strapi, 'token'), PUBLIC],

  // and those of Strapi's own refresh mode, with its sentences.
  ['POST', '/auth/refresh', token.refreshAsStock(strapi), PUBLIC],
  ['POST', '/auth/logout', token.logout(strapi), PUBLIC],
  ['GET', '/auth/sessions', sessions.listAsStock(strapi), SIGNED_IN],
  ['DELETE', '/auth/sessions/:sessionId', sessions.endAsStock(strapi), SIGNED_IN],
];

/**
 * Adds the table to the plugin's content API, in place of the stock routes of the same names. That API is a function that
 * needs a loaded Strapi, so it is wrapped lazily; before Strapi 5.20 it is an object. Projects read, extend and replace the
 * list by its `routes`, so that is passed through.
 *
 * @param stock `plugin.routes['content-api']`
 * @see @strapi/utils dist/content-api-router.js
 */
export function withRoutes(stock: RouterInput): RouterInput {
  if (typeof stock !== 'function') return extended(stock, strapiOfProcess());

  let routes: Route[] | undefined;
  const router = () => {
    const original = stock({ strapi: strapiOfProcess() });
    routes ??= extended(original, strapiOfProcess()).routes;
    return { ...original, routes };
  };
  Object.defineProperty(router, 'routes', {
    get: () => router().routes,
    set(replaced: Route[]) {
      routes = replaced;
    },
    enumerable: true,
  });
  return withPropertiesOf(router, stock);
}

/** The routes may be asked for before Strapi hands itself to anybody. */
const strapiOfProcess = () => (globalThis as unknown as { strapi: Core.Strapi }).strapi;

function extended(router: Router, strapi: Core.Strapi): Router {
  const ours = table(strapi).map(([method, path, handler, config]) => ({
    method,
    path,
    // The admin panel gets the routes as JSON, and expects of each a handler with a name.
    handler: Object.assign(handler, { toJSON: () => `refresh-token.${method} ${path}` }),
    config: { ...config, prefix: '' },
  }));
  const names = new Set(ours.map(nameOf));
  const others = router.routes.filter((route) => !names.has(nameOf(route)));
  return {
    ...router,
    routes: [
      ...ours,
      ...others.map((route) =>
        nameOf(route) === PROVIDER_CALLBACK ? limited(route, limitProviders(strapi)) : route
      ),
    ],
  };
}

const nameOf = ({ method, path }: { method: string; path: string }) => `${method} ${path}`;

function limited(route: Route, limiter: unknown): Route {
  const { config } = route;
  return {
    ...route,
    config: { ...config, middlewares: [limiter, ...(config?.middlewares ?? [])] },
  };
}

/**
 * The stock limiter keys a path that it does not know by `body.email`, which a caller can vary at will, and by the path as
 * it was written: it is shown a path that it knows. On the callback of a provider there is no body.
 *
 * @see @strapi/plugin-users-permissions server/src/middlewares/rateLimit.js
 */
function limitedAs(strapi: Core.Strapi, shownPath: string) {
  let limiter: Core.MiddlewareHandler | undefined;
  return async (ctx: Context, next: () => Promise<unknown>) => {
    limiter ??= strapi.middleware('plugin::users-permissions.rateLimit')(
      {},
      { strapi }
    ) as Core.MiddlewareHandler;
    const { path } = ctx;
    ctx.path = strapi.config.get('api.rest.prefix') + shownPath;
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
