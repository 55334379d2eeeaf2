import { randomBytes } from 'crypto';
import type { Core } from '@strapi/strapi';
import { configuredClaims, JWT, JWT_SECRET } from '../config/jwt-keys';
import { readConfig } from '../config/read';
import { oneLine, SessionError } from '../errors';
import { assertOrigin } from '../http/cross-origin';
import { clientInfo, readRefreshCookies, resolveTransport } from '../http/request';
import { signAccessToken, writeTokens } from '../http/response';
import { readDescription, readRememberMe } from '../http/sign-in-options';
import { policy } from '../policy';
import type { PolicyUser } from '../policy-types';
import { USER_UID } from '../sessions/database';
import { UNKNOWN_CLIENT } from '../sessions/dependencies';
import type { SessionDependencies } from '../sessions/dependencies';
import { createSessionManager } from '../sessions/manager';
import { createPolicyHooks } from '../sessions/policy-hooks';
import { createRepository } from '../sessions/repository';
import type { Config } from '../types';
import type { RefreshSessionService } from './get-service';

// The path that the README gives to a project's own code.
export type { RefreshSessionService } from './get-service';

/** Connects sessions to Strapi: its database, its clock, its event hub, its settings. */
export function createRefreshSessionService({
  strapi,
}: {
  strapi: Core.Strapi;
}): RefreshSessionService {
  // Strapi creates the service once: in `bootstrap`, or earlier for a project that asks for it earlier.
  const config = readConfig(undefined, strapi.config.get(JWT_SECRET) as string);

  const confirmationRequired = () => readConfirmationRequired(strapi);
  const policyHooks = hooksOf(strapi, config);
  const sessions = createSessionManager({
    ...config,
    policy: policyHooks,
    repository: createRepository(strapi),
    now: () => Date.now(),
    randomSid: () => randomBytes(16).toString('hex'),
    confirmationRequired,
    emit: createEmit(strapi),
  });

  return {
    config,
    confirmationRequired,
    policy: policyHooks,
    sessions,
    list: (userId) => sessions.list(userId),

    async signIn(userId, { ctx, rememberMe, description } = {}) {
      if (!Number.isInteger(userId)) {
        throw new SessionError('invalid_request', 'userId must be the numeric id of a user.');
      }
      const transport = ctx ? resolveTransport(ctx, config) : 'body';
      const byCookie = ctx && transport !== 'body';
      // A link in an email is a navigation.
      if (byCookie) assertOrigin(ctx, config, true);

      const client = {
        ...(ctx ? clientInfo(ctx) : UNKNOWN_CLIENT),
        transport,
        persistent: readRememberMe(rememberMe) ?? true,
        description: readDescription(description),
      };
      const replaced = byCookie ? sessions.sidsOf(readRefreshCookies(ctx, config)) : [];
      const tokens = await sessions.open(userId, client, { replaced });
      const { sid } = tokens.session;
      if (ctx) return { ...writeTokens(strapi, ctx, config, transport, tokens), sid };
      const jwt = signAccessToken(strapi, config, tokens);
      return { jwt, refreshToken: tokens.refreshToken, sid };
    },

    async signOut(which) {
      if (which === 'everyone') return sessions.endMany(which, 'revoked');
      if ('sid' in which) return (await sessions.end(which.sid)) ? 1 : 0;
      return sessions.endMany({ userIds: [which.userId], except: which.except }, 'revoked');
    },
  };
}

const hooksOf = (strapi: Core.Strapi, config: Config) =>
  createPolicyHooks(
    policy,
    config,
    (userId) => readUser(strapi, userId),
    configuredClaims(strapi.config.get(JWT))
  );

async function readConfirmationRequired(strapi: Core.Strapi): Promise<boolean> {
  const settings = strapi.store({ type: 'plugin', name: 'users-permissions' });
  const advanced = (await settings.get({ key: 'advanced' })) as { email_confirmation?: boolean };
  return Boolean(advanced?.email_confirmation);
}

/** For the policy, which may log what it gets: without the password's hash and the tokens that change it. */
async function readUser(strapi: Core.Strapi, userId: number): Promise<PolicyUser | null> {
  const found = await strapi.db
    .query(USER_UID)
    .findOne({ where: { id: userId }, populate: ['role'] });
  if (!found) return null;
  const {
    password: _password,
    resetPasswordToken: _reset,
    confirmationToken: _confirm,
    ...user
  } = found;
  return user as PolicyUser;
}

/** Events of a transaction are emitted when it is committed, and not at all if it is rolled back. */
function createEmit(strapi: Core.Strapi): SessionDependencies['emit'] {
  const emit: SessionDependencies['emit'] = (event, data) => {
    if (event === 'reused') {
      strapi.log.warn(
        `[refresh-token] reuse of a refresh token: session ended ${oneLine(JSON.stringify(data))}`
      );
    }
    // A listener that fails never fails the request.
    strapi.eventHub.emit(`refresh-session.${event}`, data).catch((error: unknown) => {
      strapi.log.error(
        `[refresh-token] a listener of refresh-session.${event} failed: ${oneLine(error)}`
      );
    });
  };
  return (event, data) => {
    if (!strapi.db.inTransaction()) return emit(event, data);
    void strapi.db.transaction(async ({ onCommit }) => onCommit(() => emit(event, data)));
  };
}
