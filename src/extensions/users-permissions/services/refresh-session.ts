import { randomBytes } from 'crypto';
import type { Core } from '@strapi/strapi';
import { readConfig } from '../config/read';
import type { Config } from '../config/read';
import { SessionError } from '../errors';
import { createStore } from '../sessions/repository';
import * as transport from '../http/request';
import type { Context, Session } from '../types';
import { accessTokens, handOut, sessionsOfCookies } from '.';
import { createSessions, NOBODY } from '../sessions/manager';
import type { Sessions, Surroundings } from '../sessions/manager';

/** What `strapi.service('plugin::users-permissions.refresh-session')` offers a project's own code. */
export interface RefreshSessionService {
  readonly config: Config;

  /** Whether users must have confirmed their email address. */
  confirmationRequired(): Promise<boolean>;

  /** The rules themselves, for this extension's controllers. */
  readonly sessions: Sessions;

  /** A user's living sessions, the one refreshed last first, a hundred at most. */
  list(userId: number): Promise<Session[]>;

  /**
   * Signs a user in from the project's own code: a magic link, an impersonation, a test.
   *
   * @param userId the user's numeric id
   * @param options.ctx the request to answer; with it the cookie is set where the request or the configuration asks for
   *   it, and takes the place of the session that the browser had; without it the refresh token is always returned
   * @param options.description text of at most 255 characters, shown in the list of sessions
   * @returns what to answer: `jwt`, and `refreshToken` unless it went into the cookie; and the session's id
   * @throws SessionError `user_refused` if there is no such user, or it is blocked; `origin_refused` for a script of a
   *   foreign page; `invalid_request`
   */
  signIn(
    userId: number,
    options?: { ctx?: Context; description?: string }
  ): Promise<{ jwt: string; refreshToken?: string; sid: string }>;

  /**
   * Ends sessions: one, a user's (but for one), or everyone's. Their access tokens are dead at once.
   *
   * @returns how many
   */
  signOut(
    which: { sid: string } | { userId: number; except?: string } | 'everyone'
  ): Promise<number>;
}

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

  const confirmationRequired = async () => {
    const advanced = (await settings.get({ key: 'advanced' })) as { email_confirmation?: boolean };
    return Boolean(advanced?.email_confirmation);
  };

  const sessions = createSessions({
    ...config,
    store: createStore(strapi),
    now: () => Date.now(),
    randomSid: () => randomBytes(16).toString('hex'),
    confirmationRequired,
    tell(what, event) {
      if (!strapi.db.inTransaction()) return emit(what, event);
      // What a transaction does is told when it is committed, and not at all if it is rolled back.
      void strapi.db.transaction(async ({ onCommit }) => onCommit(() => emit(what, event)));
    },
  });

  return {
    config,
    confirmationRequired,
    sessions,
    list: (userId) => sessions.list(userId),

    async signIn(userId, { ctx, description } = {}) {
      if (!Number.isInteger(userId)) {
        throw new SessionError('invalid_request', 'userId must be the numeric id of a user.');
      }
      const answerBy = ctx ? transport.settle(ctx, config) : 'body';
      // A link in a mail is a navigation.
      if (ctx && answerBy !== 'body') transport.assertOrigin(ctx, config, true);

      const client = {
        ...(ctx ? transport.clientOf(ctx) : NOBODY),
        transport: answerBy,
        description: transport.readDescription(description),
      };
      const replaced = ctx && answerBy !== 'body' ? sessionsOfCookies(strapi, ctx) : [];
      const grant = await sessions.open(userId, client, undefined, replaced);
      const { sid } = grant.session;
      if (ctx) return { ...handOut(strapi, ctx, answerBy, grant), sid };
      const jwt = accessTokens(strapi).issueFor(grant.session);
      return { jwt, refreshToken: grant.refreshToken, sid };
    },

    async signOut(which) {
      if (which === 'everyone') return sessions.endMany(which, 'revoked');
      if ('sid' in which) return (await sessions.end(which.sid)) ? 1 : 0;
      return sessions.endMany({ userIds: [which.userId], except: which.except }, 'revoked');
    },
  };
}
