import { appendFileSync, chmodSync } from 'fs';
import { resolve } from 'path';
import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import { scheduleCleanup } from './cron/cleanup';
import {
  ConfigurationError,
  describe,
  doubts,
  ensureDevelopmentSecret,
  parseDuration,
} from './config/read';
import { original } from './original-plugin';
import { publishedVulnerabilities } from './config/release';
import { accessTokens, refreshSessions } from './services';
import { USER_UID } from './sessions/repository';
import { unusedSettings } from './config/strapi-settings';
import type { Settings } from './config/strapi-settings';
import { watchUsers } from './lifecycles/user';

/**
 * Checks the configuration, says what is in force and what is doubtful, watches the users, and has the clean-up scheduled.
 * Runs after the plugin's own bootstrap, which in development makes the JWT secret.
 *
 * @throws ConfigurationError which stops the boot
 */
export async function startUp(strapi: Core.Strapi): Promise<void> {
  const settings = strapi.config.get('plugin::users-permissions') as Settings & {
    jwtManagement?: unknown;
  };

  const release = String(strapi.config.get('info.strapi'));
  if (!/^5\.(?!0\.0-)/.test(release)) {
    throw new ConfigurationError([
      `This is Strapi ${release}, and the refresh-token extension is for Strapi 5. Remove src/extensions/users-permissions, or take a version of it that is for this release.`,
    ]);
  }
  if (settings.jwtManagement === 'refresh') {
    throw new ConfigurationError([
      "config/plugins sets jwtManagement: 'refresh' for users-permissions, which would answer with sessions of Strapi's own beside these. Remove that line (or set it to 'legacy-support').",
    ]);
  }

  const file = ensureDevelopmentSecret((path, line) => {
    const absolute = resolve(strapi.dirs.app.root, path);
    appendFileSync(absolute, line, { mode: 0o600 });
    try {
      // Strapi may have created the file just before, readable by everybody.
      chmodSync(absolute, 0o600);
    } catch (error) {
      strapi.log.warn(
        `[refresh-token] ${path} holds secrets. Let only its owner read it: ${error}`
      );
    }
  });
  if (file)
    strapi.log.info(
      `[refresh-token] REFRESH_SECRET was missing: one was made and kept in ${file}.`
    );

  const { config } = refreshSessions(strapi);
  const originalLife = stockLife(settings.jwt?.expiresIn);
  const warn = (warning: string) => strapi.log.warn(`[refresh-token] ${warning}`);
  const ofKeys = accessTokens(strapi).probe();
  const warnings = [
    ...(ofKeys ? [ofKeys] : []),
    ...doubts(config, settings.jwt?.expiresIn),
    ...unusedSettings(settings, original?.sessions, config),
    ...publishedVulnerabilities(strapi),
  ];
  warnings.forEach(warn);
  strapi.log.info(`[refresh-token] ${describe(config)}`);

  watchUsers(strapi);
  scheduleCleanup(strapi);
  if (!config.requireSession) await warnOfOlderTokens(strapi, originalLife);
}

/**
 * Access tokens from before the extension was copied in cannot be revoked. How long the longest of them can still live is
 * known from the first boot, which is kept in the plugin's store.
 */
async function warnOfOlderTokens(strapi: Core.Strapi, originalLife: number): Promise<void> {
  const store = strapi.store({ type: 'plugin', name: 'users-permissions', key: 'refresh-session' });
  let known = (await store.get({})) as { olderTokensEnd: number | null } | null;
  if (!known) {
    const users = await strapi.db.query(USER_UID).count();
    // Without a user there is no token.
    known = { olderTokensEnd: users > 0 ? Date.now() + originalLife : null };
    await store.set({ value: known });
  }
  if (known.olderTokensEnd === null || known.olderTokensEnd <= Date.now()) return;

  const end = new Date(known.olderTokensEnd).toISOString();
  strapi.log.warn(
    `[refresh-token] Access tokens from before this extension cannot be revoked, and the longest can live until ${end}. To refuse them now, set JWT_REQUIRE_SESSION=true.`
  );
}

/**
 * @param expiresIn `jwt.expiresIn` of the plugin's configuration
 * @returns how long a token lived under it, in milliseconds; ten years where it never expired, or is no duration
 */
function stockLife(expiresIn: jwt.SignOptions['expiresIn']): number {
  const longest = parseDuration('3650d')!;
  if (expiresIn === undefined) return longest;
  try {
    const { iat, exp } = jwt.decode(jwt.sign({}, 'to measure', { expiresIn })) as jwt.JwtPayload;
    return (exp! - iat!) * 1000;
  } catch {
    return longest;
  }
}
