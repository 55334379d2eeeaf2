import type { Core } from '@strapi/strapi';
import { refuseUnhashable, rememberPassword } from '../services/user';
import { refreshSessions } from '../services';
import type { EndReason } from '../sessions/manager';
import { createStore, USER_UID } from '../sessions/repository';

interface Data {
  password?: unknown;
  blocked?: unknown;
}

interface Event {
  params: { where?: object; filters?: object; _q?: string; data?: Data };
  result?: { id?: number } | null;
  state: { userIds?: number[] };
}

/** Few enough to fit a statement of any database. */
const BATCH = 500;

/**
 * Ends the sessions of a user who is blocked or deleted, or whose password changes, by whatever path goes through Strapi's
 * database layer: REST, admin panel, documents, queries one by one and in bulk.
 *
 * Within a transaction, sessions end after the user's row is written: they share its fate, and everybody locks the user
 * before the session. Outside one there are two writes, and a process can die between them, so sessions end before the
 * change too. If the change then fails, people were signed out for nothing, which is the lesser evil.
 *
 * @see @strapi/database dist/entity-manager/index.js, where the events are run
 */
export function watchUsers(strapi: Core.Strapi): void {
  const users = () => strapi.db.query(USER_UID);
  const store = createStore(strapi);

  const end = async (userIds: number[], reason: EndReason) => {
    for (let from = 0; from < userIds.length; from += BATCH) {
      const which = { userIds: userIds.slice(from, from + BATCH) };
      await refreshSessions(strapi).sessions.endMany(which, reason);
    }
  };

  /** Whom an update or a deletion of one concerns. Asked before it is made: the condition may not hold after it. */
  const idOf = async ({ params: { where } }: Event): Promise<number[]> => {
    const { id, ...others } = (where ?? {}) as { id?: unknown };
    if (typeof id === 'number' && Object.keys(others).length === 0) return [id];
    const user = await users().findOne({ where, select: ['id'] });
    return user ? [user.id] : [];
  };
  const idsOf = async (condition: object): Promise<number[]> => {
    const found = await users().findMany({ ...condition, select: ['id'] });
    return found.map(({ id }) => id as number);
  };

  const endFor = async ({ params, state }: Event) => {
    const reason = reasonOf(params.data);
    if (reason) await end(state.userIds ?? [], reason);
  };
  const endBefore = async (event: Event) => {
    if (!strapi.db.inTransaction()) await endFor(event);
  };
  const endOfDeleted = async (userIds: number[]) => {
    for (let from = 0; from < userIds.length; from += BATCH) {
      await store.lockUsers(userIds.slice(from, from + BATCH));
    }
    await end(userIds, 'user deleted');
  };
  // Of those who signed in while they were being deleted: the foreign key of their rows is null by now.
  const endOrphans = async () => {
    await refreshSessions(strapi).sessions.endMany('orphaned', 'user deleted');
  };

  // Documents hash a password before any lifecycle runs.
  strapi.documents.use((context, next) => {
    if (context.uid === USER_UID) refuseUnhashable((context.params as { data?: unknown }).data);
    return next();
  });

  strapi.db.lifecycles.subscribe({
    models: [USER_UID],

    afterCreate({ params, result }: Event) {
      rememberPassword(result?.id, params.data?.password);
    },

    // For every update: a hook of the project's own may add a password to it after this one has looked.
    async beforeUpdate(event: Event) {
      event.state.userIds = await idOf(event);
      await endBefore(event);
    },
    async afterUpdate(event: Event) {
      rememberPassword(event.state.userIds?.[0], event.params.data?.password);
      await endFor(event);
    },
    async beforeUpdateMany(event: Event) {
      // It heeds `where` only.
      const { where, data } = event.params;
      if (data && ('password' in data || 'blocked' in data)) {
        event.state.userIds = await idsOf({ where });
      }
      await endBefore(event);
    },
    afterUpdateMany: endFor,

    // Before, not after: with the user's row the foreign key is gone.
    async beforeDelete(event: Event) {
      await endOfDeleted(await idOf(event));
    },
    afterDelete: endOrphans,
    async beforeDeleteMany({ params: { where, filters, _q } }: Event) {
      await endOfDeleted(await idsOf({ where, filters, _q }));
    },
    afterDeleteMany: endOrphans,
  } as never);
}

/** Why a change ends sessions, or null: an email, a role, a `confirmed` that a form sends back end none. */
function reasonOf(data: Data | undefined): EndReason | null {
  if (isTrue(data?.blocked)) return 'user blocked';
  if (data?.password !== undefined) return 'password changed';
  return null;
}

/** @see @strapi/database dist/fields/boolean.js: all that ends up as true in the column */
const isTrue = (value: unknown): boolean =>
  Boolean(value) && !['false', 'f', '0'].includes(value as string);
