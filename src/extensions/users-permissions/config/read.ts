import { createSecretKey, randomBytes } from 'crypto';
import type { KeyObject } from 'crypto';
import type { Transport } from '../types';

/** The first one signs, all verify. */
export type KeyRing = readonly [KeyObject, ...KeyObject[]];

/** What is in force. Durations are milliseconds. Keys are made once: a string secret costs jsonwebtoken far more a call. */
export interface Config {
  keys: KeyRing;
  accessLife: number;
  idleLife: number;
  absoluteLife: number;
  grace: number;
  response: Transport;
  sessionsPerUser: number;
  requireSession: boolean;
  /** Origins, or `https://*.example.com` for each host one label below. */
  allowedOrigins: readonly string[];
  /** Front ends on this machine pass the origin check, whatever their port and scheme. */
  allowLocalhost: boolean;
  cookie: {
    name: string;
    sameSite: 'lax' | 'strict' | 'none';
    domain: string | undefined;
    secure: boolean;
  };
}

interface Env {
  NODE_ENV?: string | undefined;
  ENV_PATH?: string | undefined;
  REFRESH_SECRET?: string | undefined;
  [name: string]: string | undefined;
}

/** Stops the boot. Says which variable, its value (never a secret's), what was expected, and an example. */
export class ConfigurationError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `The refresh-token extension cannot start:\n${problems.map((p) => `  - ${p}`).join('\n')}`
    );
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const LONGEST = 3650 * UNITS.d;

/**
 * Reads a duration. Digits alone are seconds, never milliseconds (jsonwebtoken reads the string '120' as milliseconds).
 *
 * @param text such as `360s`, `15m`, `12h`, `2d`, `360`
 * @returns milliseconds, or null if it is not a duration between 0 and ten years
 */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,12})([smhd]?)$/.exec(text);
  if (!match) return null;
  const duration = Number(match[1]) * UNITS[(match[2] || 's') as keyof typeof UNITS];
  return duration <= LONGEST ? duration : null;
}

/** @returns milliseconds as the shortest text that `parseDuration` reads back, for the boot log. */
export function formatDuration(duration: number): string {
  const unit = (['d', 'h', 'm'] as const).find((u) => duration > 0 && duration % UNITS[u] === 0);
  return `${duration / UNITS[unit ?? 's']}${unit ?? 's'}`;
}

/**
 * Reads and checks the environment, once at boot. All that is wrong is reported together.
 *
 * @param env the process's environment; an empty variable counts as absent
 * @param jwtSecret the secret of the access tokens, which no refresh secret may equal
 * @throws ConfigurationError
 */
export function readConfig(env: Env = process.env, jwtSecret?: string): Config {
  const problems: string[] = [];

  const text = (name: string) => env[name]?.trim() || undefined;
  const wrong = (name: string, expected: string, example: string) =>
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
    wrong(name, expected, fallback);
    return Number.NaN;
  };
  const oneOf = <T extends string>(name: string, allowed: readonly T[], fallback: T): T => {
    const value = text(name)?.toLowerCase() ?? fallback;
    const found = allowed.find((candidate) => candidate === value);
    if (!found) wrong(name, `one of ${allowed.join(', ')}`, fallback);
    return found ?? fallback;
  };
  const flag = (name: string, fallback: boolean) =>
    oneOf(name, ['true', 'false'], fallback ? 'true' : 'false') === 'true';

  const life = 'a duration from 1s to 3650d, such as 360s, 15m or 2d (digits alone are seconds)';
  const accessLife = duration('JWT_SECRET_EXPIRES', '360s', UNITS.s, LONGEST, life);
  const idleLife = duration('REFRESH_TOKEN_EXPIRES', '2d', UNITS.s, LONGEST, life);
  const absoluteLife = duration('REFRESH_SESSION_EXPIRES', '30d', UNITS.s, LONGEST, life);
  const grace = duration(
    'REFRESH_TOKEN_GRACE',
    '10s',
    0,
    UNITS.m,
    'a duration from 0 (off) to 60s'
  );
  if (accessLife >= idleLife) {
    problems.push(
      `JWT_SECRET_EXPIRES (${formatDuration(accessLife)}) must be shorter than REFRESH_TOKEN_EXPIRES (${formatDuration(idleLife)}): the refresh token has to outlive the access token. Example: JWT_SECRET_EXPIRES=360s`
    );
  }

  const perUser = text('REFRESH_SESSIONS_PER_USER') ?? '0';
  if (!/^\d{1,9}$/.test(perUser)) {
    wrong('REFRESH_SESSIONS_PER_USER', 'a whole number, 0 for no cap', '5');
  }

  const allowedOrigins = list(text('REFRESH_ALLOWED_ORIGINS'));
  problems.push(...allowedOrigins.flatMap(originProblems));

  const secure = flag('REFRESH_COOKIE_SECURE', env.NODE_ENV === 'production');
  const domain = text('REFRESH_COOKIE_DOMAIN');
  // Browsers accept a __Host- cookie from its own host only, so no sister host can plant one.
  const defaultName = secure && domain === undefined ? '__Host-refreshToken' : 'refreshToken';
  const cookie = {
    name: text('REFRESH_COOKIE_NAME') ?? defaultName,
    sameSite: oneOf('REFRESH_COOKIE_SAMESITE', ['lax', 'strict', 'none'] as const, 'lax'),
    domain,
    secure,
  };
  problems.push(...cookieProblems(cookie, allowedOrigins));

  const secrets = list(text('REFRESH_SECRET'));
  problems.push(...secretProblems(secrets, jwtSecret));

  const [signingKey, ...olderKeys] = secrets.map((secret) =>
    createSecretKey(Buffer.from(secret, 'utf8'))
  );
  const config = {
    accessLife,
    idleLife,
    absoluteLife,
    grace,
    response: oneOf('REFRESH_TOKEN_RESPONSE', ['cookie', 'body', 'both'] as const, 'cookie'),
    sessionsPerUser: Number(perUser),
    requireSession: flag('JWT_REQUIRE_SESSION', false),
    allowedOrigins,
    allowLocalhost: env.NODE_ENV === 'development',
    cookie,
  };
  if (problems.length > 0 || !signingKey) throw new ConfigurationError(problems);
  return { ...config, keys: [signingKey, ...olderKeys] };
}

/**
 * What is legal but doubtful.
 *
 * @param config as read
 * @param stockLife `jwt.expiresIn` of the plugin's configuration, which `JWT_SECRET_EXPIRES` overrides
 * @returns sentences for the log, each with its cure
 */
export function doubts(config: Config, stockLife: unknown): string[] {
  const { accessLife, idleLife, absoluteLife, cookie, response, allowedOrigins } = config;
  const found: [boolean, string][] = [
    [
      stockLife !== undefined && stockLife !== '30d',
      `jwt.expiresIn (${String(stockLife)}) of config/plugins is overridden by JWT_SECRET_EXPIRES (${formatDuration(accessLife)}). Remove it there.`,
    ],
    [
      accessLife > UNITS.h,
      `JWT_SECRET_EXPIRES is ${formatDuration(accessLife)}: a stolen access token is good for as long. Set it to an hour or less.`,
    ],
    [
      absoluteLife <= idleLife,
      `REFRESH_TOKEN_EXPIRES (${formatDuration(idleLife)}) never takes effect, because REFRESH_SESSION_EXPIRES (${formatDuration(absoluteLife)}) ends the session first. Set it below.`,
    ],
    [
      response === 'both',
      'REFRESH_TOKEN_RESPONSE=both answers a cookie and a body token of one session. A client that uses them separately triggers reuse detection: send both with every refresh, or choose cookie or body.',
    ],
    [
      !cookie.secure && !config.allowLocalhost && response !== 'body',
      'The refresh cookie is not Secure outside development. Set REFRESH_COOKIE_SECURE=true.',
    ],
    [
      cookie.domain !== undefined,
      `REFRESH_COOKIE_DOMAIN=${cookie.domain} sends the refresh cookie to every subdomain. Remove it unless each of them may read it.`,
    ],
    [
      allowedOrigins.some(
        (origin) =>
          /^http:/.test(origin) && !/^http:\/\/(localhost|127\.[\d.]+)(:\d+)?$/.test(origin)
      ),
      'REFRESH_ALLOWED_ORIGINS holds an origin without TLS, which anybody on its network can impersonate. Use https.',
    ],
  ];
  return found.filter(([doubtful]) => doubtful).map(([, sentence]) => sentence);
}

/** @returns what is in force, as one line for the boot log. */
export function describe(config: Config): string {
  const { cookie } = config;
  const sameSite = cookie.sameSite.replace(/^./, (letter) => letter.toUpperCase());
  return [
    `access token ${formatDuration(config.accessLife)}`,
    `refresh token ${formatDuration(config.idleLife)} idle, ${formatDuration(config.absoluteLife)} at most`,
    `grace ${formatDuration(config.grace)}`,
    `answered by ${config.response}`,
    `cookie ${cookie.name} (httpOnly, SameSite=${sameSite}${cookie.secure ? ', Secure' : ''})`,
    config.sessionsPerUser > 0 ? `${config.sessionsPerUser} sessions a user` : 'sessions uncapped',
    config.requireSession ? 'sessions required' : 'tokens without a session accepted',
  ].join(' · ');
}

/**
 * In development a missing REFRESH_SECRET is made, kept in `.env` and used, as Strapi does for its own JWT_SECRET.
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
  // The line before may not be ended: create-strapi's is not.
  append(file, `\nREFRESH_SECRET=${env.REFRESH_SECRET}\n`);
  return file;
}

const list = (text: string | undefined) =>
  (text ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean);

/** As the cookie library has it, which throws on anything else. */
const DOMAIN = /^\.?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

/** @returns whether a text is an origin as browsers send it, or one of an app shell, such as `capacitor://localhost` */
export function isOrigin(text: string): boolean {
  try {
    const { origin, protocol } = new URL(text);
    // The standard gives an app's own scheme no origin; what its web view sends is scheme and host.
    if (origin === 'null') return /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9.-]+$/.test(text);
    return /^https?:$/.test(protocol) && origin === text && !text.includes('*');
  } catch {
    return false;
  }
}

/**
 * @param origin as a browser sent it
 * @param allowed the entries of REFRESH_ALLOWED_ORIGINS
 */
export function matchesOrigin(origin: string, allowed: readonly string[]): boolean {
  return allowed.some((entry) => {
    const [scheme = '', rest] = entry.split('*.');
    if (rest === undefined) return entry === origin;
    // The star is one label: https://a.b.example.com is not below *.example.com.
    const label = origin.slice(scheme.length, -rest.length - 1);
    return origin === `${scheme}${label}.${rest}` && /^[a-z0-9-]+$/.test(label);
  });
}

/**
 * Domains below which anybody can have a host, so that `*.vercel.app` would let in every page on Vercel. Only the common
 * ones, to catch a mistake; https://publicsuffix.org has them all.
 */
const SHARED_DOMAINS = [
  'amplifyapp.com',
  'appspot.com',
  'azurestaticapps.net',
  'blogspot.com',
  'cloudfront.net',
  'csb.app',
  'deno.dev',
  'firebaseapp.com',
  'fly.dev',
  'framer.app',
  'github.dev',
  'github.io',
  'gitlab.io',
  'gitpod.io',
  'glitch.me',
  'herokuapp.com',
  'hosted.app',
  'loca.lt',
  'lovable.app',
  'netlify.app',
  'ngrok-free.app',
  'ngrok.app',
  'ngrok.io',
  'ondigitalocean.app',
  'onrender.com',
  'pages.dev',
  'railway.app',
  'repl.co',
  'replit.app',
  'replit.dev',
  'strapiapp.com',
  'surge.sh',
  'trycloudflare.com',
  'up.railway.app',
  'vercel.app',
  'web.app',
  'webflow.io',
  'workers.dev',
];

/** The same, and below every domain of theirs as well, such as a region's. */
const CLOUDS =
  /(^|\.)(amazonaws\.com|azurecontainerapps\.io|azurewebsites\.net|cloudapp\.net|run\.app|windows\.net)$/;

/** As in co.uk or com.br. */
const SHARED_COUNTRY_DOMAIN = /^(ac|co|com|edu|gob|gov|ne|net|nom|or|org)\.[a-z]{2}$/;

function originProblems(entry: string): string[] {
  const problem = (expected: string, example: string) => [
    `REFRESH_ALLOWED_ORIGINS holds "${entry}": ${expected}. Example: REFRESH_ALLOWED_ORIGINS=${example}`,
  ];
  if (!entry.includes('*')) {
    if (isOrigin(entry)) return [];
    return problem(
      'expected origins, scheme and host without a path or a trailing slash, separated by commas',
      'https://www.my-shop.com'
    );
  }

  const [, scheme = '', host = ''] = /^(https?:\/\/)\*\.(.+)$/.exec(entry) ?? [];
  if (!isOrigin(scheme + host)) {
    return problem(
      'a star may only be the whole first label of a host, without a path or a trailing slash',
      'https://*.my-shop.com'
    );
  }
  const { hostname } = new URL(scheme + host);
  const isShared =
    !hostname.includes('.') ||
    SHARED_DOMAINS.includes(hostname) ||
    CLOUDS.test(hostname) ||
    SHARED_COUNTRY_DOMAIN.test(hostname) ||
    /^[\d.]+$/.test(hostname);
  if (!isShared) return [];
  return problem(
    `anybody can have a host below ${hostname}, so name each front end`,
    `https://my-shop.${hostname}`
  );
}

function cookieProblems(cookie: Config['cookie'], allowedOrigins: readonly string[]): string[] {
  const { name, sameSite, domain, secure } = cookie;
  const found: [boolean, string][] = [
    [
      // RFC 6265, section 4.1.1: a token. The library keeps the signature beside it as `<name>.sig`.
      !/^[\w!#$%&'*+.^`|~-]+$/.test(name) || /\.sig$|^koa\.sess$|refreshTokenVisit$/i.test(name),
      `REFRESH_COOKIE_NAME="${name}": expected a cookie name of its own, letters, digits, "-" and "_". Example: REFRESH_COOKIE_NAME=__Host-refreshToken`,
    ],
    [
      domain !== undefined && !DOMAIN.test(domain),
      `REFRESH_COOKIE_DOMAIN="${domain}": expected a host name. Example: REFRESH_COOKIE_DOMAIN=my-shop.com`,
    ],
    [
      sameSite === 'none' && !secure,
      'REFRESH_COOKIE_SAMESITE=none needs REFRESH_COOKIE_SECURE=true: browsers refuse the cookie otherwise.',
    ],
    [
      sameSite === 'none' && allowedOrigins.length === 0,
      'REFRESH_COOKIE_SAMESITE=none sends the cookie from every site: name the front ends that may use it. Example: REFRESH_ALLOWED_ORIGINS=https://www.my-shop.com',
    ],
    [
      /^__Host-/i.test(name) && domain !== undefined,
      `REFRESH_COOKIE_NAME=${name} promises a cookie without a domain: remove REFRESH_COOKIE_DOMAIN or the prefix.`,
    ],
    [
      /^__(Host|Secure)-/i.test(name) && !secure,
      `REFRESH_COOKIE_NAME=${name} promises a Secure cookie: set REFRESH_COOKIE_SECURE=true or drop the prefix.`,
    ],
  ];
  return found.filter(([broken]) => broken).map(([, sentence]) => sentence);
}

function secretProblems(secrets: readonly string[], jwtSecret: string | undefined): string[] {
  const make = 'Make one with: openssl rand -base64 32';
  if (secrets.length === 0) {
    return [`REFRESH_SECRET is missing: expected at least 32 random characters. ${make}`];
  }

  return secrets.flatMap((secret, index) => {
    const which =
      secrets.length > 1 ? `REFRESH_SECRET (number ${index + 1} of the list)` : 'REFRESH_SECRET';
    if (secret.length < 32) {
      return [`${which} has ${secret.length} characters: expected at least 32. ${make}`];
    }
    if (
      /^(.)\1*$/.test(secret) ||
      /tobemodified|changeme|placeholder|example|your[-_]/i.test(secret)
    ) {
      return [`${which} is a placeholder: expected random characters. ${make}`];
    }
    if (secret === jwtSecret) {
      return [
        `${which} equals the JWT secret: expected one of its own, so that no token is taken for one of another kind. ${make}`,
      ];
    }
    return [];
  });
}
