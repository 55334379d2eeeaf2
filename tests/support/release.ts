import { version } from '@strapi/strapi/package.json';

/** Whether the Strapi that is tested is of this release or newer: `npm run test:hosts` runs the suite on older ones. */
export const since = (release: string): boolean =>
  version.localeCompare(release, 'en', { numeric: true }) >= 0;
