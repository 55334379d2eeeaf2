import type { Core } from '@strapi/strapi';
import { rememberPassword } from './services/checked-password';
import { refreshSessions } from './services';
import type { EndReason } from './services/sessions';
import { USER_UID } from './store';

interface Event {
  params: { where?: object; filters?: object; _q?: string; data?: Record<string, unknown> };
  result?: { id?: number } | null;
  state: { userIds?: number[] };
}

/** Few enough to fit a statement of any database. */
const BATCH = 500;

/**
 * Ends the sessions of a user who is blocked or deleted, or whose password changes, by whatever path goes through Strapi's
 * database layer: REST, admin panel, documents, queries one by one and in bulk. It runs within the transaction that makes
 * the change, if there is one, and so shares its fate.
 *
 * @see @strapi/database dist/entity-manager/index.js, where the events are run
 */
export function watchUsers(strapi: Core.Strapi): void {
  const users = () => strapi.db.query(USER_UID);

  const end = async (userIds: number[], reason: EndReason) => {
    for (let from = 0; from < userIds.length; from += BATCH) {
      const which = { userIds: userIds.slice(from, from + BATCH) };
      await refreshSessions(strapi).sessions.endMany(which, reason);
    }
  };
  const idsOf = async ({ params: { where, filters, _q } }: Event): Promise<number[]> => {
    const found = await users().findMany({ where, filters, _q, select: ['id'] });
    return found.map(({ id }) => id as number);
  };
  const idOf = async ({ params: { where } }: Event): Promise<number[]> => {
    const user = await users().findOne({ where, select: ['id'] });
    return user ? [user.id] : [];
  };
  const endFor = async ({ params, state }: Event) => {
    const reason = reasonOf(params.data);
    if (reason) await end(state.userIds ?? [], reason);
  };

  strapi.db.lifecycles.subscribe({
    models: [USER_UID],

    afterCreate({ params, result }: Event) {
      rememberPassword(result?.id, params.data?.password);
    },

    // Whom a change concerns is asked before it is made: the condition may not hold any more then. (And what the change
    // answers is of the caller's own choice of fields.)
    async beforeUpdate(event: Event) {
      if (reasonOf(event.params.data)) event.state.userIds = await idOf(event);
    },
    async afterUpdate(event: Event) {
      rememberPassword(event.state.userIds?.[0], event.params.data?.password);
      await endFor(event);
    },
    async beforeUpdateMany(event: Event) {
      if (reasonOf(event.params.data)) event.state.userIds = await idsOf(event);
    },
    afterUpdateMany: endFor,

    // Before, not after: with the user's row the foreign key is gone.
    async beforeDelete(event: Event) {
      await end(await idOf(event), 'user deleted');
    },
    async beforeDeleteMany(event: Event) {
      await end(await idsOf(event), 'user deleted');
    },
  } as never);
}

/** Why a change ends sessions, or null: an email, a role, a `confirmed` that a form sends back end none. */
function reasonOf(data: Record<string, unknown> | undefined): EndReason | null {
  if (isTrue(data?.blocked)) return 'user blocked';
  if (data?.password !== undefined) return 'password changed';
  return null;
}

/** @see @strapi/database dist/fields/boolean.js: all that ends up as true in the column */
const isTrue = (value: unknown): boolean =>
  Boolean(value) && !['false', 'f', '0'].includes(value as string);
