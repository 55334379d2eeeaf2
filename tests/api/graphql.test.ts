import { readFileSync, rmSync, writeFileSync } from 'fs';
import http from 'http';
import type { AddressInfo } from 'net';
import path from 'path';
import { setTimeout as sleep } from 'timers/promises';
import {
  buildClientSchema,
  getIntrospectionQuery,
  GraphQLInputObjectType,
  GraphQLObjectType,
  parse,
  print,
  printType,
} from 'graphql';
import type { GraphQLNamedType, GraphQLSchema } from 'graphql';
import type { Response } from 'supertest';
import { withGraphql } from '../../src/extensions/users-permissions/graphql';
import { onBusyDatabase } from '../support/busy';
import { claims, cookieHeader, cookies } from '../support/client';
import { EXTENSION, graphqlProject } from '../support/project';
import { since } from '../support/release';
import { boot, DAY, HOUR, MINUTE, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

/** Strapi's GraphQL plugin, with the extension. docs/graphql.md has a table of what these tests show. */

const USER = 'plugin::users-permissions.user';
const NEW = 'another horse 2';
const FOREIGN = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.test' };
const AS_COOKIE = { 'x-strapi-refresh-cookie': 'httpOnly' };

let server: Server;

/** How often the project's own middleware for the login ran. */
let logins = 0;

/** Whether the project's policy refuses every refresh. */
let isVetoed = false;

/** What its policy for sign-ins does. */
let beforeSignIn = () => {};

/** A field of the project, for those who signed in within ten minutes. */
function addField(strapi: Server['strapi']): void {
  const policy = { name: 'plugin::users-permissions.recent-sign-in', config: { within: '10m' } };
  (strapi.plugin('graphql').service('extension') as any).use({
    typeDefs: 'extend type Query { plans: String }',
    resolvers: { Query: { plans: () => 'secret' } },
    resolversConfig: { 'Query.plans': { auth: { scope: [] }, policies: [policy] } },
  });
}

/** What a project with GraphQL may have in its configuration and in its own code. */
function configure(strapi: Server['strapi']): void {
  const load = (name: string) =>
    jest.requireActual(path.join(strapi.dirs.dist.root, EXTENSION, `${name}.js`));
  load('policy').policy.beforeSignIn = () => beforeSignIn();
  load('policy').policy.beforeRefresh = () => {
    if (!isVetoed) return;
    const { SessionError } = load('errors');
    throw new SessionError('plan_expired', 403, 'Renew your plan.', { plan: 'basic' });
  };
  strapi.config.set('plugin::graphql.apolloServer', { allowBatchedHttpRequests: true });
  (strapi.plugin('graphql').service('extension') as any).use({
    resolversConfig: {
      'Mutation.login': {
        middlewares: [
          (next: (...all: unknown[]) => unknown, ...all: unknown[]) => {
            logins += 1;
            return next(...all);
          },
        ],
      },
    },
  });
  strapi.plugin('email').service('email').send = async () => {};
  addField(strapi);
}

type Headers = Record<string, string>;
type Variables = Record<string, unknown>;

const ask = async (query: string, variables: Variables = {}, headers: Headers = {}) =>
  server.api.post('/graphql').set(headers).send({ query, variables });

const codes = ({ body }: Response): string[] =>
  (body.errors ?? []).map(({ extensions }: any) => extensions.code);

const bearer = (jwt: string) => ({ Authorization: `Bearer ${jwt}` });

const login = (input: object, headers?: Headers) =>
  ask(
    `mutation ($input: UsersPermissionsLoginInput!) {
       login(input: $input) { jwt refreshToken user { username } }
     }`,
    { input },
    headers
  );

/** Signs a new user in. */
async function signedIn(input: object = { requestRefresh: true }, headers?: Headers) {
  const { id, username } = await server.user();
  const response = await login({ identifier: username, password: PASSWORD, ...input }, headers);
  const { jwt, refreshToken } = response.body.data.login;
  return { id, username, jwt, refreshToken, response, Cookie: cookieHeader(response) } as {
    id: number;
    username: string;
    jwt: string;
    refreshToken: string;
    response: Response;
    Cookie: string;
  };
}

/** A new user's browser. */
const browser = () => signedIn({});

const refresh = (refreshToken: string | null, headers?: Headers) =>
  ask(
    'mutation ($refreshToken: String) { refreshToken(refreshToken: $refreshToken) { jwt refreshToken } }',
    { refreshToken },
    headers
  );
const access = (refreshToken: string | null, headers?: Headers) =>
  ask(
    'mutation ($refreshToken: String) { accessToken(refreshToken: $refreshToken) { jwt } }',
    { refreshToken },
    headers
  );
const revoke = (refreshToken: string | null, headers?: Headers) =>
  ask(
    'mutation ($refreshToken: String) { revokeToken(refreshToken: $refreshToken) { ok } }',
    { refreshToken },
    headers
  );
const mySessions = (jwt: string) =>
  ask(
    `{ mySessions {
         id description userAgent ip transport createdAt lastActivity expiresAt endsAt current
       } }`,
    {},
    bearer(jwt)
  );
const endSession = (id: string, headers: Headers) =>
  ask('mutation ($id: ID!) { endSession(id: $id) { ok } }', { id }, headers);

const rowsOf = async (userId: number) =>
  (await server.rows()).filter(({ user_id: id }) => id === userId);

const schemaOf = async (): Promise<GraphQLSchema> =>
  buildClientSchema((await ask(getIntrospectionQuery())).body.data);

let schema: GraphQLSchema;

describe('Over GraphQL', () => {
  const project = graphqlProject();
  beforeAll(async () => {
    const env = { RATE_LIMIT_MAX: '', REFRESH_TOKEN_ACCESS: 'true' };
    server = await boot(env, configure, undefined, project.folder);
    schema = await schemaOf();
  });
  afterAll(async () => {
    await server.stop();
    project.remove();
  });
  // Every test gets its own allowance of the sign-ins that Strapi permits per minute.
  beforeEach(() => pass(HOUR));

  describe('a sign-in', () => {
    test('opens a session and sets the cookie', async () => {
      const { id, jwt, refreshToken, response } = await browser();
      expect(claims(jwt)).toMatchObject({ id, gen: 0 });
      expect(refreshToken).toBeNull();
      expect(cookies(response).refreshToken).toMatch(/httponly/i);
      expect(response.headers['cache-control']).toBe('no-store');
      expect((await ask('{ me { id } }', {}, bearer(jwt))).body.data.me.id).toBe(String(id));
    });

    test('returns the refresh token if that is requested, and sets no cookie', async () => {
      const { id, refreshToken, response } = await signedIn({
        requestRefresh: true,
        sessionDescription: 'Phone',
        deviceId: 'device-1',
      });
      expect(claims(refreshToken)).toMatchObject({ typ: 'refresh', uid: id });
      expect(cookies(response)).toEqual({});
      expect(await rowsOf(id)).toMatchObject([
        { transport: 'body', description: 'Phone', device_id: 'device-1' },
      ]);
    });

    test('sets a cookie that is deleted when the browser closes, even after a refresh, if that is requested', async () => {
      const { response, Cookie } = await signedIn({ rememberMe: false });
      for (const answer of [response, await refresh(null, { Cookie })]) {
        expect(codes(answer)).toEqual([]);
        expect(cookies(answer).refreshToken).not.toMatch(/expires/i);
      }
      expect(cookies((await browser()).response).refreshToken).toMatch(/expires/i);
    });

    test('follows REFRESH_TOKEN_RESPONSE and the header that asks for the cookie', async () => {
      const { config } = server.strapi.service('plugin::users-permissions.refresh-session') as any;
      config.response = 'both';
      try {
        const both = await signedIn({});
        expect(both.refreshToken).toEqual(expect.any(String));
        expect(cookies(both.response)).toHaveProperty('refreshToken');
        const byCookie = await signedIn({}, AS_COOKIE);
        expect(byCookie.refreshToken).toBeNull();
        expect(cookies(byCookie.response)).toHaveProperty('refreshToken');
      } finally {
        config.response = 'cookie';
      }
    });

    test('replaces the session that the browser had', async () => {
      const { id, username, Cookie } = await browser();
      const input = { identifier: username, password: PASSWORD };
      const { body } = await login(input, { Cookie });
      const [row, ...others] = await rowsOf(id);
      expect([claims(body.data.login.jwt).sid, others]).toEqual([row.sid, []]);
    });

    test('runs the middlewares that the project has for it', async () => {
      const before = logins;
      await browser();
      expect(logins).toBe(before + 1);
    });

    test('with a wrong password is refused as by Strapi', async () => {
      const { username } = await server.user();
      const response = await login({ identifier: username, password: 'wrong' });
      expect(response.status).toBe(200);
      expect(response.body).toMatchObject({
        errors: [
          {
            message: 'Invalid identifier or password',
            extensions: { code: 'BAD_USER_INPUT' },
          },
        ],
        data: null,
      });
    });

    test('with a provider needs the visit of a browser, as over REST', async () => {
      const input = { identifier: 'a', password: 'b', provider: 'github' };
      expect(codes(await login(input))).toEqual(['invalid_request']);
    });
  });

  const register = (input: object) =>
    ask(
      `mutation ($input: UsersPermissionsRegisterInput!) {
         register(input: $input) { jwt refreshToken user { id } }
       }`,
      { input }
    );

  test('a registration signs the user in with a session', async () => {
    const newcomer = { username: 'new', email: 'new@test.local', password: PASSWORD };
    const options = { requestRefresh: true, sessionDescription: 'Phone', deviceId: 'device-2' };
    const { body } = await register({ ...newcomer, ...options });
    const { jwt, refreshToken, user } = body.data.register;
    expect(claims(jwt).sid).toBe(claims(refreshToken).sid);
    expect(await rowsOf(Number(user.id))).toMatchObject([
      { description: 'Phone', device_id: 'device-2' },
    ]);
  });

  test('a registration that awaits confirmation opens no session, and the confirmation does', async () => {
    const store = server.strapi.store({ type: 'plugin', name: 'users-permissions' });
    const advanced = (await store.get({ key: 'advanced' })) as object;
    await store.set({ key: 'advanced', value: { ...advanced, email_confirmation: true } });
    try {
      const email = 'waiting@test.local';
      const response = await register({ username: 'waiting', email, password: PASSWORD });
      const { jwt, refreshToken, user } = response.body.data.register;
      expect([jwt, refreshToken, cookies(response)]).toEqual([null, null, {}]);
      const id = Number(user.id);
      expect(await rowsOf(id)).toEqual([]);

      const { confirmationToken } = await server.strapi.db.query(USER).findOne({ where: { id } });
      const confirmed = await ask(
        'mutation ($code: String!) { emailConfirmation(confirmation: $code) { jwt user { id } } }',
        { code: confirmationToken }
      );
      expect(claims(confirmed.body.data.emailConfirmation.jwt)).toMatchObject({ id, gen: 0 });
      expect(cookies(confirmed)).toHaveProperty('refreshToken');
    } finally {
      await store.set({ key: 'advanced', value: advanced });
    }
  });

  const changePassword = (headers: Headers, currentPassword = PASSWORD) =>
    ask(
      `mutation ($currentPassword: String!, $new: String!) {
         changePassword(currentPassword: $currentPassword, password: $new, passwordConfirmation: $new) {
           jwt refreshToken
         }
       }`,
      { currentPassword, new: NEW },
      headers
    );

  test.each([
    ['body', { requestRefresh: true }],
    ['cookie', {}],
  ])(
    'a password change ends every other session, and the new one travels by %s as before',
    async (transport, input) => {
      const { id, username, jwt, Cookie } = await signedIn(input);
      await login({ identifier: username, password: PASSWORD });
      const changed = await changePassword({ ...bearer(jwt), ...(Cookie && { Cookie }) });
      const tokens = changed.body.data.changePassword;
      expect(await rowsOf(id)).toMatchObject([{ sid: claims(tokens.jwt).sid, transport }]);
      expect(tokens.refreshToken === null).toBe(transport === 'cookie');
      expect('refreshToken' in cookies(changed)).toBe(transport === 'cookie');
    }
  );

  test('a forgotten password is reset, which ends every session and opens a new one', async () => {
    const { id, username } = await signedIn();
    const { email } = await server.strapi.db.query(USER).findOne({ where: { username } });
    const forgot = 'mutation ($email: String!) { forgotPassword(email: $email) { ok } }';
    expect((await ask(forgot, { email })).body.data.forgotPassword).toEqual({ ok: true });
    const { resetPasswordToken } = await server.strapi.db.query(USER).findOne({ where: { id } });
    const reset = await ask(
      `mutation ($code: String!, $new: String!) {
         resetPassword(code: $code, password: $new, passwordConfirmation: $new) { jwt }
       }`,
      { code: resetPasswordToken, new: NEW }
    );
    const { sid } = claims(reset.body.data.resetPassword.jwt);
    expect(await rowsOf(id)).toMatchObject([{ sid, transport: 'cookie' }]);
    expect(cookies(reset)).toHaveProperty('refreshToken');
  });

  describe('a refresh', () => {
    test('exchanges the cookie for the next one', async () => {
      const { Cookie, jwt } = await browser();
      const response = await refresh(null, { Cookie });
      const tokens = response.body.data.refreshToken;
      expect(claims(tokens.jwt)).toMatchObject({ sid: claims(jwt).sid, gen: 1 });
      expect(tokens.refreshToken).toBeNull();
      expect(cookies(response).refreshToken).not.toContain(Cookie.split(';')[0]);
      expect(response.headers['cache-control']).toBe('no-store');
    });

    test('exchanges the token in the argument for the next one', async () => {
      const { refreshToken } = await signedIn();
      const response = await refresh(refreshToken);
      const tokens = response.body.data.refreshToken;
      expect(claims(tokens.refreshToken).gen).toBe(1);
      expect(cookies(response)).toEqual({});
      const byHeader = await refresh(tokens.refreshToken, AS_COOKIE);
      expect(byHeader.body.data.refreshToken.refreshToken).toBeNull();
      expect(cookies(byHeader)).toHaveProperty('refreshToken');
    });

    test('with a token of the same session gets the same next token in the grace period', async () => {
      const { refreshToken } = await signedIn();
      const answers = [await refresh(refreshToken), await refresh(refreshToken)];
      const [first, second] = answers.map(({ body }) => body.data.refreshToken.refreshToken);
      expect(second).toBe(first);
    });

    test('with a token that was replayed ends the session', async () => {
      const { refreshToken } = await signedIn();
      const { body } = await refresh(refreshToken);
      expect((await mySessions(body.data.refreshToken.jwt)).body.data.mySessions).toHaveLength(1);
      pass(MINUTE);
      expect(codes(await refresh(refreshToken))).toEqual(['refresh_token_reused']);
      const again = await refresh(body.data.refreshToken.refreshToken);
      expect(codes(again)).toEqual(['session_ended']);
    });

    test('that the policy refuses has the policy’s code and details', async () => {
      const { refreshToken } = await signedIn();
      isVetoed = true;
      const vetoed = [await refresh(refreshToken), await access(refreshToken)];
      isVetoed = false;
      for (const response of vetoed) {
        expect(codes(response)).toEqual(['plan_expired']);
        const { message, extensions } = response.body.errors[0];
        expect(message).toBe('Renew your plan.');
        expect(extensions.error.details).toEqual({ code: 'plan_expired', plan: 'basic' });
      }
      expect(codes(await refresh(refreshToken))).toEqual([]);
    });

    test('that fails says nothing about the failure, which is logged', async () => {
      const { refreshToken } = await signedIn();
      const { username } = await server.user();
      const failures = [
        new Error('at /srv/shop/secret.ts'),
        Object.assign(new Error('at /srv/shop/secret.ts'), { code: 'ECONNREFUSED' }),
      ];
      const line = 'beforeSignIn of policy.ts failed: Error: at /srv/shop/secret.ts';
      const logged = () => server.log.filter((one) => one.includes(line)).length;
      let times = 0;
      for (const failure of failures) {
        beforeSignIn = () => {
          throw failure;
        };
        const failed = await login({ identifier: username, password: PASSWORD });
        beforeSignIn = () => {};
        expect(failed.status).toBe(200);
        expect(codes(failed)).toEqual(['INTERNAL_SERVER_ERROR']);
        expect(failed.body.errors[0].message).toBe('Internal Server Error');
        expect(failed.text).not.toContain('secret');
        expect(cookies(failed)).toEqual({});
        expect(logged()).toBe((times += 1));
      }

      const { sessions } = server.strapi.service(
        'plugin::users-permissions.refresh-session'
      ) as any;
      const broken = jest
        .spyOn(sessions, 'refresh')
        .mockRejectedValue(Object.assign(new Error('select secret'), { code: 'E1' }));
      const failed = await refresh(refreshToken);
      broken.mockRestore();
      expect(codes(failed)).toEqual(['INTERNAL_SERVER_ERROR']);
      expect(failed.text).not.toContain('secret');
      expect(codes(await refresh(refreshToken))).toEqual([]);
    });

    test('that is refused has a code, answers 200 and writes no cookie', async () => {
      const { Cookie } = await browser();
      const { refreshToken } = await signedIn();
      const unsigned = Cookie.replace(/sig=[^;]+/, `sig=${'x'.repeat(27)}`);
      pass(3 * DAY);
      const attempts: [Response, string][] = [
        [await refresh(null), 'refresh_token_missing'],
        [await refresh('nonsense'), 'refresh_token_invalid'],
        [await refresh(null, { Cookie: unsigned }), 'refresh_token_invalid'],
        [await refresh(null, { Cookie }), 'refresh_token_expired'],
        [await refresh(refreshToken), 'refresh_token_expired'],
      ];
      for (const [response, code] of attempts) {
        expect([codes(response), response.status]).toEqual([[code], 200]);
        expect(response.body.data).toBeNull();
        expect(response.body.errors[0].extensions.error.details).toEqual({ code });
        expect(cookies(response)).toEqual({});
      }
    });
  });

  test('an access token without rotation is returned for the cookie or the token, if enabled', async () => {
    const { Cookie, jwt } = await browser();
    const byCookie = await access(null, { Cookie });
    expect(claims(byCookie.body.data.accessToken.jwt)).toMatchObject({
      sid: claims(jwt).sid,
      gen: 0,
    });
    expect(cookies(byCookie)).toEqual({});
    const { id, refreshToken } = await signedIn();
    expect((await access(refreshToken)).body.data.accessToken.jwt).toEqual(expect.any(String));
    expect(await rowsOf(id)).toMatchObject([{ generation: 0 }]);
    expect(codes(await access('nonsense'))).toEqual(['refresh_token_invalid']);
  });

  describe('a sign-out', () => {
    test('ends the session of the cookie, and clears the cookie', async () => {
      const { id, Cookie } = await browser();
      const response = await revoke(null, { Cookie });
      expect(response.body.data.revokeToken).toEqual({ ok: true });
      expect(cookies(response).refreshToken).toMatch(/^refreshToken=;.*1970/);
      expect(await rowsOf(id)).toEqual([]);
    });

    test('ends the session of the token in the argument, and of nothing else', async () => {
      const { id, refreshToken } = await signedIn();
      const other = await browser();
      const { body } = await revoke(refreshToken, { Cookie: other.Cookie, ...bearer(other.jwt) });
      expect(body.data.revokeToken).toEqual({ ok: true });
      expect([await rowsOf(id), (await rowsOf(other.id)).length]).toEqual([[], 1]);
      expect((await revoke('nonsense')).body.data.revokeToken).toEqual({ ok: true });
    });

    test('on a busy database is refused with temporarily_unavailable', async () => {
      const { id, refreshToken } = await signedIn();
      const refused = await onBusyDatabase(server, /^delete .*up_refresh_sessions/, () =>
        revoke(refreshToken)
      );
      expect(codes(refused)).toEqual(['temporarily_unavailable']);
      expect(codes(await revoke(refreshToken))).toEqual([]);
      expect(await rowsOf(id)).toEqual([]);
    });

    test('ends the session of the access token', async () => {
      const { id, jwt } = await signedIn();
      expect((await revoke(null, bearer(jwt))).body.data.revokeToken).toEqual({ ok: true });
      expect(await rowsOf(id)).toEqual([]);
    });
  });

  describe('the sessions of a user', () => {
    test('are listed as over REST', async () => {
      const { username, jwt } = await signedIn({
        requestRefresh: true,
        sessionDescription: 'Phone',
      });
      pass(MINUTE);
      await login({ identifier: username, password: PASSWORD });
      const { body } = await server.api.get('/api/users/me/sessions').set(bearer(jwt));
      expect(body).toHaveLength(2);
      const listed = (await mySessions(jwt)).body.data.mySessions;
      expect(listed).toEqual(body);
    });

    test('are ended one at a time, and those of others are not found', async () => {
      const { id, jwt } = await signedIn();
      const other = await signedIn();
      const { sid } = claims(other.jwt);
      expect(codes(await endSession(sid, bearer(jwt)))).toEqual(['session_not_found']);
      const { body } = await endSession(claims(jwt).sid, bearer(jwt));
      expect(body.data.endSession).toEqual({ ok: true });
      expect([await rowsOf(id), (await rowsOf(other.id)).length]).toEqual([[], 1]);
    });

    test('are ended all at once, or all but the current one', async () => {
      const end = (exceptCurrent: boolean | null, headers: Headers) =>
        ask(
          'mutation ($except: Boolean) { endSessions(exceptCurrent: $except) { ended } }',
          { except: exceptCurrent },
          headers
        );
      const { id, username, jwt, Cookie } = await browser();
      await login({ identifier: username, password: PASSWORD });
      await login({ identifier: username, password: PASSWORD });
      const headers = { ...bearer(jwt), Cookie };
      const others = await end(true, headers);
      expect([others.body.data.endSessions, cookies(others)]).toEqual([{ ended: 2 }, {}]);
      const all = await end(null, headers);
      expect(all.body.data.endSessions).toEqual({ ended: 1 });
      expect(cookies(all).refreshToken).toMatch(/^refreshToken=;.*1970/);
      expect(await rowsOf(id)).toEqual([]);
    });

    test('are only for a user who is signed in', async () => {
      const attempts = [
        ask('{ mySessions { id } }'),
        endSession('f'.repeat(32), {}),
        ask('mutation { endSessions { ended } }'),
      ];
      for (const response of await Promise.all(attempts)) {
        expect([codes(response), response.body.data]).toEqual([['authentication_required'], null]);
      }
    });
  });

  test('the policy recent-sign-in guards a field as it guards a route', async () => {
    const { jwt, refreshToken } = await signedIn();
    const plans = (token: string) => ask('{ plans }', {}, bearer(token));
    expect((await plans(jwt)).body).toEqual({ data: { plans: 'secret' } });
    pass(10 * MINUTE + 1);
    const refreshed = (await refresh(refreshToken)).body.data.refreshToken;
    const late = await plans(refreshed.jwt);
    expect(late.body.data).toEqual({ plans: null });
    expect(codes(late)).toEqual(['recent_sign_in_required']);
  });

  test('bad input is refused by its type with 400, or with invalid_request, and opens no session', async () => {
    const { username } = await server.user();
    const input = { identifier: username, password: PASSWORD };
    const before = await server.rows();
    for (const wrong of [{ requestRefresh: 'yes' }, { sessionDescription: 1 }, { deviceId: {} }]) {
      const response = await login({ ...input, ...wrong });
      expect([response.status, codes(response)]).toEqual([400, ['BAD_USER_INPUT']]);
    }
    for (const wrong of [
      { identifier: 'a\0b' },
      { sessionDescription: 'a\0b' },
      { deviceId: 'x'.repeat(256) },
    ]) {
      expect(codes(await login({ ...input, ...wrong }))).toEqual(['invalid_request']);
    }
    expect(await server.rows()).toEqual(before);
  });

  test('an action of the project that answers an error is an error', async () => {
    const auth = server.strapi.plugin('users-permissions').controller('auth') as any;
    const { callback } = auth;
    auth.callback = (ctx: any) => ctx.forbidden('Solve the puzzle.', { puzzle: 7 });
    try {
      const response = await login({ identifier: 'a', password: 'b' });
      expect([response.status, response.body.data]).toEqual([200, null]);
      expect(response.body.errors).toMatchObject([
        { message: 'Solve the puzzle.', extensions: { error: { details: { puzzle: 7 } } } },
      ]);
    } finally {
      auth.callback = callback;
    }
  });

  test('nothing is added without shadow CRUD, where Strapi has no sign-in either', async () => {
    const { strapi } = server;
    const generate = () => (strapi.plugin('graphql').service('extension') as any).generate({});
    const before = generate().typeDefs;
    strapi.config.set('plugin::graphql.shadowCRUD', false);
    try {
      await withGraphql({ register() {} }).register({ strapi });
    } finally {
      strapi.config.set('plugin::graphql.shadowCRUD', true);
    }
    expect(generate().typeDefs).toEqual(before);
  });

  describe('an untrusted page', () => {
    const anonymous: [string, (headers: Headers) => Promise<Response>][] = [
      ['login', (headers) => login({ identifier: 'a', password: 'b' }, headers)],
      [
        'register',
        (headers) =>
          ask(
            `mutation { register(input: { username: "x", email: "x@test.local", password: "xxxxxx" }) { jwt } }`,
            {},
            headers
          ),
      ],
      [
        'emailConfirmation',
        (headers) => ask('mutation { emailConfirmation(confirmation: "a") { jwt } }', {}, headers),
      ],
      [
        'resetPassword',
        (headers) =>
          ask(
            'mutation { resetPassword(code: "a", password: "b", passwordConfirmation: "b") { jwt } }',
            {},
            headers
          ),
      ],
      ['refreshToken', (headers) => refresh(null, headers)],
      ['accessToken', (headers) => access(null, headers)],
      ['revokeToken', (headers) => revoke(null, headers)],
    ];

    test.each(anonymous)(
      'is refused by %s, which ends nothing and writes no cookie',
      async (_name, attempt) => {
        const { Cookie } = await browser();
        const before = await server.rows();
        const response = await attempt({ ...FOREIGN, Cookie });
        expect([codes(response), response.status]).toEqual([['origin_refused'], 200]);
        expect(Object.values(response.body.data ?? {}).filter(Boolean)).toEqual([]);
        expect(cookies(response)).toEqual({});
        expect(await server.rows()).toEqual(before);
      }
    );

    test.each(['/graphql/', '/GraphQL', '/graphql?a=b', '/graphql#a'])(
      'is refused however it writes the path: %s',
      async (path) => {
        const query = 'mutation { login(input: { identifier: "a", password: "b" }) { jwt } }';
        const response = await server.api.post(path).set(FOREIGN).send({ query });
        expect(codes(response)).toEqual(['origin_refused']);
      }
    );

    test('a refusal over REST is no 500 for a request target with a port that no URL can have', async () => {
      const { port } = server.strapi.server.httpServer.address() as AddressInfo;
      const target = 'http://a:999999/api/token/refresh';
      const options = { port, host: '127.0.0.1', method: 'POST', path: target };
      const status = await new Promise((resolve, reject) => {
        const sent = http.request(options, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        sent.on('error', reject);
        sent.end();
      });
      expect(status).toBe(400);
    });

    test('cannot send a mutation as a form, as text or in a URL', async () => {
      const { id, Cookie } = await browser();
      const query = 'mutation { revokeToken { ok } }';
      // As browsers without Sec-Fetch-Site send them.
      const headers = { Cookie };
      const form = server.api.post('/graphql').set(headers).type('form').send({ query });
      const text = server.api.post('/graphql').set(headers).type('text/plain').send(query);
      const link = server.api.get('/graphql').set(headers).query({ query });
      for (const attempt of [form, text, link]) {
        const { status } = await attempt;
        expect(status).toBeGreaterThanOrEqual(400);
        expect(status).toBeLessThan(500);
      }
      expect(await rowsOf(id)).toHaveLength(1);
    });

    test('on another origin gets no credentials by the default of the plugin, and does by that of Strapi', async () => {
      const Origin = 'https://app.test';
      const { headers } = await ask('{ __typename }', {}, { Origin });
      expect(headers['access-control-allow-origin']).toBe('*');
      const rest = await server.api.get('/api/users/me').set({ Origin });
      expect(rest.headers['access-control-allow-origin']).toBe(Origin);
    });
  });

  describe('a stale access token', () => {
    test('is HTTP 401 for the whole request, and ends and opens nothing', async () => {
      const { id, username, jwt, refreshToken } = await signedIn();
      pass(HOUR);
      const [before] = await rowsOf(id);
      const headers = bearer(jwt);
      const attempts = [
        refresh(refreshToken, headers),
        revoke(refreshToken, headers),
        mySessions(jwt),
        login({ identifier: username, password: PASSWORD }, headers),
      ];
      for (const response of await Promise.all(attempts)) {
        expect([response.status, response.body.data]).toEqual([401, null]);
        expect(response.body.error.message).toBe('Missing or invalid credentials');
        expect(cookies(response)).toEqual({});
      }
      expect(await rowsOf(id)).toEqual([before]);
      expect(codes(await refresh(refreshToken))).toEqual([]);
    });
  });

  describe('with aliases or in a batch', () => {
    const aliases = (count: number, field: (index: number) => string) =>
      `mutation { ${Array.from({ length: count }, (_, index) => `a${index}: ${field(index)}`).join(' ')} }`;
    const RATE_LIMIT = 'STRAPI_RATE_LIMIT_ERROR';

    const limited: [string, (index: number) => string][] = [
      ['login', () => `login(input: { identifier: "a", password: "b" }) { jwt }`],
      [
        'register',
        () => `register(input: { username: "a", email: "a@test.local", password: "b" }) { jwt }`,
      ],
      ['forgotPassword', () => `forgotPassword(email: "a@test.local") { ok }`],
      [
        'resetPassword',
        (index) =>
          `resetPassword(code: "${index}", password: "b", passwordConfirmation: "b") { jwt }`,
      ],
      [
        'changePassword',
        () =>
          `changePassword(currentPassword: "b", password: "c", passwordConfirmation: "c") { jwt }`,
      ],
    ];

    const countRefusals = async (name: string, field: (index: number) => string) => {
      const { jwt } = await signedIn();
      pass(MINUTE + 1);
      // A non-null field that fails leaves no room for the others, so one operation each.
      const query = aliases(14, field);
      const operations =
        name === 'login' || name === 'register'
          ? Array.from({ length: 14 }, (_, index) => ({ query: `mutation { ${field(index)} }` }))
          : [{ query }];
      const { body } = await server.api
        .post('/graphql')
        .set(name === 'changePassword' ? bearer(jwt) : {})
        .send(operations);
      const errors = body.flatMap((answer: any) => answer.errors ?? []);
      return errors.filter(({ extensions }: any) => extensions.code === RATE_LIMIT).length;
    };

    test.each(limited)('each %s counts toward the rate limit', async (name, field) => {
      expect(await countRefusals(name, field)).toBe(4);
    });

    test('each login in one mutation counts toward the rate limit, which is that of REST', async () => {
      const { username } = await server.user();
      const credentials = { identifier: username, password: PASSWORD };
      const field = () =>
        `login(input: { identifier: "${username}", password: "${PASSWORD}" }) { jwt }`;
      expect(codes(await ask(aliases(10, field)))).toEqual([]);
      expect((await server.api.post('/api/auth/local').send(credentials)).status).toBe(429);
      expect(codes(await ask(aliases(10, field)))).toEqual([RATE_LIMIT]);
    });

    test('signed-in attackers share the limit of their address, no matter how many accounts they have', async () => {
      const { username } = await server.user();
      const attackers = [await signedIn(), await signedIn(), await signedIn()];
      pass(MINUTE + 1);
      const outcomes: string[] = [];
      for (let turn = 0; turn < 14; turn += 1) {
        const { jwt } = attackers[turn % 3];
        const response = await login({ identifier: username, password: 'wrong' }, bearer(jwt));
        outcomes.push(...codes(response));
      }
      expect(outcomes).toEqual([...Array(10).fill('BAD_USER_INPUT'), ...Array(4).fill(RATE_LIMIT)]);
    });

    test('each field counts before 5.53 too, where Strapi itself counts none', async () => {
      const version = server.strapi.config.get('info.strapi');
      server.strapi.config.set('info.strapi', '5.52.0');
      try {
        // Here, both count, or else only the extension does.
        const allowed = since('5.53.0') ? 5 : 10;
        for (const [name, field] of limited) {
          pass(HOUR);
          expect([name, await countRefusals(name, field)]).toEqual([name, 14 - allowed]);
        }
      } finally {
        server.strapi.config.set('info.strapi', version);
      }
    });

    test('a hundred refreshes with one token return one next token', async () => {
      const { id, refreshToken } = await signedIn();
      const { body } = await ask(
        aliases(100, () => `refreshToken(refreshToken: "${refreshToken}") { refreshToken }`)
      );
      const tokens = Object.values(body.data).map((each: any) => each.refreshToken);
      expect([tokens.length, new Set(tokens).size]).toEqual([100, 1]);
      expect(await rowsOf(id)).toMatchObject([{ generation: 1 }]);
    });

    test('operations run in order, each with its own input and response', async () => {
      const users = [await server.user(), await server.user(), await server.user()];
      const { body } = await server.api.post('/graphql').send([
        ...users.map(({ username }, index) => ({
          query: `mutation { login(input: {
            identifier: "${username}", password: "${PASSWORD}",
            requestRefresh: true, sessionDescription: "${index}"
          }) { jwt refreshToken user { username } } }`,
        })),
        { query: '{ mySessions { id } }' },
      ]);
      const answers = body.slice(0, 3).map(({ data }: any) => data.login);
      expect(answers.map(({ user }: any) => user.username)).toEqual(
        users.map(({ username }) => username)
      );
      for (const [index, { jwt, refreshToken }] of answers.entries()) {
        const { id, sid } = claims(jwt);
        expect([id, sid]).toEqual([users[index].id, claims(refreshToken).sid]);
        expect(await rowsOf(id)).toMatchObject([{ description: String(index) }]);
      }
      expect(body[3].errors[0].extensions.code).toBe('authentication_required');
    });

    test('the last one that writes the cookie wins', async () => {
      const [first, second] = [await server.user(), await server.user()];
      const fieldOf = ({ username }: { username: string }) =>
        `login(input: { identifier: "${username}", password: "${PASSWORD}" }) { jwt }`;
      const signIns = [fieldOf(first), fieldOf(second)].map((field) => ({
        query: `mutation { ${field} }`,
      }));
      const service = server.strapi.service(USER) as any;
      const { validatePassword } = service;
      let checks = 0;
      // The first one takes longer.
      service.validatePassword = async (...all: unknown[]) => {
        checks += 1;
        if (checks === 1) await sleep(50);
        return validatePassword.apply(service, all);
      };
      const batch = await server.api.post('/graphql').send(signIns);
      service.validatePassword = validatePassword;
      expect(checks).toBe(2);
      const lines = batch.headers['set-cookie'] as unknown as string[];
      expect(lines.filter((line) => line.startsWith('refreshToken='))).toHaveLength(1);
      const Cookie = cookieHeader(batch);
      const { body } = await refresh(null, { Cookie });
      expect(claims(body.data.refreshToken.jwt).id).toBe(second.id);

      const out = await ask(`mutation { refreshToken { jwt } revokeToken { ok } }`, {}, { Cookie });
      expect(cookies(out).refreshToken).toMatch(/^refreshToken=;.*1970/);
      expect(await rowsOf(second.id)).toEqual([]);
    });

    test('a refusal does not keep the next one from running', async () => {
      const { refreshToken } = await signedIn();
      const [refused, done] = (
        await server.api
          .post('/graphql')
          .send([
            { query: 'mutation { refreshToken(refreshToken: "nonsense") { jwt } }' },
            { query: `mutation { refreshToken(refreshToken: "${refreshToken}") { jwt } }` },
          ])
      ).body;
      expect(refused.errors[0].extensions.code).toBe('refresh_token_invalid');
      expect(claims(done.data.refreshToken.jwt).gen).toBe(1);
    });
  });
});

/** What one schema has and another has not, as SDL. */
function difference(all: GraphQLSchema, some: GraphQLSchema): string {
  return Object.values(all.getTypeMap())
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((type) => additions(type, some.getType(type.name)))
    .join('\n\n');
}

function additions(type: GraphQLNamedType, known: GraphQLNamedType | undefined): string[] {
  if (!known) return [printType(type)];
  for (const Type of [GraphQLObjectType, GraphQLInputObjectType]) {
    if (!(type instanceof Type) || !(known instanceof Type)) continue;
    const config = type.toConfig();
    const fields = Object.entries(config.fields).filter(([name]) => !known.getFields()[name]);
    if (fields.length === 0) return [];
    const added = new Type({
      ...config,
      description: null,
      fields: Object.fromEntries(fields),
    } as never);
    return [`extend ${printType(added)}`];
  }
  return printType(type) === printType(known) ? [] : [`changed: ${type.name}`];
}

describe('Without graphql.ts', () => {
  const project = graphqlProject();
  beforeAll(async () => {
    const file = (name: string) => path.join(project.folder, EXTENSION, name);
    rmSync(file('graphql.js'));
    const code = readFileSync(file('strapi-server.js'), 'utf8');
    const kept = code.split('\n').filter((line) => !line.includes('graphql_1'));
    expect(code.split('\n').length - kept.length).toBe(2);
    writeFileSync(file('strapi-server.js'), kept.join('\n'));
    server = await boot({}, addField, undefined, project.folder);
  });
  afterAll(async () => {
    await server.stop();
    project.remove();
  });

  test('a sign-in still opens a session and sets the cookie, and a refusal is still an error', async () => {
    const { username, id } = await server.user();
    const credentials = `identifier: "${username}", password: "${PASSWORD}"`;
    const query = `mutation { login(input: { ${credentials} }) { jwt } }`;
    const response = await ask(query);
    expect(claims(response.body.data.login.jwt)).toMatchObject({ id, gen: 0 });
    expect(cookies(response)).toHaveProperty('refreshToken');
    const refused = await ask(query, {}, FOREIGN);
    expect(refused.body.errors[0].extensions.error.details).toEqual({ code: 'origin_refused' });
  });

  test('the schema lacks exactly what docs/schema.graphql shows', async () => {
    const file = readFileSync(path.resolve(__dirname, '../../docs/schema.graphql'), 'utf8');
    expect(print(parse(difference(schema, await schemaOf())))).toBe(print(parse(file)));
  });
});

test('GraphQL has no accessToken unless REFRESH_TOKEN_ACCESS is true', async () => {
  const project = graphqlProject();
  const server = await boot({}, undefined, undefined, project.folder);
  try {
    const query = 'mutation { accessToken { jwt } }';
    const { status, body } = await server.api.post('/graphql').send({ query });
    expect([status, body.errors[0].extensions.code]).toEqual([400, 'GRAPHQL_VALIDATION_FAILED']);
  } finally {
    await server.stop();
    project.remove();
  }
});
