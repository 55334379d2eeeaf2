import type { Config } from '../types';
import { formatDuration, UNITS } from './duration';

/**
 * Settings that are valid but questionable.
 *
 * @param config as read
 * @param originalTtl `jwt.expiresIn` of the plugin's configuration, which `JWT_SECRET_EXPIRES` overrides
 * @returns a warning for each, with its fix
 */
export function configWarnings(config: Config, originalTtl: unknown): string[] {
  const { accessTtl, idleTtl, absoluteTtl, cookie, response, allowedOrigins } = config;
  const found: [boolean, string][] = [
    [
      originalTtl !== undefined && originalTtl !== '30d',
      `jwt.expiresIn (${String(originalTtl)}) of config/plugins is overridden by JWT_SECRET_EXPIRES (${formatDuration(accessTtl)}). Remove it there.`,
    ],
    [
      accessTtl > UNITS.h,
      `JWT_SECRET_EXPIRES is ${formatDuration(accessTtl)}: a stolen access token stays usable for that long. Set it to an hour or less.`,
    ],
    [
      absoluteTtl <= idleTtl,
      `REFRESH_TOKEN_EXPIRES (${formatDuration(idleTtl)}) never takes effect, because REFRESH_SESSION_EXPIRES (${formatDuration(absoluteTtl)}) ends the session first. Set REFRESH_TOKEN_EXPIRES to less than that.`,
    ],
    [
      response === 'both',
      'REFRESH_TOKEN_RESPONSE=both returns the refresh token of one session in a cookie and in the body. A client that uses both separately triggers reuse detection. Send both with every refresh, or set it to cookie or body.',
    ],
    [
      !cookie.secure && !config.allowLocalhost && response !== 'body',
      'The refresh cookie is not Secure outside development. Set REFRESH_COOKIE_SECURE=true.',
    ],
    [
      cookie.domain !== undefined,
      `REFRESH_COOKIE_DOMAIN=${cookie.domain} sends the refresh cookie to every subdomain. Remove it unless you trust every subdomain with the token.`,
    ],
    [
      allowedOrigins.some(
        (origin) =>
          /^http:/.test(origin) && !/^http:\/\/(localhost|127\.[\d.]+)(:\d+)?$/.test(origin)
      ),
      'REFRESH_ALLOWED_ORIGINS contains an origin without TLS, which anyone on its network can impersonate. Use https.',
    ],
  ];
  return found.filter(([doubtful]) => doubtful).map(([, sentence]) => sentence);
}

/** @returns what is wrong with the lifetimes, in milliseconds */
export function ttlProblems(accessTtl: number, idleTtl: number): string[] {
  if (!(accessTtl >= idleTtl)) return [];
  return [
    `JWT_SECRET_EXPIRES (${formatDuration(accessTtl)}) must be shorter than REFRESH_TOKEN_EXPIRES (${formatDuration(idleTtl)}): the refresh token has to outlive the access token. Example: JWT_SECRET_EXPIRES=360s`,
  ];
}

/** The cookie library's own pattern. It throws on anything else. */
const DOMAIN = /^\.?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

/** @returns what is wrong with the cookie's settings */
export function cookieProblems(
  cookie: Config['cookie'],
  allowedOrigins: readonly string[]
): string[] {
  const { name, sameSite, domain, secure, partitioned } = cookie;
  const found: [boolean, string][] = [
    [
      // RFC 6265, section 4.1.1: a token. The library stores the signature in another cookie, `<name>.sig`.
      !/^[\w!#$%&'*+.^`|~-]+$/.test(name) || /\.sig$|^koa\.sess$|refreshTokenVisit$/i.test(name),
      `REFRESH_COOKIE_NAME="${name}": expected a cookie name that nothing else uses, of letters, digits, "-" and "_". Example: REFRESH_COOKIE_NAME=__Host-refreshToken`,
    ],
    [
      domain !== undefined && !DOMAIN.test(domain),
      `REFRESH_COOKIE_DOMAIN="${domain}": expected a host name. Example: REFRESH_COOKIE_DOMAIN=my-shop.com`,
    ],
    [
      sameSite === 'none' && !secure,
      'REFRESH_COOKIE_SAMESITE=none requires REFRESH_COOKIE_SECURE=true: otherwise browsers reject the cookie.',
    ],
    [
      sameSite === 'none' && allowedOrigins.length === 0,
      'REFRESH_COOKIE_SAMESITE=none sends the cookie with requests from every site. List the front ends that may use it. Example: REFRESH_ALLOWED_ORIGINS=https://www.my-shop.com',
    ],
    [
      partitioned && sameSite !== 'none',
      'REFRESH_COOKIE_PARTITIONED=true is for a front end on another site, and requires REFRESH_COOKIE_SAMESITE=none. Set that, or remove REFRESH_COOKIE_PARTITIONED.',
    ],
    [
      /^__Host-/i.test(name) && domain !== undefined,
      `REFRESH_COOKIE_NAME=${name}: a cookie with this prefix cannot have a domain. Remove REFRESH_COOKIE_DOMAIN or the prefix.`,
    ],
    [
      /^__(Host|Secure)-/i.test(name) && !secure,
      `REFRESH_COOKIE_NAME=${name}: a cookie with this prefix must be Secure. Set REFRESH_COOKIE_SECURE=true or remove the prefix.`,
    ],
  ];
  return found.filter(([broken]) => broken).map(([, sentence]) => sentence);
}

/** @returns what is wrong with the secrets, without saying what they are */
export function secretProblems(
  secrets: readonly string[],
  jwtSecret: string | undefined
): string[] {
  const generate = 'Generate one with: openssl rand -base64 32';
  if (secrets.length === 0) {
    return [`REFRESH_SECRET is missing: expected at least 32 random characters. ${generate}`];
  }

  return secrets.flatMap((secret, index) => {
    const which =
      secrets.length > 1 ? `REFRESH_SECRET (entry ${index + 1} of the list)` : 'REFRESH_SECRET';
    if (secret.length < 32) {
      return [`${which} has ${secret.length} characters: expected at least 32. ${generate}`];
    }
    if (
      /^(.)\1*$/.test(secret) ||
      /tobemodified|changeme|placeholder|example|your[-_]/i.test(secret)
    ) {
      return [`${which} is a placeholder: expected random characters. ${generate}`];
    }
    if (secret === jwtSecret) {
      return [
        `${which} equals the JWT secret: expected a different one, so that a token of one kind cannot pass for the other. ${generate}`,
      ];
    }
    return [];
  });
}
