import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import type { Config } from '../config';
import { rememberingPassword } from '../services/checked-password';
import { currentSid, handOut, refreshSessions } from '../services';
import * as transport from '../transport';
import type { Context, Transport } from '../types';
import { answering } from './answer';
import type { Action } from './answer';
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
export const withSignIns =
  (stock: AuthController) =>
  ({ strapi }: { strapi: Core.Strapi }): Actions => {
    const actions = typeof stock === 'function' ? stock({ strapi }) : stock;
    return {
      ...actions,
      callback: signIn(strapi, actions.callback),
      register: signIn(strapi, actions.register),
      changePassword: signIn(strapi, actions.changePassword),
      resetPassword: signIn(strapi, actions.resetPassword),
      emailConfirmation: emailConfirmation(strapi, actions.emailConfirmation),
      connect: connect(actions.connect),
      refresh: token.refreshAsStock(strapi),
      logout: token.logout(strapi),
      getSessions: sessionActions.listAsStock(strapi),
      revokeSession: sessionActions.endAsStock(strapi),
    };
  };

const signIn = (strapi: Core.Strapi, stockAction: Action): Action =>
  answering(async (ctx, ...rest) => {
    const { config, sessions } = refreshSessions(strapi);

    // All that can be refused is refused before a password is looked at. A provider's callback has an ambient proof in any
    // case: the session cookie of the way to the provider.
    const byProvider = isByProvider(ctx);
    if (byProvider) transport.assertOrigin(ctx, config, true);
    const { wantsBody, description } = byProvider
      ? transport.takeProviderFields(ctx)
      : transport.takeSignInFields(ctx, fieldsOfUsers(strapi));
    const answerBy = await settle(strapi, ctx, config, wantsBody);
    if (answerBy !== 'body' && !byProvider) transport.assertOrigin(ctx, config);

    const passwordOf = await rememberingPassword(() => stockAction(ctx, ...rest));

    const userId = signedIn(ctx.body);
    // Such as a registration that waits for its confirmation: stock answered without a jwt.
    if (userId === null) return;

    const client = { ...transport.clientOf(ctx), transport: answerBy, description };
    const grant = await sessions.open(userId, client, passwordOf(userId));
    ctx.body = { ...(ctx.body as object), ...handOut(strapi, ctx, answerBy, grant) };
  });

/** Over REST it redirects, and is a link in a mail that any page may open; GraphQL asks it for the user, and signs in. */
const emailConfirmation = (strapi: Core.Strapi, stockAction: Action): Action => {
  const signingIn = signIn(strapi, stockAction);
  return answering((ctx, next, returnUser) => {
    transport.refuseNul(ctx.query);
    return (returnUser ? signingIn : stockAction)(ctx, next, returnUser);
  });
};

/** What is wished on the way to the provider is kept in the session cookie until the way back. */
const connect = (stockAction: Action): Action =>
  answering((ctx, ...rest) => {
    // The provider's redirect comes in by the same action.
    if (!/\/callback\/?$/.test(ctx.path)) transport.keepWish(ctx);
    return stockAction(ctx, ...rest);
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
  if (wantsBody) return 'body';

  // Who is signed in already (to change the password) goes on as before.
  const sid = ctx.state.user ? currentSid(strapi, ctx) : null;
  const asBefore =
    sid && !transport.wantsCookie(ctx)
      ? await refreshSessions(strapi).sessions.transportOf(sid)
      : null;
  return asBefore ?? transport.settle(ctx, config);
}

/** @returns the id of the user that stock has just signed in, from the jwt that it answered with */
function signedIn(body: unknown): number | null {
  const token = (body as { jwt?: unknown } | null | undefined)?.jwt;
  if (typeof token !== 'string') return null;
  return (jwt.decode(token) as jwt.JwtPayload | null)?.id ?? null;
}
