import { version } from '@strapi/strapi/package.json';

/** Whether this Strapi is of a release or newer: `npm run test:strapi-versions` runs the suite on older ones. */
export const since = (release: string): boolean =>
  version.localeCompare(release, 'en', { numeric: true }) >= 0;
