import { createSecretKey, randomBytes } from 'crypto';
import { ConfigurationError } from '../errors';
import type { Config } from '../types';
import { cookieProblems, secretProblems, ttlProblems } from './checks';
import { formatDuration, LONGEST, parseDuration, UNITS } from './duration';
import { originProblems } from './origins';

interface Env {
  NODE_ENV?: string | undefined;
  ENV_PATH?: string | undefined;
  REFRESH_SECRET?: string | undefined;
  [name: string]: string | undefined;
}

/**
 * Reads and checks the environment, once at boot. All problems are reported together.
 *
 * @param env the process's environment; an empty variable counts as absent
 * @param jwtSecret the secret of the access tokens, which every refresh secret must differ from
 * @throws ConfigurationError
 */
export function readConfig(env: Env = process.env, jwtSecret?: string): Config {
  const variables = readVariables(env);
  const { problems, text, duration, oneOf, flag } = variables;

  const ttl = 'a duration from 1s to 3650d, such as 360s, 15m or 2d (digits alone are seconds)';
  const accessTtl = duration('JWT_SECRET_EXPIRES', '360s', UNITS.s, LONGEST, ttl);
  const idleTtl = duration('REFRESH_TOKEN_EXPIRES', '2d', UNITS.s, LONGEST, ttl);
  const absoluteTtl = duration('REFRESH_SESSION_EXPIRES', '30d', UNITS.s, LONGEST, ttl);
  const upToAMinute = 'a duration from 0 (off) to 60s';
  const grace = duration('REFRESH_TOKEN_GRACE', '10s', 0, UNITS.m, upToAMinute);
  problems.push(...ttlProblems(accessTtl, idleTtl));

  const perUser = text('REFRESH_SESSIONS_PER_USER') ?? '0';
  if (!/^\d{1,9}$/.test(perUser)) {
    variables.reject('REFRESH_SESSIONS_PER_USER', 'a whole number (0 means no limit)', '5');
  }

  const allowedOrigins = list(text('REFRESH_ALLOWED_ORIGINS'));
  problems.push(...allowedOrigins.flatMap(originProblems));

  const cookie = readCookieSettings(variables, env.NODE_ENV === 'production');
  problems.push(...cookieProblems(cookie, allowedOrigins));

  const secrets = list(text('REFRESH_SECRET'));
  problems.push(...secretProblems(secrets, jwtSecret));

  const [signingKey, ...olderKeys] = secrets.map((secret) =>
    createSecretKey(Buffer.from(secret, 'utf8'))
  );
  const config = {
    accessTtl,
    idleTtl,
    absoluteTtl,
    grace,
    response: oneOf('REFRESH_TOKEN_RESPONSE', ['cookie', 'body', 'both'] as const, 'cookie'),
    sessionsPerUser: Number(perUser),
    tokenAccess: flag('REFRESH_TOKEN_ACCESS', false),
    requireSession: flag('JWT_REQUIRE_SESSION', false),
    allowedOrigins,
    allowLocalhost: env.NODE_ENV === 'development',
    cookie,
  };
  if (problems.length > 0 || !signingKey) throw new ConfigurationError(problems);
  return { ...config, keys: [signingKey, ...olderKeys] };
}

/** For GraphQL, whose schema is built before the configuration is loaded. @returns whether `/token/access` exists */
export const isTokenAccessEnabled = (env: Env = process.env): boolean =>
  readVariables(env).flag('REFRESH_TOKEN_ACCESS', false);

type Variables = ReturnType<typeof readVariables>;

/** Reads variables one at a time, and collects what is wrong with them in `problems`. */
function readVariables(env: Env) {
  const problems: string[] = [];

  const text = (name: string) => env[name]?.trim() || undefined;
  const reject = (name: string, expected: string, example: string) =>
    problems.push(`${name}="${text(name)}": expected ${expected}. Example: ${name}=${example}`);

  const duration = (
    name: string,
    fallback: string,
    least: number,
    most: number,
    expected: string
  ) => {
    const value = parseDuration(text(name) ?? fallback);
    if (value !== null && value >= least && value <= most) return value;
    reject(name, expected, fallback);
    return Number.NaN;
  };
  const oneOf = <T extends string>(name: string, allowed: readonly T[], fallback: T): T => {
    const value = text(name)?.toLowerCase() ?? fallback;
    const found = allowed.find((candidate) => candidate === value);
    if (!found) reject(name, `one of ${allowed.join(', ')}`, fallback);
    return found ?? fallback;
  };
  const flag = (name: string, fallback: boolean) =>
    oneOf(name, ['true', 'false'], fallback ? 'true' : 'false') === 'true';

  return { problems, text, reject, duration, oneOf, flag };
}

function readCookieSettings({ text, oneOf, flag }: Variables, inProduction: boolean) {
  const secure = flag('REFRESH_COOKIE_SECURE', inProduction);
  const domain = text('REFRESH_COOKIE_DOMAIN');
  // Browsers accept a __Host- cookie from its own host only, so no sibling host can plant one.
  const defaultName = secure && domain === undefined ? '__Host-refreshToken' : 'refreshToken';
  return {
    name: text('REFRESH_COOKIE_NAME') ?? defaultName,
    sameSite: oneOf('REFRESH_COOKIE_SAMESITE', ['lax', 'strict', 'none'] as const, 'lax'),
    domain,
    secure,
    partitioned: flag('REFRESH_COOKIE_PARTITIONED', false),
  };
}

/** @returns the settings in effect, as one line for the boot log. */
export function describe(config: Config): string {
  const { cookie } = config;
  const sameSite = cookie.sameSite.replace(/^./, (letter) => letter.toUpperCase());
  const attributes = [
    'httpOnly',
    `SameSite=${sameSite}`,
    ...(cookie.secure ? ['Secure'] : []),
    ...(cookie.partitioned ? ['Partitioned'] : []),
  ];
  return [
    `access token ${formatDuration(config.accessTtl)}`,
    `refresh token ${formatDuration(config.idleTtl)} idle, ${formatDuration(config.absoluteTtl)} at most`,
    `grace ${formatDuration(config.grace)}`,
    `response: ${config.response}`,
    `cookie ${cookie.name} (${attributes.join(', ')})`,
    config.sessionsPerUser > 0
      ? `${config.sessionsPerUser} sessions per user`
      : 'unlimited sessions',
    config.requireSession ? 'sessions required' : 'tokens without a session accepted',
    ...(config.tokenAccess ? ['/token/access enabled'] : []),
  ].join(' · ');
}

/**
 * In development, generates a missing REFRESH_SECRET, saves it to `.env` and uses it, as Strapi does with its own
 * JWT_SECRET.
 *
 * @param append writes a line to a file of the project
 * @returns the file that the secret was written to, or null if there was nothing to do
 */
export function ensureDevelopmentSecret(
  append: (file: string, line: string) => void,
  env: Env = process.env
): string | null {
  if (env.REFRESH_SECRET?.trim() || env.NODE_ENV !== 'development') return null;

  env.REFRESH_SECRET = randomBytes(32).toString('base64');
  const file = env.ENV_PATH || '.env';
  // The file may lack a final newline, as create-strapi's does.
  append(file, `\nREFRESH_SECRET=${env.REFRESH_SECRET}\n`);
  return file;
}

const list = (text: string | undefined) =>
  (text ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean);
