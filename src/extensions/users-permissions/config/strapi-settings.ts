import type { Config } from '../types';
import { formatDuration, parseDuration } from './duration';
import { hasUnusedKeys } from './jwt-keys';
import type { JwtSettings } from './jwt-keys';

/** The plugin's configuration, as far as it is read here. */
export interface Settings {
  jwt?: JwtSettings;
  sessions?: unknown;
}

/** A variable of this extension, its value in effect, and how a value of Strapi's setting converts to it. */
type Counterpart = [variable: string, inForce: string, convert: (value: unknown) => string | null];

const LONGEST = '3650d';

/** Strapi's durations are in seconds. */
function duration(seconds: unknown): string | null {
  const milliseconds = Math.ceil(Number(seconds)) * 1000;
  if (!(milliseconds > 0)) return null;
  return parseDuration(String(milliseconds / 1000)) === null
    ? LONGEST
    : formatDuration(milliseconds);
}
const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
const sameSite = (value: unknown): string | null =>
  value === true ? 'strict' : (text(value)?.toLowerCase() ?? null);
const flag = (value: unknown): string | null => (typeof value === 'boolean' ? `${value}` : null);
const transport = (value: unknown): string => (value ? 'cookie' : 'body');

/** @see @strapi/plugin-users-permissions server/src/bootstrap/index.js and server/src/utils/refresh-cookie-options.js */
const counterparts = ({
  accessTtl,
  idleTtl,
  absoluteTtl,
  response,
  cookie,
}: Config): Record<string, Counterpart> => ({
  accessTokenLifespan: ['JWT_SECRET_EXPIRES', formatDuration(accessTtl), duration],
  idleRefreshTokenLifespan: ['REFRESH_TOKEN_EXPIRES', formatDuration(idleTtl), duration],
  maxRefreshTokenLifespan: ['REFRESH_SESSION_EXPIRES', formatDuration(absoluteTtl), duration],
  httpOnly: ['REFRESH_TOKEN_RESPONSE', response, transport],
  'cookie.name': ['REFRESH_COOKIE_NAME', cookie.name, text],
  'cookie.sameSite': ['REFRESH_COOKIE_SAMESITE', cookie.sameSite, sameSite],
  'cookie.secure': ['REFRESH_COOKIE_SECURE', String(cookie.secure), flag],
  'cookie.domain': ['REFRESH_COOKIE_DOMAIN', cookie.domain ?? 'not set', text],
});

/** Settings without a counterpart, and why. */
const WITHOUT_COUNTERPART: Record<string, string> = {
  idleSessionLifespan: 'Strapi does not use it for users either',
  maxSessionLifespan: 'Strapi does not use it for users either',
  'cookie.maxAge': 'The cookie expires with its refresh token (REFRESH_TOKEN_EXPIRES)',
  'cookie.path': 'The path of the cookie is always /',
};

/**
 * Settings of Strapi's own refresh mode that a project has kept and that have no effect here.
 *
 * @param settings the plugin's configuration
 * @param defaults `sessions` as Strapi merges them into it
 * @param config as read
 * @returns a sentence for each, with the variable to set instead
 */
export function unusedSettings(settings: Settings, defaults: unknown, config: Config): string[] {
  const byDefault = flat(defaults);
  const known = counterparts(config);
  const unused = Object.entries(flat(settings.sessions)).flatMap(([name, value]) =>
    value === undefined || value === null || value === byDefault[name]
      ? []
      : `sessions.${name} of users-permissions in config/plugins has no effect. ${cure(name, known[name], value)} remove it there.`
  );
  if (!hasUnusedKeys(settings.jwt)) return unused;
  return [
    ...unused,
    'jwt.privateKey and jwt.publicKey of users-permissions in config/plugins have no effect, because jwt.algorithm there uses a secret (the default is HS256). Set RS256, for example, or remove the keys.',
  ];
}

function cure(name: string, counterpart: Counterpart | undefined, value: unknown): string {
  if (!counterpart) return `${WITHOUT_COUNTERPART[name] ?? 'This extension has no equivalent'}, so`;
  const [variable, inForce, convert] = counterpart;
  const converted = convert(value);
  if (converted === inForce) return `${variable} is already ${inForce}, so`;
  return `Set ${variable}${converted === null ? '' : `=${converted}`} (currently ${inForce}) and`;
}

/** By name, those of the cookie as `cookie.name`. */
function flat(sessions: unknown): Record<string, unknown> {
  const { cookie, ...others } = (sessions ?? {}) as { cookie?: object };
  const ofCookie = Object.entries(cookie ?? {}).map(([name, value]) => [`cookie.${name}`, value]);
  return { ...others, ...Object.fromEntries(ofCookie) };
}
