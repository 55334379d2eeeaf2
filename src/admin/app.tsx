import type { StrapiApp } from '@strapi/strapi/admin';
import { addSessions } from './refresh-token';

export default {
  config: { locales: ['de'] },
  bootstrap(app: StrapiApp) {
    addSessions(app);
  },
};
