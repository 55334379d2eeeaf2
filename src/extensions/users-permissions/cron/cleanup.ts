import { randomInt } from 'crypto';
import type { Core } from '@strapi/strapi';
import { oneLine } from '../errors';
import { getService } from '../services/get-service';

type Task = () => Promise<void>;

const tasks = new WeakMap<Core.Strapi, Task[]>();

/** Schedules the cleanup once an hour, at a random minute, so that processes rarely run it at the same time. */
export function scheduleCleanup(strapi: Core.Strapi): void {
  const { sessions } = getService(strapi, 'refresh-session');
  const all: Task[] = [() => sessions.deleteExpired()];
  tasks.set(strapi, all);
  strapi.cron.add({
    refreshSessionCleanup: {
      task: async () => {
        for (const task of all) await runTask(strapi, task);
      },
      options: { rule: `${randomInt(60)} * * * *` },
    },
  });
}

/** Adds an optional module's task to the cleanup. Must run after `scheduleCleanup`. */
export function addToCleanup(strapi: Core.Strapi, task: Task): void {
  tasks.get(strapi)?.push(task);
}

/** Older releases of Strapi do not catch what a job throws, which would end the process. */
async function runTask(strapi: Core.Strapi, task: Task): Promise<void> {
  try {
    await task();
  } catch (error) {
    strapi.log.error(
      `[refresh-token] the cleanup failed and will run again later: ${oneLine(error)}`
    );
  }
}
