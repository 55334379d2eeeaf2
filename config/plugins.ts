import type { Core } from '@strapi/strapi';

const config = ({ env }: Core.Config.Shared.ConfigParams): Core.Config.Plugin => ({
  'users-permissions': {
    config: {
      // Stock limits sign-ins to 5 in 5 minutes an address. The demo and the tests sign in more often than that and raise
      // it by RATE_LIMIT_MAX; leave it unset everywhere else.
      ratelimit: { interval: { min: 5 }, max: env.int('RATE_LIMIT_MAX', 5) },
    },
  },
});

export default config;
