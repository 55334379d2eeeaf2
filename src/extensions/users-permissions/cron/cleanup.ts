import { randomInt } from 'crypto';
import type { Core } from '@strapi/strapi';
import { getService } from '../services/get-service';

/** Schedules the clean-up once an hour, at a random minute, so that processes rarely run it at once. */
export function scheduleCleanup(strapi: Core.Strapi): void {
  const { sessions } = getService(strapi, 'refresh-session');
  strapi.cron.add({
    refreshSessionCleanup: {
      // Older releases of Strapi do not catch what a job throws, so it would end the process.
      task: async () => {
        try {
          await sessions.deleteExpired();
        } catch (error) {
          strapi.log.error(
            `[refresh-token] the clean-up failed and will run again later: ${error}`
          );
        }
      },
      options: { rule: `${randomInt(60)} * * * *` },
    },
  });
}
