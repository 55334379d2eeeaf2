import { AsyncLocalStorage } from 'async_hooks';
import { errors } from '@strapi/utils';
import type { Core } from '@strapi/strapi';
import { isWellFormed } from '../http/request';
import { withChanges, withPropertiesOf } from '../wrap';

/** The users-permissions user service, as far as this extension touches it. */
interface UserService {
  add(values: object, ...rest: unknown[]): Promise<unknown>;
  edit(id: unknown, values: object, ...rest: unknown[]): Promise<unknown>;
  validatePassword(password: string, hash: string | null | undefined): Promise<boolean>;
}

type UserServiceFactory = (context: { strapi: Core.Strapi }) => UserService;

interface Memory {
  checked?: string;
  written: Map<number, string>;
}

const current = new AsyncLocalStorage<Memory>();

/**
 * Runs a sign-in, and remembers the password hashes that it checked or wrote: the stock actions do not say.
 *
 * @returns what the sign-in returned, and the hash that a user's sign-in rests on: the one that was written for that user,
 *   else the one that was checked; undefined if no password was involved (a social sign-in)
 */
export async function rememberingPassword(
  signIn: () => unknown
): Promise<{ result: unknown; hashOf: (userId: number) => string | undefined }> {
  const memory: Memory = { written: new Map() };
  const result = await current.run(memory, async () => signIn());
  return { result, hashOf: (userId) => memory.written.get(userId) ?? memory.checked };
}

/** Notes the hash that was written for a user, if a sign-in is under way. */
export function rememberPassword(userId: number | undefined, hash: unknown): void {
  if (userId !== undefined && typeof hash === 'string') {
    current.getStore()?.written.set(userId, hash);
  }
}

/**
 * Refuses a password from which bcryptjs never returns, which ends the process.
 *
 * @param values the fields of a user
 * @throws ValidationError of Strapi, which every one of its APIs answers as a 400
 */
export function refuseUnhashable(values: unknown): void {
  const { password } = (values ?? {}) as { password?: unknown };
  if (typeof password !== 'string' || isWellFormed(password)) return;
  throw new errors.ValidationError('password must not contain half of a surrogate pair.', {
    code: 'invalid_request',
  });
}

/**
 * Wraps the plugin's user service, so that a password that was found right is noted, and that none reaches bcryptjs which it
 * cannot take.
 *
 * @param stock `plugin.services.user`
 * @see @strapi/plugin-users-permissions server/src/services/user.js
 */
export const withMemory = (stock: UserServiceFactory | UserService) =>
  withPropertiesOf((context: { strapi: Core.Strapi }): UserService => {
    const service: UserService = typeof stock === 'function' ? stock(context) : stock;
    return withChanges(service, {
      async add(this: UserService, values: object, ...rest: unknown[]) {
        refuseUnhashable(values);
        return service.add.call(this, values, ...rest);
      },

      async edit(this: UserService, id: unknown, values: object, ...rest: unknown[]) {
        refuseUnhashable(values);
        return service.edit.call(this, id, values, ...rest);
      },

      async validatePassword(this: UserService, password: string, hash: string | null | undefined) {
        if (!isWellFormed(password)) return false;
        let valid: boolean;
        try {
          valid = await service.validatePassword.call(this, password, hash);
        } catch (error) {
          // bcrypt throws where a user has no password, as after a social sign-in.
          if (typeof hash !== 'string') return false;
          throw error;
        }
        const memory = current.getStore();
        if (valid && memory && hash) memory.checked = hash;
        return valid;
      },
    });
  }, stock);
