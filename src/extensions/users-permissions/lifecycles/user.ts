import type { Core } from '@strapi/strapi';
import { getService } from '../services/get-service';
import { refuseUnhashable } from '../services/user';
import { USER_UID } from '../sessions/database';
import type { EndReason } from '../sessions/dependencies';
import { recordWrittenPassword } from '../sessions/sign-in-context';

interface Data {
  password?: unknown;
  blocked?: unknown;
}

interface Event {
  params: { where?: object; filters?: object; _q?: string; data?: Data };
  result?: { id?: number } | null;
  state: { userIds?: number[] };
}

/**
 * Ends the sessions of a user who is blocked or deleted, or whose password changes, by any path through Strapi's database
 * layer: REST, admin panel, documents, single and bulk queries.
 *
 * Inside a transaction, sessions end after the user's row is written: they share its fate, and everything locks the user
 * before the session. Outside one there are two writes, and the process may die between them, so sessions end before the
 * change, too. If the change then fails, people were signed out for nothing, which is the lesser evil.
 *
 * @see @strapi/database dist/entity-manager/index.js, where the events are run
 */
export function endSessionsOfChangedUsers(strapi: Core.Strapi): void {
  // Documents hash a password before any lifecycle runs.
  strapi.documents.use((context, next) => {
    if (context.uid === USER_UID) refuseUnhashable((context.params as { data?: unknown }).data);
    return next();
  });

  const { endFor, endOfDeleted, endOrphans } = endings(strapi);
  const { idOf, idsOf } = queries(strapi);
  const endBefore = async (event: Event) => {
    if (!strapi.db.inTransaction()) await endFor(event);
  };

  strapi.db.lifecycles.subscribe({
    models: [USER_UID],

    afterCreate({ params, result }: Event) {
      recordWrittenPassword(result?.id, params.data?.password);
    },

    // For every update: a hook of the project may add a password to it after this one has run.
    async beforeUpdate(event: Event) {
      event.state.userIds = await idOf(event);
      await endBefore(event);
    },
    async afterUpdate(event: Event) {
      recordWrittenPassword(event.state.userIds?.[0], event.params.data?.password);
      await endFor(event);
    },
    async beforeUpdateMany(event: Event) {
      // `updateMany` uses only `where`.
      const { where, data } = event.params;
      if (data && ('password' in data || 'blocked' in data)) {
        event.state.userIds = await idsOf({ where });
      }
      await endBefore(event);
    },
    afterUpdateMany: endFor,

    // Before, not after: the foreign key goes away with the user's row.
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

/** Finds the users that a change affects. Called before the change: the condition may not hold after it. */
function queries(strapi: Core.Strapi) {
  const users = () => strapi.db.query(USER_UID);
  return {
    async idOf({ params: { where } }: Event): Promise<number[]> {
      const { id, ...others } = (where ?? {}) as { id?: unknown };
      if (typeof id === 'number' && Object.keys(others).length === 0) return [id];
      const user = await users().findOne({ where, select: ['id'] });
      return user ? [user.id] : [];
    },

    async idsOf(condition: object): Promise<number[]> {
      const found = await users().findMany({ ...condition, select: ['id'] });
      return found.map(({ id }) => id as number);
    },
  };
}

function endings(strapi: Core.Strapi) {
  const sessions = () => getService(strapi, 'refresh-session').sessions;

  const end = async (userIds: number[], reason: EndReason) => {
    for (const batch of inBatches(userIds)) await sessions().endMany({ userIds: batch }, reason);
  };
  return {
    async endFor({ params, state }: Event): Promise<void> {
      const reason = endReason(params.data);
      if (reason) await end(state.userIds ?? [], reason);
    },

    async endOfDeleted(userIds: number[]): Promise<void> {
      for (const batch of inBatches(userIds)) await sessions().lockUsers(batch);
      await end(userIds, 'user deleted');
    },

    /** Those who signed in while they were being deleted: the foreign key of their rows is null by now. */
    async endOrphans(): Promise<void> {
      await sessions().endMany('orphaned', 'user deleted');
    },
  };
}

/** Few enough for one statement of any database. */
const BATCH = 500;

const inBatches = (ids: number[]): number[][] =>
  Array.from({ length: Math.ceil(ids.length / BATCH) }, (_, n) =>
    ids.slice(n * BATCH, (n + 1) * BATCH)
  );

/** Why a change ends sessions, or null: an email, a role, or a `confirmed` that a form sends back ends none. */
function endReason(data: Data | undefined): EndReason | null {
  if (isTrue(data?.blocked)) return 'user blocked';
  if (data?.password !== undefined) return 'password changed';
  return null;
}

/** @see @strapi/database dist/fields/boolean.js: everything that is stored as true */
const isTrue = (value: unknown): boolean =>
  Boolean(value) && !['false', 'f', '0'].includes(value as string);
