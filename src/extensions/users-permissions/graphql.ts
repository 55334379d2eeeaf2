/**
 * Optional: sessions over GraphQL, if the project has @strapi/plugin-graphql. The resolvers are the REST actions: same
 * rules, same origin check, same cookies, same limits. `strapi-server.ts` says how to remove it.
 */
import type { Core } from '@strapi/strapi';
import { errors } from '@strapi/utils';
import { isTokenAccessEnabled } from './config/read';
import { isBefore } from './config/release';
import * as sessions from './controllers/sessions';
import * as token from './controllers/token';
import { graphqlError } from './http/graphql-error';
import { withErrorResponse } from './http/response';
import type { Action } from './http/response';
import { limitedAs, PUBLIC, SIGNED_IN } from './http/routing';
import type { Context } from './types';
import { inherit } from './wrap';

/** @param plugin users-permissions, as changed by this extension */
export const withGraphql = (plugin: any) => ({
  ...plugin,
  async register({ strapi }: { strapi: Core.Strapi }) {
    await plugin.register({ strapi });
    const graphql = strapi.plugin('graphql');
    // Without shadow CRUD, Strapi has no sign-in over GraphQL that could be extended.
    if (!graphql?.config('shadowCRUD', true)) return;
    const extension = graphql.service('extension') as unknown as { use(extend: Extend): void };
    extension.use(extendSchema);
    if (isTokenAccessEnabled()) extension.use(addAccessToken);
  },
});

const SIGN_IN_OPTIONS = `
    "Return the refresh token instead of setting the cookie"
    requestRefresh: Boolean
    rememberMe: Boolean
    "Shown in the list of sessions"
    sessionDescription: String
    deviceId: String`;

const TYPES = `
  extend type Mutation {
    "Exchange a refresh token for the next tokens. Without the argument, the cookie is used."
    refreshToken(refreshToken: String): UsersPermissionsTokenPayload!
    "Sign out: end the session of the refresh token or, without it, those of the cookie and the access token"
    revokeToken(refreshToken: String): UsersPermissionsRevokePayload!
    "End one of your own sessions"
    endSession(id: ID!): UsersPermissionsRevokePayload!
    "End all of your own sessions, or all others"
    endSessions(exceptCurrent: Boolean = false): UsersPermissionsEndPayload!
  }
  extend type Query {
    "Your 100 most recent sessions, always including the current one"
    mySessions: [UsersPermissionsSession!]!
  }
  extend input UsersPermissionsLoginInput {${SIGN_IN_OPTIONS}
  }
  extend input UsersPermissionsRegisterInput {${SIGN_IN_OPTIONS}
  }
  extend type UsersPermissionsLoginPayload {
    "Null if it is in the cookie"
    refreshToken: String
  }
  type UsersPermissionsTokenPayload {
    jwt: String!
    "Null if it is in the cookie"
    refreshToken: String
  }
  type UsersPermissionsRevokePayload {
    ok: Boolean!
  }
  type UsersPermissionsEndPayload {
    "How many sessions were ended"
    ended: Int!
  }
  type UsersPermissionsSession {
    id: ID!
    description: String
    userAgent: String
    ip: String
    "cookie, body or both"
    transport: String!
    createdAt: DateTime!
    lastActivity: DateTime!
    expiresAt: DateTime!
    endsAt: DateTime!
    current: Boolean!
  }`;

const ACCESS_TYPES = `
  extend type Mutation {
    "Get an access token, and keep the refresh token. Without the argument, the cookie is used."
    accessToken(refreshToken: String): UsersPermissionsAccessPayload!
  }
  type UsersPermissionsAccessPayload {
    jwt: String!
  }`;

/** Strapi's own mutations that sign in or send a code, and the route whose rate limit they share, if it has one. */
const ORIGINALS: Record<string, string> = {
  login: '/auth/local',
  register: '/auth/local/register',
  forgotPassword: '/auth/forgot-password',
  resetPassword: '/auth/reset-password',
  changePassword: '/auth/change-password',
  emailConfirmation: '',
};

/** @see @strapi/plugin-graphql dist/server/services/extension/extension.js, generate */
type Extend = (context: { nexus: any; strapi: Core.Strapi }) => object;

const extendSchema: Extend = ({ nexus, strapi }) => ({
  typeDefs: TYPES,
  resolvers: {
    Mutation: {
      refreshToken: resolver(strapi, token.refresh, (body) => ({ body })),
      revokeToken: resolver(strapi, token.revoke, (body) => ({ body })),
      endSession: resolver(strapi, sessions.end, (params) => ({ params })),
      endSessions: resolver(strapi, sessions.endAll, ({ exceptCurrent }) => ({
        query: exceptCurrent ? { except: 'current' } : {},
      })),
    },
    Query: { mySessions: resolver(strapi, sessions.list, () => ({})) },
  },
  resolversConfig: {
    'Mutation.refreshToken': PUBLIC,
    'Mutation.revokeToken': PUBLIC,
    'Mutation.endSession': SIGNED_IN,
    'Mutation.endSessions': SIGNED_IN,
    'Query.mySessions': SIGNED_IN,
  },
  // Not `middlewares` in `resolversConfig`: Strapi merges those of several extensions by position, so the project's own
  // would replace these, or the reverse.
  plugins: [
    nexus.plugin({
      name: 'refresh-token',
      onCreateFieldResolver: ({ parentTypeConfig, fieldConfig }: any) => {
        const isOriginal = parentTypeConfig.name === 'Mutation' && fieldConfig.name in ORIGINALS;
        return isOriginal ? aroundOriginal(strapi, ORIGINALS[fieldConfig.name]!) : undefined;
      },
    }),
  ],
});

const addAccessToken: Extend = ({ strapi }) => ({
  typeDefs: ACCESS_TYPES,
  resolvers: { Mutation: { accessToken: resolver(strapi, token.access, (body) => ({ body })) } },
  resolversConfig: { 'Mutation.accessToken': PUBLIC },
});

type Resolver = (parent: any, args: any, context: { koaContext: Context }, info: any) => unknown;

/** What an action finds in its request. */
type Input = { body?: object; params?: object; query?: object; state?: object };

/** @returns the resolver of a field that is a REST action */
const resolver = (
  strapi: Core.Strapi,
  action: (strapi: Core.Strapi) => Action,
  input: (args: any) => Input
): Resolver => {
  const answering = withErrorResponse(strapi, action(strapi));
  return (_parent, args, { koaContext }) =>
    inTurn(strapi, koaContext, async () => {
      const { ctx, readAnswer } = contextOfField(koaContext, input(args));
      await answering(ctx);
      return readAnswer();
    });
};

/**
 * Around one of Strapi's resolvers, which call an action of the auth controller but return only its `jwt` and `user`.
 *
 * @param route the one with the same rate limit. Before 5.53, Strapi limits the routes only, and a thousand aliases in one
 *   request are a thousand guesses
 */
const aroundOriginal = (strapi: Core.Strapi, route: string) => {
  const limit = route ? limitedAs(strapi, route) : null;
  return (...[parent, args, context, info, next]: [...Parameters<Resolver>, Resolver]) =>
    inTurn(strapi, context.koaContext, async () => {
      const { koaContext } = context;
      // Strapi counts each user's requests separately, so an attacker would have as many guesses as accounts allow.
      const isAnonymous = route !== '/auth/change-password';
      const state = isAnonymous ? { ...koaContext.state, user: undefined } : koaContext.state;
      const { ctx, readAnswer } = contextOfField(koaContext, { body: args.input ?? args, state });
      let payload: any;
      const resolve = async () => {
        payload = await next(parent, args, { ...context, koaContext: ctx }, info);
      };
      await (limit && isBefore(strapi, 53) ? limit(ctx, resolve) : resolve());
      return { ...payload, refreshToken: readAnswer()?.refreshToken };
    });
};

/**
 * A field's view of the context that all fields of the HTTP request share, with its own input, body and status. Headers and
 * cookies go to the shared response, so the last field that writes a cookie wins.
 *
 * @returns `ctx`, and `readAnswer`: the body that the action wrote. @throws ApplicationError if that is an error
 */
function contextOfField(shared: Context, { body = {}, ...input }: Input) {
  let current: any;
  let answer: any;
  const { params = {}, query = shared.query, state = shared.state } = input;
  const request = inherit(shared.request, { body, query, path: shared.path });
  const response = inherit(shared.response, {
    status: 200,
    get body() {
      return current;
    },
    set body(value) {
      current = value;
      // Since 5.53, Strapi's resolvers end by restoring the body from before.
      answer = value ?? answer;
    },
  });
  const ctx: Context = inherit(shared, { request, response, params, state });
  const readAnswer = () => {
    const { error } = answer ?? {};
    if (error) throw new errors.ApplicationError(error.message, error.details);
    return answer;
  };
  return { ctx, readAnswer };
}

const queues = new WeakMap<object, Promise<unknown>>();
/** Fields of a query and operations of a batch would run concurrently. */
function inTurn<T>(strapi: Core.Strapi, ctx: Context, work: () => Promise<T>): Promise<T> {
  const result = (queues.get(ctx) ?? Promise.resolve()).then(work).catch((error) => {
    throw withCode(strapi, error);
  });
  const done = result.catch(() => {});
  queues.set(ctx, done);
  return result;
}

/** @returns a refusal with its code in `extensions`; Strapi's own errors as they are; no message of any other, which is logged */
function withCode(strapi: Core.Strapi, error: any): unknown {
  if (typeof error?.details?.code === 'string') return graphqlError(strapi, error);
  const isPublic = error instanceof errors.ApplicationError || error instanceof errors.HttpError;
  if (isPublic || error?.name === 'GraphQLError') return error;
  strapi.log.error(error);
  return graphqlError(strapi);
}
