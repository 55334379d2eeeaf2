import { errors } from '@strapi/utils';
import type { Core } from '@strapi/strapi';
import { isWellFormed } from '../http/sign-in-options';
import { recordCheckedPassword } from '../sessions/sign-in-context';
import { withChanges, withPropertiesOf } from '../wrap';

/** The plugin's user service, as far as this extension uses it. */
interface UserService {
  add(values: object, ...rest: unknown[]): Promise<unknown>;
  edit(id: unknown, values: object, ...rest: unknown[]): Promise<unknown>;
  validatePassword(password: string, hash: string | null | undefined): Promise<boolean>;
}

type UserServiceFactory = (context: { strapi: Core.Strapi }) => UserService;

/**
 * Wraps the plugin's user service: a sign-in knows which password hash was checked, and bcryptjs never gets a password that
 * it cannot handle.
 *
 * @param original `plugin.services.user`
 * @see @strapi/plugin-users-permissions server/src/services/user.js
 */
export const trackPassword = (original: UserServiceFactory | UserService) =>
  withPropertiesOf((context: { strapi: Core.Strapi }): UserService => {
    const service: UserService = typeof original === 'function' ? original(context) : original;
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
        if (valid && hash) recordCheckedPassword(hash);
        return valid;
      },
    });
  }, original);

/**
 * Refuses a password on which bcryptjs never returns, which would block the whole process.
 *
 * @param values the fields of a user
 * @throws ValidationError of Strapi, which each of its APIs turns into a 400
 */
export function refuseUnhashable(values: unknown): void {
  const { password } = (values ?? {}) as { password?: unknown };
  if (typeof password !== 'string' || isWellFormed(password)) return;
  throw new errors.ValidationError('password must not contain an unpaired surrogate.', {
    code: 'invalid_request',
  });
}
