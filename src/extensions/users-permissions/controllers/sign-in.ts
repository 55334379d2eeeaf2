import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import type { Config } from '../config';
import { SessionError } from '../errors';
import { accessTokens } from '../services/access-token';
import { refreshSessions } from '../services/refresh-session';
import * as transport from '../transport';
import type { Context, Transport } from '../types';
import { answering } from './answer';
import type { Action } from './answer';

type Actions = Record<string, Action>;
type AuthController = Actions | ((context: { strapi: Core.Strapi }) => Actions);

/** The stock actions that may answer with a `jwt`. */
const SIGN_INS = ['callback', 'register'] as const;

/**
 * Wraps the plugin's auth controller: where a stock action signs a user in, a session is opened and its tokens take the
 * place of the long-lived jwt. The stock actions are called, never copied.
 *
 * @param stock `plugin.controllers.auth`, a factory: a method assigned onto it would be lost
 * @see @strapi/plugin-users-permissions server/src/controllers/auth.js
 */
export const withSignIns =
  (stock: AuthController) =>
  ({ strapi }: { strapi: Core.Strapi }): Actions => {
    const actions = typeof stock === 'function' ? stock({ strapi }) : stock;
    const wrapped = SIGN_INS.map((name) => [name, signIn(strapi, actions[name])]);
    return { ...actions, ...Object.fromEntries(wrapped) };
  };

const signIn = (strapi: Core.Strapi, stockAction: Action): Action =>
  answering(async (ctx, ...rest) => {
    const { config, ...sessions } = refreshSessions(strapi);

    // All that can be refused is refused before a password is looked at.
    const { wish, description } = takeOwnFields(ctx);
    const answerBy = settle(ctx, config, wish);
    if (answerBy !== 'body') transport.assertOrigin(ctx, config);

    await stockAction(ctx, ...rest);

    const userId = signedIn(ctx.body);
    // Such as a registration that waits for its confirmation: stock answered without a jwt.
    if (userId === null) return;

    const client = { ...transport.clientOf(ctx), transport: answerBy, description };
    const grant = await sessions.open(userId, client);
    ctx.body = {
      ...(ctx.body as object),
      jwt: accessTokens(strapi).issueFor(grant.session),
      ...transport.writeGrant(ctx, config, answerBy, grant),
    };
  });

/** Takes out what is ours: the stock actions refuse body keys that they do not know. */
function takeOwnFields(ctx: Context): { wish: boolean; description: string | null } {
  const { requestRefresh, sessionDescription, ...body } = transport.bodyOf(ctx);
  (ctx.request as { body?: unknown }).body = body;

  // PostgreSQL answers NUL with an error, and stock hands the identifier to it as it is.
  const texts = [...Object.values(body), sessionDescription];
  if (texts.some((value) => typeof value === 'string' && value.includes('\0'))) {
    throw new SessionError('invalid_request', 'No field may contain the NUL character.');
  }
  return {
    wish: readWish(requestRefresh),
    description: readDescription(sessionDescription),
  };
}

function readWish(value: unknown): boolean {
  if (value === true || value === 'true') return true;
  if (value === false || value === null || value === undefined) return false;
  throw new SessionError('invalid_request', 'requestRefresh must be true or false.');
}

function readDescription(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  // Counted as the databases count, by character.
  if (typeof value === 'string' && [...value].length <= transport.LONGEST_TEXT) return value;
  throw new SessionError(
    'invalid_request',
    `sessionDescription must be text of at most ${transport.LONGEST_TEXT} characters.`
  );
}

function settle(ctx: Context, config: Config, wantsBody: boolean): Transport {
  if (wantsBody) return 'body';
  return transport.wantsCookie(ctx) ? 'cookie' : config.response;
}

/** @returns the id of the user that stock has just signed in, from the jwt that it answered with */
function signedIn(body: unknown): number | null {
  const token = (body as { jwt?: unknown } | null | undefined)?.jwt;
  if (typeof token !== 'string') return null;
  return (jwt.decode(token) as jwt.JwtPayload).id;
}
