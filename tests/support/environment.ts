import { randomBytes } from 'crypto';
import type { Core } from '@strapi/strapi';

/** Every variable that the extension or the configuration reads, so that a machine's own settings never get in. */
const SETTINGS = /^(REFRESH_|JWT_|DATABASE_|RATE_LIMIT|TRUST_PROXY|NODE_ENV|ENV_PATH)/;

/**
 * Makes this process's environment that of a Strapi under test.
 *
 * @param env what to set besides the secrets, including the database connection
 */
export function setEnvironment(env: Record<string, string>): void {
  for (const name of Object.keys(process.env)) {
    if (SETTINGS.test(name)) delete process.env[name];
  }
  Object.assign(process.env, {
    NODE_ENV: 'test',
    APP_KEYS: 'one-app-key,another-app-key',
    API_TOKEN_SALT: 'api-token-salt',
    ADMIN_JWT_SECRET: 'admin-jwt-secret',
    TRANSFER_TOKEN_SALT: 'transfer-token-salt',
    ENCRYPTION_KEY: 'encryption-key',
    JWT_SECRET: 'jwt-secret-of-the-tests',
    REFRESH_SECRET: randomBytes(32).toString('hex'),
    RATE_LIMIT_MAX: '100000',
    STRAPI_TELEMETRY_DISABLED: 'true',
    ...env,
  });
}

/**
 * Makes Strapi hash users' passwords with the fewest rounds that bcrypt allows, by a setting that Strapi offers projects. A
 * hash with the default of 10 takes 50 times as long.
 */
export function hashPasswordsQuickly(strapi: Core.Strapi): void {
  const { password } = strapi.contentType('plugin::users-permissions.user').attributes as any;
  password.encryption = { rounds: 4 };
}
