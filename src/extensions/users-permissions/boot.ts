import type { Core } from '@strapi/strapi';
import { scheduleCleanup } from './cleanup';
import { ConfigurationError, describe, doubts, ensureDevelopmentSecret } from './config';
import { refreshSessions } from './services/refresh-session';
import { watchUsers } from './user-watch';

/**
 * Checks the configuration, says what is in force, and has the clean-up scheduled. Runs after the plugin's own bootstrap,
 * which in development makes the JWT secret.
 *
 * @throws ConfigurationError which stops the boot
 */
export function startUp(strapi: Core.Strapi): void {
  const setting = (name: string): unknown => strapi.config.get(`plugin::users-permissions.${name}`);

  if (setting('jwtManagement') === 'refresh') {
    throw new ConfigurationError([
      "config/plugins sets jwtManagement: 'refresh' for users-permissions, which would answer with sessions of Strapi's own beside these. Remove that line (or set it to 'legacy-support').",
    ]);
  }

  const file = ensureDevelopmentSecret((path, line) => strapi.fs.appendFile(path, line));
  if (file)
    strapi.log.info(
      `[refresh-token] REFRESH_SECRET was missing: one was made and kept in ${file}.`
    );

  const { config } = refreshSessions(strapi);
  for (const doubt of doubts(config, (setting('jwt') as { expiresIn?: unknown })?.expiresIn)) {
    strapi.log.warn(`[refresh-token] ${doubt}`);
  }
  strapi.log.info(`[refresh-token] ${describe(config)}`);

  watchUsers(strapi);
  scheduleCleanup(strapi);
}
