import { randomInt } from 'crypto';
import type { Core } from '@strapi/strapi';
import { refreshSessions } from '../services';
import { createStore } from '../sessions/repository';
import type { Store } from '../sessions/repository';

const BATCH = 1000;

/**
 * Deletes the rows of sessions that are over: past their absolute end, idle for twice the idle life, or without a user.
 * (Once the idle life would do for the tokens; the second one is for a database that is restored from a copy, whose rows
 * are older than the tokens that clients hold.) Walks the table by primary key in bounded batches, so that it never holds a long lock.
 *
 * @param store the sessions
 * @param now milliseconds since the epoch
 * @param idleLife milliseconds
 */
export async function cleanUp(store: Store, now: number, idleLife: number): Promise<void> {
  let cursor: number | null = 0;
  while (cursor !== null) cursor = await store.sweep(cursor, BATCH, now, now - idleLife);
}

/** Has Strapi's cron clean up once an hour, at a random minute, so that processes take turns. */
export function scheduleCleanup(strapi: Core.Strapi): void {
  const { config } = refreshSessions(strapi);
  const store = createStore(strapi);
  const minute = randomInt(60);
  strapi.cron.add({
    refreshSessionCleanup: {
      // Older releases of Strapi do not catch what a job throws, which would end the process.
      task: async () => {
        try {
          await cleanUp(store, Date.now(), config.idleLife);
        } catch (error) {
          strapi.log.error(`[refresh-token] the clean-up failed and runs again later: ${error}`);
        }
      },
      options: { rule: `${minute} * * * *` },
    },
  });
}
