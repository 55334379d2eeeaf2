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
import { getService } from './services/get-service';
import { USER_UID } from './sessions/database';
import type { Config } from './types';

/**
 * Has the configuration read, once for this boot. Runs after the plugin's own bootstrap, which in development creates the JWT
 * secret.
 *
 * @returns the configuration in force
 * @throws ConfigurationError which stops the boot
 */
export function loadConfig(strapi: Core.Strapi): Config {
  const release = String(strapi.config.get('info.strapi'));
  if (!/^5\.(?!0\.0-)/.test(release)) {
    throw new ConfigurationError([
      `This is Strapi ${release}, and the refresh-token extension is for Strapi 5. Remove src/extensions/users-permissions, or take a version of it that is for this release.`,
    ]);
  }
  if (strapi.config.get('plugin::users-permissions.jwtManagement') === 'refresh') {
    throw new ConfigurationError([
      "config/plugins sets jwtManagement: 'refresh' for users-permissions, which would answer with sessions of Strapi's own beside these. Remove that line (or set it to 'legacy-support').",
    ]);
  }
  const file = ensureDevelopmentSecret((path, line) => appendSecret(strapi, path, line));
  if (file) {
    strapi.log.info(
      `[refresh-token] REFRESH_SECRET was missing: one was made and kept in ${file}.`
    );
  }

  return getService(strapi, 'refresh-session').config;
}

function appendSecret(strapi: Core.Strapi, path: string, line: string): void {
  const file = resolve(strapi.dirs.app.root, path);
  appendFileSync(file, line, { mode: 0o600 });
  try {
    // Strapi may have created the file just before, readable by everyone.
    chmodSync(file, 0o600);
  } catch (error) {
    strapi.log.warn(`[refresh-token] ${path} holds secrets. Let only its owner read it: ${error}`);
  }
}

/**
 * Logs one warning for each questionable setting, and one line with what is in force.
 *
 * @throws ConfigurationError for keys that can sign no access token, which stops the boot
 */
export async function logConfig(strapi: Core.Strapi, config: Config): Promise<void> {
  const settings = strapi.config.get('plugin::users-permissions') as Settings;
  const keyWarning = getService(strapi, 'jwt').probe();
  const warnings = [
    ...(keyWarning ? [keyWarning] : []),
    ...configWarnings(config, settings.jwt?.expiresIn),
    ...unusedSettings(settings, originalPlugin?.sessions, config),
    ...publishedVulnerabilities(strapi),
  ];
  for (const warning of warnings) strapi.log.warn(`[refresh-token] ${warning}`);
  strapi.log.info(`[refresh-token] ${describe(config)}`);
  if (!config.requireSession) await warnOfOlderTokens(strapi);
}

/**
 * Access tokens from before the extension was installed cannot be revoked. The first boot stores how long the last of them
 * can live.
 */
async function warnOfOlderTokens(strapi: Core.Strapi): Promise<void> {
  const store = strapi.store({ type: 'plugin', name: 'users-permissions', key: 'refresh-session' });
  let known = (await store.get({})) as { olderTokensEnd: number | null } | null;
  if (!known) {
    const users = await strapi.db.query(USER_UID).count();
    // Without a user there is no token.
    known = { olderTokensEnd: users > 0 ? Date.now() + originalTokenTtl(strapi) : null };
    await store.set({ value: known });
  }
  if (known.olderTokensEnd === null || known.olderTokensEnd <= Date.now()) return;

  const end = new Date(known.olderTokensEnd).toISOString();
  strapi.log.warn(
    `[refresh-token] Access tokens from before this extension cannot be revoked, and the longest can live until ${end}. To refuse them now, set JWT_REQUIRE_SESSION=true.`
  );
}

/** @returns the lifetime of an access token under `jwt.expiresIn`, in milliseconds; ten years where it is none or invalid */
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
