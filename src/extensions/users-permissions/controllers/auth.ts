import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import type { Config } from '../config/read';
import { rememberingPassword } from '../services/user';
import * as visits from '../http/provider-sign-in';
import { currentSid, handOut, refreshSessions, sessionsOfCookies } from '../services';
import * as transport from '../http/request';
import type { Context, Transport } from '../types';
import { withChanges, withPropertiesOf } from '../wrap';
import { answering } from '../http/response';
import type { Action } from '../http/response';
import * as sessionActions from './sessions';
import * as token from './token';

type Actions = Record<string, Action>;
type AuthController = Actions | ((context: { strapi: Core.Strapi }) => Actions);

/**
 * Wraps the plugin's auth controller: where a stock action signs a user in, a session is opened and its tokens take the
 * place of the long-lived jwt. The stock actions are called, never copied. Those of Strapi's own refresh mode are replaced.
 *
 * @param stock `plugin.controllers.auth`, a factory: a method assigned onto it would be lost
 * @see @strapi/plugin-users-permissions server/src/controllers/auth.js
 */
export const withSignIns = (stock: AuthController) =>
  withPropertiesOf(({ strapi }: { strapi: Core.Strapi }): Actions => {
    const actions = typeof stock === 'function' ? stock({ strapi }) : stock;
    const wrapped: Actions = withChanges(actions, {
      refresh: token.refreshAsStock(strapi),
      logout: token.logout(strapi),
      getSessions: sessionActions.listAsStock(strapi),
      revokeSession: sessionActions.endAsStock(strapi),
    });
    const keepsDeviceId = fieldsOfUsers(strapi).includes('deviceId');
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
      // If a project's own controller lacks one, Strapi says so at boot.
      if (!action) continue;
      // A project's own action may use `this`, and finds the wrapped ones there.
      wrapped[name] = wrap((ctx, ...rest) => action.call(wrapped, ctx, ...rest));
    }
    return wrapped;
  }, stock);

const signIn = (strapi: Core.Strapi, stockAction: Action, keepsDeviceId = false): Action =>
  answering(async (ctx, ...rest) => {
    const { config, sessions } = refreshSessions(strapi);

    // Whatever can be refused is refused before a password is looked at. A provider's callback has an ambient proof in any
    // case: the session cookie of the way to the provider.
    const byProvider = isByProvider(ctx);
    if (byProvider) {
      visits.refuseNavigation(ctx);
      transport.assertOrigin(ctx, config);
    }
    const { wantsBody, ...device } = byProvider
      ? visits.readVisitOptions(ctx)
      : transport.takeSignInFields(ctx, keepsDeviceId);
    const answerBy = await settle(strapi, ctx, config, wantsBody);
    const byCookie = answerBy !== 'body';
    if (byCookie) transport.assertOrigin(ctx, config);
    if (byProvider) visits.requireVisit(ctx, config, byCookie);

    const { result, hashOf } = await rememberingPassword(() => stockAction(ctx, ...rest));
    // A context that was made by hand may have no body, only what the action returns.
    const answer = ctx.body ?? result;

    const userId = signedIn(answer);
    // Such as a registration that waits for its confirmation: stock answered without a jwt.
    if (userId === null) return result;

    const client = { ...transport.clientOf(ctx), ...device, transport: answerBy };
    const replaced = byCookie ? sessionsOfCookies(strapi, ctx) : [];
    const grant = await sessions.open(userId, client, hashOf(userId), replaced);
    if (byProvider) visits.forgetVisit(ctx, config);
    ctx.body = { ...(answer as object), ...handOut(strapi, ctx, answerBy, grant) };
    return ctx.body;
  });

/** Over REST it redirects, and is a link in a mail that any page may open; GraphQL asks it for the user, and signs in. */
const emailConfirmation = (strapi: Core.Strapi, stockAction: Action): Action => {
  const signingIn = signIn(strapi, stockAction);
  return answering((ctx, next, returnUser) => {
    transport.refuseIllFormed(ctx.query);
    return (returnUser ? signingIn : stockAction)(ctx, next, returnUser);
  });
};

/** The way to a provider, and its redirect back, which comes in by the same action. */
const connect = (strapi: Core.Strapi, stockAction: Action): Action =>
  answering(async (ctx, ...rest) => {
    const leg = visits.legOf(ctx);
    if (leg === 'there') visits.checkVisitOptions(ctx);
    const result = await stockAction(ctx, ...rest);
    // Behind a proxy that the app does not trust, writing the session cookie throws: not for a provider that is disabled.
    if (ctx.status !== 302) return result;
    if (leg === 'there') visits.startVisit(ctx, refreshSessions(strapi).config);
    else visits.noteReturn(ctx);
    return result;
  });

/** By its route, or by GraphQL's `login`. */
const isByProvider = (ctx: Context): boolean =>
  Boolean(ctx.params?.provider) && ctx.params.provider !== 'local';

/** Fields of a project's own that its registration takes. */
const fieldsOfUsers = (strapi: Core.Strapi): string[] =>
  strapi.config.get('plugin::users-permissions.register.allowedFields', []) ?? [];

async function settle(
  strapi: Core.Strapi,
  ctx: Context,
  config: Config,
  wantsBody: boolean
): Promise<Transport> {
  if (wantsBody || !transport.canSetCookies(ctx)) return 'body';

  // Who is signed in already (to change the password) goes on as before.
  const sid = ctx.state?.user ? await currentSid(strapi, ctx) : null;
  const asBefore =
    sid && !transport.wantsCookie(ctx) ? await refreshSessions(strapi).sessions.find(sid) : null;
  return asBefore?.transport ?? transport.settle(ctx, config);
}

/**
 * @returns the id of the user that stock has just signed in, or null where it signed nobody in
 * @throws Error if a project's own code answers a jwt that says nothing of its user: no session could end it
 */
function signedIn(body: unknown): number | null {
  const { jwt: token, user } = (body ?? {}) as { jwt?: unknown; user?: { id?: unknown } };
  if (typeof token !== 'string') return null;
  const claims = jwt.decode(token) as { id?: unknown } | null;
  const id = claims?.id ?? user?.id;
  if (typeof id === 'number') return id;
  throw new Error('A sign-in answered a jwt without the id of its user.');
}
