import { randomBytes } from 'crypto';
import type { Core } from '@strapi/strapi';
import { readConfig } from '../config';
import type { Config } from '../config';
import { createStore } from '../store';
import { createSessions } from './sessions';
import type { Sessions, Surroundings } from './sessions';

export type RefreshSessionService = Sessions & { readonly config: Config };

/** @returns the service of this extension; the environment is read when it is first asked for, which is at boot */
export const refreshSessions = (strapi: Core.Strapi): RefreshSessionService =>
  strapi.service('plugin::users-permissions.refresh-session') as unknown as RefreshSessionService;

/** Gives sessions their Strapi: its database, its clock, its event hub, its settings. */
export function createRefreshSessionService({
  strapi,
}: {
  strapi: Core.Strapi;
}): RefreshSessionService {
  const config = readConfig(
    undefined,
    strapi.config.get('plugin::users-permissions.jwtSecret') as string
  );
  const settings = strapi.store({ type: 'plugin', name: 'users-permissions' });

  const emit: Surroundings['tell'] = (what, event) => {
    if (what === 'reused') {
      strapi.log.warn(
        `[refresh-token] reuse of a refresh token: session ended ${JSON.stringify(event)}`
      );
    }
    // A listener that fails is the project's own affair, never the request's.
    strapi.eventHub.emit(`refresh-session.${what}`, event).catch((error: unknown) => {
      strapi.log.error(
        `[refresh-token] a listener of refresh-session.${what} failed: ${String(error)}`
      );
    });
  };

  const sessions = createSessions({
    ...config,
    store: createStore(strapi),
    now: () => Date.now(),
    randomSid: () => randomBytes(16).toString('hex'),
    async confirmationRequired() {
      const advanced = (await settings.get({ key: 'advanced' })) as {
        email_confirmation?: boolean;
      };
      return Boolean(advanced?.email_confirmation);
    },
    tell(what, event) {
      if (!strapi.db.inTransaction()) return emit(what, event);
      // What a transaction does is told when it is committed, and not at all if it is rolled back.
      void strapi.db.transaction(async ({ onCommit }) => onCommit(() => emit(what, event)));
    },
  });

  return { ...sessions, config };
}
