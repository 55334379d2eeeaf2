import type { Core } from '@strapi/strapi';

/** @returns whether the project's Strapi is a release of 5 before 5.`minor` */
export function isBefore(strapi: Core.Strapi, minor: number): boolean {
  const [, found] = /^5\.(\d+)/.exec(String(strapi.config.get('info.strapi'))) ?? [];
  return Number(found) < minor;
}
