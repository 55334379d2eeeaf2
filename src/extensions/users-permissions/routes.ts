import type { Core } from '@strapi/strapi';
import { refresh, revoke } from './controllers/token';

type Router = { type?: string; prefix?: string; routes: object[] };
type RouterInput = Router | ((context: { strapi: Core.Strapi }) => Router);

/**
 * The routes that this extension adds. `auth: false`: a client whose access token has run out must get here. They need no
 * rate limiter: a forged token costs no query.
 */
const routes = (strapi: Core.Strapi) =>
  [
    ['POST', '/token/refresh', refresh(strapi), { auth: false }],
    ['POST', '/token/revoke', revoke(strapi), { auth: false }],
  ] as const;

/**
 * Adds them to the plugin's content API, which is a function that needs a loaded Strapi, so it is wrapped lazily.
 *
 * @param stock `plugin.routes['content-api']`
 */
export const withRoutes =
  (stock: RouterInput) =>
  ({ strapi }: { strapi: Core.Strapi }): Router => {
    const router = typeof stock === 'function' ? stock({ strapi }) : stock;
    const added = routes(strapi).map(([method, path, handler, config]) => ({
      method,
      path,
      handler,
      config: { ...config, prefix: '' },
    }));
    return { ...router, routes: [...added, ...router.routes] };
  };
