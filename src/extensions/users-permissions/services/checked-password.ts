import { AsyncLocalStorage } from 'async_hooks';
import type { Core } from '@strapi/strapi';

type UserService = Record<string, any>;
type UserServiceFactory = (context: { strapi: Core.Strapi }) => UserService;

interface Memory {
  checked?: string;
  written: Map<number, string>;
}

const current = new AsyncLocalStorage<Memory>();

/**
 * Runs a sign-in, and remembers the password hashes that it checked or wrote: the stock actions do not tell.
 *
 * @returns the hash that a user's sign-in stands on: the one that was written for that user, else the one that was checked;
 *   undefined if no password was involved (a social sign-in)
 */
export async function rememberingPassword(
  signIn: () => unknown
): Promise<(userId: number) => string | undefined> {
  const memory: Memory = { written: new Map() };
  await current.run(memory, async () => {
    await signIn();
  });
  return (userId) => memory.written.get(userId) ?? memory.checked;
}

/** Notes the hash that was written for a user, if a sign-in is under way. */
export function rememberPassword(userId: number | undefined, hash: unknown): void {
  if (userId !== undefined && typeof hash === 'string') {
    current.getStore()?.written.set(userId, hash);
  }
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
        const memory = current.getStore();
        if (valid && memory) memory.checked = hash;
        return valid;
      },
    };
  };
