import { appendFileSync, chmodSync } from 'fs';
import { resolve } from 'path';
import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import { configWarnings } from './config/checks';
import { LONGEST } from './config/duration';
import { JWT } from './config/jwt-keys';
import { describe, ensureDevelopmentSecret } from './config/read';
import { publishedVulnerabilities } from './config/release';
import { unusedSettings } from './config/strapi-settings';
import type { Settings } from './config/strapi-settings';
import { ConfigurationError } from './errors';
import { originalPlugin } from './original-plugin';
import { policy } from './policy';
import { getService } from './services/get-service';
import { USER_UID } from './sessions/database';
import type { Config } from './types';

/**
 * Loads the configuration, once per boot. Runs after the plugin's own bootstrap, which in development creates the JWT
 * secret.
 *
 * @returns the configuration in effect
 * @throws ConfigurationError which stops the boot
 */
export function loadConfig(strapi: Core.Strapi): Config {
  const release = String(strapi.config.get('info.strapi'));
  if (!/^5\.(?!0\.0-)/.test(release)) {
    throw new ConfigurationError([
      `The refresh-token extension requires Strapi 5, but this project runs Strapi ${release}. Remove src/extensions/users-permissions, or use a version of the extension for this release.`,
    ]);
  }
  if (strapi.config.get('plugin::users-permissions.jwtManagement') === 'refresh') {
    throw new ConfigurationError([
      "config/plugins sets jwtManagement: 'refresh' for users-permissions, which would create Strapi's own sessions alongside these. Remove that line, or set it to 'legacy-support'.",
    ]);
  }
  const file = ensureDevelopmentSecret((path, line) => appendSecret(strapi, path, line));
  if (file) {
    strapi.log.info(
      `[refresh-token] REFRESH_SECRET was missing. Generated one and saved it to ${file}.`
    );
  }

  const { config } = getService(strapi, 'refresh-session');
  if (config.cookie.partitioned && !writesPartitioned(strapi)) {
    throw new ConfigurationError([
      'REFRESH_COOKIE_PARTITIONED=true has no effect with the cookie library of this Strapi, which is too old. Update Strapi, or remove the variable.',
    ]);
  }
  return config;
}

/** @returns whether Strapi's cookie library knows the attribute: it silently ignores one that it does not know */
function writesPartitioned(strapi: Core.Strapi): boolean {
  let written = '';
  const response = {
    getHeader: () => undefined,
    setHeader: (_name: string, lines: unknown) => void (written = String(lines)),
  };
  const ctx = strapi.server.app.createContext({ headers: {}, socket: {} } as any, response as any);
  ctx.cookies.set('name', 'value', { signed: false, partitioned: true } as object);
  return /partitioned/i.test(written);
}

function appendSecret(strapi: Core.Strapi, path: string, line: string): void {
  const file = resolve(strapi.dirs.app.root, path);
  appendFileSync(file, line, { mode: 0o600 });
  try {
    // Strapi may have just created the file, readable by everyone.
    chmodSync(file, 0o600);
  } catch (error) {
    strapi.log.warn(
      `[refresh-token] Could not make ${path} readable by its owner only. It contains secrets, so restrict its permissions: ${error}`
    );
  }
}

/**
 * Logs one warning for each questionable setting, and one line with the settings in effect.
 *
 * @throws ConfigurationError for keys that cannot sign an access token, which stops the boot
 */
export async function logConfig(strapi: Core.Strapi, config: Config): Promise<void> {
  const warnings = await collectWarnings(strapi, config);
  for (const warning of warnings) strapi.log.warn(`[refresh-token] ${warning}`);
  const decided = Object.keys(policy);
  const about = decided.length > 0 ? ` · policy: ${decided.join(', ')}` : '';
  strapi.log.info(`[refresh-token] ${describe(config)}${about}`);
}

/**
 * @returns a warning for each questionable setting
 * @throws ConfigurationError for keys that cannot sign an access token
 */
export async function collectWarnings(strapi: Core.Strapi, config: Config): Promise<string[]> {
  const settings = strapi.config.get('plugin::users-permissions') as Settings;
  const warnings = [
    getService(strapi, 'jwt').probe(),
    ...configWarnings(config, settings.jwt?.expiresIn),
    ...unusedSettings(settings, originalPlugin?.sessions, config),
    ...publishedVulnerabilities(strapi),
    config.requireSession ? null : await olderTokensWarning(strapi),
  ];
  return warnings.filter((warning): warning is string => warning !== null);
}

/**
 * Access tokens from before the extension was installed cannot be revoked. The first boot stores when the last of them can
 * expire.
 */
async function olderTokensWarning(strapi: Core.Strapi): Promise<string | null> {
  const store = strapi.store({ type: 'plugin', name: 'users-permissions', key: 'refresh-session' });
  let known = (await store.get({})) as { olderTokensEnd: number | null } | null;
  if (!known) {
    const users = await strapi.db.query(USER_UID).count();
    // Without users, there are no tokens.
    known = { olderTokensEnd: users > 0 ? Date.now() + originalTokenTtl(strapi) : null };
    await store.set({ value: known });
  }
  if (known.olderTokensEnd === null || known.olderTokensEnd <= Date.now()) return null;

  const end = new Date(known.olderTokensEnd).toISOString();
  return `Access tokens issued before this extension was installed cannot be revoked. The last of them can be valid until ${end}. To reject them now, set JWT_REQUIRE_SESSION=true.`;
}

/** @returns the lifetime of an access token under `jwt.expiresIn`, in milliseconds; ten years if it is missing or invalid */
function originalTokenTtl(strapi: Core.Strapi): number {
  const { expiresIn } = (strapi.config.get(JWT) ?? {}) as jwt.SignOptions;
  if (expiresIn === undefined) return LONGEST;
  try {
    const { iat, exp } = jwt.decode(jwt.sign({}, 'to measure', { expiresIn })) as jwt.JwtPayload;
    return (exp! - iat!) * 1000;
  } catch {
    return LONGEST;
  }
}
