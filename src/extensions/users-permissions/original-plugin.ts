import { env } from '@strapi/utils';

/**
 * The plugin before any change: its jwt service, and the defaults that Strapi merges into a project's settings. Undefined
 * if they cannot be loaded.
 *
 * @see @strapi/core dist/loaders/plugins/index.js, applyUserConfig
 */
export const originalPlugin: { jwt: unknown; sessions: unknown } | undefined = (() => {
  try {
    // At load time, because a project may later put its own service into this very object. The module has no types.
    const { services, config } = module.require('@strapi/plugin-users-permissions/strapi-server')();
    return { jwt: services.jwt, sessions: config.default({ env }).sessions };
  } catch {
    return undefined;
  }
})();
