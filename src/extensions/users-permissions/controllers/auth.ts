import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import { assertOrigin } from '../http/cross-origin';
import * as visits from '../http/provider-sign-in';
import {
  canSetCookies,
  clientInfo,
  readRefreshCookies,
  resolveTransport,
  wantsCookie,
} from '../http/request';
import { withErrorResponse, writeTokens } from '../http/response';
import type { Action } from '../http/response';
import { extractSignInOptions, refuseIllFormed } from '../http/sign-in-options';
import { getService } from '../services/get-service';
import { currentSid } from '../services/jwt';
import { runSignIn } from '../sessions/sign-in-context';
import type { ClientInfo, Config, Context, NewClient, Session, Transport } from '../types';
import { withChanges, withPropertiesOf } from '../wrap';

export type Actions = Record<string, Action>;
export type AuthController = Actions | ((context: { strapi: Core.Strapi }) => Actions);

/**
 * Wraps the plugin's auth controller: where an original action signs a user in, a session is opened, and its tokens replace
 * the long-lived JWT. The original actions are called, never copied.
 *
 * @param original `plugin.controllers.auth`, a factory: a method assigned onto it would be lost
 * @see @strapi/plugin-users-permissions server/src/controllers/auth.js
 */
export const openSessionsOnSignIn = (original: AuthController) =>
  withPropertiesOf(({ strapi }: { strapi: Core.Strapi }): Actions => {
    const actions = typeof original === 'function' ? original({ strapi }) : original;
    const wrapped: Actions = withChanges(actions, {});
    const keepsDeviceId = registrationFields(strapi).includes('deviceId');
    const wrappers: Record<string, (action: Action) => Action> = {
      callback: (action) => signIn(strapi, action),
      register: (action) => signIn(strapi, action, keepsDeviceId),
      changePassword: (action) => signIn(strapi, action),
      resetPassword: (action) => signIn(strapi, action),
      emailConfirmation: (action) => emailConfirmation(strapi, action),
      connect: (action) => connect(strapi, action),
    };
    for (const [name, wrap] of Object.entries(wrappers)) {
      const action = actions[name];
      // If a project's own controller lacks one, Strapi reports it at boot.
      if (!action) continue;
      // A project's own action may use `this`, and finds the wrapped actions there.
      const bound: Action = (ctx, ...rest) => action.call(wrapped, ctx, ...rest);
      wrapped[name] = withErrorResponse(strapi, wrap(bound));
    }
    return wrapped;
  }, original);

/** Calls an original action. If it signed a user in, opens a session and puts its tokens into the response. */
const signIn =
  (strapi: Core.Strapi, originalAction: Action, keepsDeviceId = false): Action =>
  async (ctx, ...rest) => {
    const { config } = getService(strapi, 'refresh-session');

    // Everything that can be refused is refused before a password is checked. A provider's callback always carries an
    // ambient credential: the session cookie of the round trip to the provider.
    const byProvider = isByProvider(ctx);
    if (byProvider) {
      visits.refuseNavigation(ctx);
      assertOrigin(ctx, config);
    }
    const { wantsBody, rememberMe, ...device } = byProvider
      ? visits.readVisitOptions(ctx)
      : extractSignInOptions(ctx, keepsDeviceId);
    const current = await currentSession(strapi, ctx);
    const transport = signInTransport(ctx, config, wantsBody, current);
    const persistent = rememberMe ?? current?.persistent ?? true;
    const byCookie = transport !== 'body';
    if (byCookie) assertOrigin(ctx, config);
    if (byProvider) visits.requireVisit(strapi, ctx, config, byCookie);

    // Strapi's own JWT only shows who was signed in. It never leaves the server.
    const { result, userIdOf, passwordHashOf } = await runSignIn(() =>
      originalAction(ctx, ...rest)
    );
    // A context that was built by hand may have no body, only what the action returns.
    const answer = ctx.body ?? result;

    const userId = signedInUserId(answer, userIdOf);
    // No JWT, for example because a registration waits for its confirmation.
    if (userId === null) return result;

    const options = { ...device, transport, persistent };
    const tokens = await answerSignIn(strapi, ctx, userId, options, passwordHashOf(userId));
    if (byProvider) visits.forgetVisit(strapi, ctx, config);
    ctx.body = { ...(answer as object), ...tokens };
    return ctx.body;
  };

/**
 * Opens a session for the user whom a request has signed in, unless the policy refuses, and writes its tokens.
 *
 * @param options of the sign-in, with its transport
 * @param passwordHash that the sign-in was checked against, if it was
 * @returns what the response has to contain
 * @throws SessionError as `open`
 */
export async function answerSignIn(
  strapi: Core.Strapi,
  ctx: Context,
  userId: number,
  options: Omit<NewClient, keyof ClientInfo>,
  passwordHash: string | undefined
): Promise<{ jwt: string; refreshToken?: string }> {
  const { config, policy, sessions } = getService(strapi, 'refresh-session');
  const { beforeSignIn } = policy;
  const { transport } = options;
  const client = clientInfo(ctx);
  const tokens = await sessions.open(
    userId,
    { ...client, ...options },
    {
      passwordHash,
      replaced: transport === 'body' ? [] : sessions.sidsOf(readRefreshCookies(ctx, config)),
      approve: beforeSignIn && ((user) => beforeSignIn(user, ctx, client)),
    }
  );
  return writeTokens(strapi, ctx, config, transport, tokens);
}

/** Over REST it is a link in an email, which any page may open, and it redirects. GraphQL asks for the user and signs in. */
const emailConfirmation = (strapi: Core.Strapi, originalAction: Action): Action => {
  const signingIn = signIn(strapi, originalAction);
  return (ctx, next, returnUser) => {
    refuseIllFormed(ctx.query);
    return (returnUser ? signingIn : originalAction)(ctx, next, returnUser);
  };
};

/** The redirect to a provider and the redirect back, both handled by the same action. */
const connect =
  (strapi: Core.Strapi, originalAction: Action): Action =>
  async (ctx, ...rest) => {
    const leg = visits.legOf(ctx);
    if (leg === 'there') visits.checkVisitOptions(ctx);
    const result = await originalAction(ctx, ...rest);
    // Writing the session cookie throws behind a proxy that the app does not trust, so do not write it for a disabled
    // provider.
    if (ctx.status !== 302) return result;
    const { config } = getService(strapi, 'refresh-session');
    if (leg === 'there') visits.startVisit(strapi, ctx, config);
    else visits.noteReturn(ctx);
    return result;
  };

/** Whether the sign-in is a provider's: over its route, or by GraphQL's `login`. */
const isByProvider = (ctx: Context): boolean =>
  Boolean(ctx.params?.provider) && ctx.params.provider !== 'local';

/** Additional fields that the project's registration accepts. */
const registrationFields = (strapi: Core.Strapi): string[] =>
  strapi.config.get('plugin::users-permissions.register.allowedFields', []) ?? [];

/** The session of a user who is already signed in, to change the password: the new one keeps its transport and persistence. */
async function currentSession(strapi: Core.Strapi, ctx: Context): Promise<Session | null> {
  const sid = ctx.state?.user ? await currentSid(strapi, ctx) : null;
  return sid === null ? null : getService(strapi, 'refresh-session').sessions.find(sid);
}

function signInTransport(
  ctx: Context,
  config: Config,
  wantsBody: boolean,
  current: Session | null
): Transport {
  if (wantsBody || !canSetCookies(ctx)) return 'body';
  if (wantsCookie(ctx)) return 'cookie';
  return current?.transport ?? resolveTransport(ctx, config);
}

/**
 * @param body what the original action returned
 * @param userIdOf whom the plugin's jwt service issued a JWT to
 * @returns the id of the user who has just been signed in, or null if no one was
 * @throws Error if a project's own code returns a JWT without its user: no session could end it
 */
function signedInUserId(body: unknown, userIdOf: (jwt: string) => unknown): number | null {
  const { jwt: token, user } = (body ?? {}) as { jwt?: unknown; user?: { id?: unknown } };
  if (typeof token !== 'string') return null;
  // A project's own code may have signed it in another way.
  const id = userIdOf(token) ?? (jwt.decode(token) as { id?: unknown } | null)?.id ?? user?.id;
  if (typeof id === 'number') return id;
  throw new Error(
    'A sign-in action returned a jwt without the id of its user. Return { jwt, user }, so that a session can be opened.'
  );
}
