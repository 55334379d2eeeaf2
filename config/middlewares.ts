import type { Core } from '@strapi/strapi';

const config: Core.Config.Middlewares = [
  'strapi::logger',
  'strapi::errors',
  'strapi::security',
  {
    name: 'strapi::cors',
    config: {
      // The header by which front ends of Strapi's own refresh mode ask for the cookie.
      headers: ['Content-Type', 'Authorization', 'Origin', 'Accept', 'x-strapi-refresh-cookie'],
    },
  },
  'strapi::poweredBy',
  'strapi::query',
  'strapi::body',
  'strapi::session',
  'strapi::favicon',
  'strapi::public',
];

export default config;
