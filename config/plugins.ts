import type { Core } from '@strapi/strapi';

const config = ({ env }: Core.Config.Shared.ConfigParams): Core.Config.Plugin => ({
  'users-permissions': {
    config: {
      // Stock limits sign-ins to 10 a minute and address. The demo and the tests sign in more often than that, and raise
      // it by RATE_LIMIT_MAX; leave it unset everywhere else.
      ratelimit: {
        enabled: true,
        ...(env('RATE_LIMIT_MAX') && { max: env.int('RATE_LIMIT_MAX') }),
      },
    },
  },
});

export default config;
