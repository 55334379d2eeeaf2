import { formatDuration } from '../config/duration';
import type { Config } from '../types';

interface Setting {
  /** The environment variable. */
  name: string;
  /** The value in effect, never a secret. */
  value: string;
  description: string;
}

type Row = [name: string, value: string, description: string];

/** @returns the configuration in effect, variable by variable */
export function describeSettings(config: Config): Setting[] {
  const rows = [...tokenRows(config), ...cookieRows(config), ...sessionRows(config)];
  return rows.map(([name, value, description]) => ({ name, value, description }));
}

function tokenRows(config: Config): Row[] {
  const { keys } = config;
  return [
    [
      'REFRESH_SECRET',
      keys.length === 1 ? '1 key' : `${keys.length} keys`,
      'Signs refresh tokens. Of several keys, the first signs and all verify.',
    ],
    ['JWT_SECRET_EXPIRES', formatDuration(config.accessTtl), 'Lifetime of an access token.'],
    [
      'REFRESH_TOKEN_EXPIRES',
      formatDuration(config.idleTtl),
      'How long a session lasts without a refresh.',
    ],
    [
      'REFRESH_SESSION_EXPIRES',
      formatDuration(config.absoluteTtl),
      'The longest that a session can last.',
    ],
    [
      'REFRESH_TOKEN_GRACE',
      formatDuration(config.grace),
      'How long after a refresh the previous refresh token still works.',
    ],
    [
      'REFRESH_TOKEN_RESPONSE',
      config.response,
      "Where a sign-in puts the refresh token if the request doesn't say.",
    ],
  ];
}

function cookieRows({ cookie, allowedOrigins }: Config): Row[] {
  return [
    ['REFRESH_COOKIE_NAME', cookie.name, 'Name of the refresh cookie.'],
    [
      'REFRESH_COOKIE_SAMESITE',
      cookie.sameSite,
      'Whether browsers send the cookie with requests from other sites.',
    ],
    ['REFRESH_COOKIE_DOMAIN', cookie.domain ?? 'none', 'The domain that gets the cookie.'],
    ['REFRESH_COOKIE_SECURE', String(cookie.secure), 'Whether the cookie is sent only over HTTPS.'],
    [
      'REFRESH_COOKIE_PARTITIONED',
      String(cookie.partitioned),
      'Whether browsers keep the cookie for each top-level site separately.',
    ],
    [
      'REFRESH_ALLOWED_ORIGINS',
      allowedOrigins.join(', ') || 'none',
      'Front ends on other origins that may use the cookie.',
    ],
  ];
}

function sessionRows(config: Config): Row[] {
  return [
    [
      'REFRESH_SESSIONS_PER_USER',
      config.sessionsPerUser > 0 ? String(config.sessionsPerUser) : '0 (no limit)',
      'How many sessions a user can have.',
    ],
    [
      'REFRESH_TOKEN_ACCESS',
      String(config.tokenAccess),
      'Whether POST /token/access returns access tokens without a new refresh token.',
    ],
    [
      'JWT_REQUIRE_SESSION',
      String(config.requireSession),
      'Whether to reject access tokens that have no session.',
    ],
  ];
}
