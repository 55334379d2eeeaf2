import type { Core } from '@strapi/strapi';

/** @returns whether the project's Strapi is a release of 5 before 5.`minor` */
export function isBefore(strapi: Core.Strapi, minor: number): boolean {
  const [, found] = /^5\.(\d+)/.exec(String(strapi.config.get('info.strapi'))) ?? [];
  return Number(found) < minor;
}

/**
 * Published vulnerabilities that concern who can sign in, by the minor release that fixes them.
 *
 * @see https://github.com/strapi/strapi/security/advisories, GHSA-rjg2-95x7-8qmx and GHSA-7mqx-wwh4-f9fw
 */
const VULNERABILITIES: [minor: number, cve: string, effect: string][] = [
  [
    37,
    'CVE-2026-27886',
    "queries of the content API can read administrators' private fields, such as the password reset token",
  ],
  [
    45,
    'CVE-2025-64526',
    'varying `email` in the body bypasses the rate limit of sign-in, password reset and password change',
  ],
];

/** @returns a sentence for each of them that the project's Strapi has */
export const publishedVulnerabilities = (strapi: Core.Strapi): string[] =>
  VULNERABILITIES.filter(([minor]) => isBefore(strapi, minor)).map(
    ([minor, cve, effect]) =>
      `Strapi ${strapi.config.get('info.strapi')} is vulnerable to ${cve}: ${effect}. Update to 5.${minor}.0 or later.`
  );
