import type { Core } from '@strapi/strapi';

const config = ({ env }: Core.Config.Shared.ConfigParams): Core.Config.Plugin => ({
  'users-permissions': {
    config: {
      // Strapi's default limit is 10 sign-ins per minute and address. The demo and the tests sign in more often and raise
      // it with RATE_LIMIT_MAX; leave it unset everywhere else.
      ratelimit: {
        enabled: true,
        ...(env('RATE_LIMIT_MAX') && { max: env.int('RATE_LIMIT_MAX') }),
      },
    },
  },
});

export default config;
