import { AsyncLocalStorage } from 'async_hooks';
import type { Core } from '@strapi/strapi';

type UserService = Record<string, any>;
type UserServiceFactory = (context: { strapi: Core.Strapi }) => UserService;

const current = new AsyncLocalStorage<{ hash?: string }>();

/**
 * Runs a sign-in, and remembers the password hash that it was checked against or has set, whichever came last: the stock
 * actions do not tell.
 *
 * @returns the hash, or undefined if no password was involved (a social sign-in)
 */
export async function rememberingPassword(signIn: () => unknown): Promise<string | undefined> {
  const memory: { hash?: string } = {};
  await current.run(memory, async () => {
    await signIn();
  });
  return memory.hash;
}

/** Notes the hash for the sign-in that is under way, if there is one. */
export function rememberPassword(hash: unknown): void {
  const memory = current.getStore();
  if (memory && typeof hash === 'string') memory.hash = hash;
}

/**
 * Wraps the plugin's user service, so that a password that was found right is noted.
 *
 * @param stock `plugin.services.user`
 * @see @strapi/plugin-users-permissions server/src/services/user.js
 */
export const withMemory =
  (stock: UserServiceFactory | UserService) =>
  (context: { strapi: Core.Strapi }): UserService => {
    const service: UserService = typeof stock === 'function' ? stock(context) : stock;
    return {
      ...service,
      async validatePassword(password: string, hash: string) {
        const valid = await service.validatePassword(password, hash);
        if (valid) rememberPassword(hash);
        return valid;
      },
    };
  };
