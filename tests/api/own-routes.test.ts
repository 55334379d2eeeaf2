import { readFileSync } from 'fs';
import path from 'path';
import ts from 'typescript';
import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { boot, MINUTE, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

/** Routes of a project with the policy and the middleware that the extension adds. */

const RECENT = 'plugin::users-permissions.recent-sign-in';
const OPEN = 'plugin::users-permissions.open-session';

let server: Server;
let call: ReturnType<typeof calls>;

/** What a route answers, and how often one has been asked. */
let answer: (ctx: any) => unknown = () => ({});
const handled = jest.fn();

const routesOf = (strapi: Server['strapi']) => [
  {
    method: 'POST',
    path: '/delete-account',
    handler: async (ctx: any) => {
      handled();
      return ctx.send({ done: true });
    },
    config: { auth: { scope: [] }, policies: [{ name: RECENT, config: { within: '10m' } }] },
    info: {},
  },
  ...(['GET', 'POST'] as const).map((method) => ({
    method,
    path: '/magic-link',
    handler: async (ctx: any) => {
      handled();
      // A route either sets the body or returns it.
      return answer(ctx);
    },
    config: { auth: false, middlewares: [OPEN] },
    info: {},
  })),
  {
    method: 'POST',
    path: '/second-login',
    handler: (ctx: any) =>
      (strapi.plugin('users-permissions').controller('auth') as any).callback(ctx),
    config: { auth: false, middlewares: [OPEN] },
    info: {},
  },
];

const README = path.resolve(__dirname, '../../src/extensions/users-permissions/README.md');

/** A plugin with a magic link, extended by the code in the folder's README. */
function extendedPlugin(): { routes: { 'content-api': { type: string; routes: any[] } } } {
  const [, code] = /```ts\n(export default \(plugin: any\).*?)```/s.exec(
    readFileSync(README, 'utf8')
  )!;
  const exported: { default?: any } = {};
  new Function('exports', ts.transpile(code, { module: ts.ModuleKind.CommonJS }))(exported);
  const login = {
    method: 'GET',
    path: '/login',
    handler: (ctx: any) => answer(ctx),
    config: { auth: false },
    info: {},
  };
  return exported.default({ routes: { 'content-api': { type: 'content-api', routes: [login] } } });
}

beforeAll(async () => {
  server = await boot({}, (strapi) => {
    strapi.server.routes(extendedPlugin().routes['content-api'] as any);
    strapi.server.routes({ type: 'content-api', routes: routesOf(strapi) as any });
  });
  call = calls(server);
});
beforeEach(() => handled.mockClear());
afterAll(() => server.stop());

const jwtService = () => server.strapi.plugin('users-permissions').service('jwt') as any;
const issueFor = (user: { id: number; username: string }) => () => ({
  jwt: jwtService().issue({ id: user.id }),
  user: { id: user.id, username: user.username },
  mine: 'kept',
});

describe('The policy recent-sign-in', () => {
  const deleteAccount = async (jwt: string) =>
    server.api.post('/api/delete-account').set('Authorization', `Bearer ${jwt}`).send();

  test('passes within the time, and refuses after it, no matter how often the session was refreshed', async () => {
    const user = await server.user();
    const { body } = await call.signIn(user);
    pass(10 * MINUTE);
    const second = (await call.refresh(body.refreshToken)).body;
    expect((await deleteAccount(second.jwt)).body).toEqual({ done: true });
    pass(1);
    const response = await deleteAccount(second.jwt);
    expect(outcome(response)).toBe('403 recent_sign_in_required');
    expect(response.body.error.message).toContain('Sign in again');
    expect(handled).toHaveBeenCalledTimes(1);

    const again = (await call.signIn(user)).body;
    expect((await deleteAccount(again.jwt)).status).toBe(200);
    // The other session is still old, and still signed in.
    expect((await deleteAccount(second.jwt)).status).toBe(403);
    expect((await call.me(second.jwt)).status).toBe(200);
  });

  test('does not count a clock that steps back as recent', async () => {
    const { body } = await call.signIn(await server.user());
    pass(-11 * MINUTE);
    const response = await deleteAccount(body.jwt);
    pass(11 * MINUTE);
    expect(outcome(response)).toBe('403 recent_sign_in_required');
  });

  test('refuses an access token without a session, and a request without a user', async () => {
    const { id } = await server.user();
    expect(outcome(await deleteAccount(jwtService().issue({ id })))).toBe(
      '403 recent_sign_in_required'
    );
    expect(outcome(await server.api.post('/api/delete-account').send())).toBe(
      '403 recent_sign_in_required'
    );
    expect(handled).not.toHaveBeenCalled();
  });

  test('refuses the access token of somebody else, where the project found the user in another way', async () => {
    const user = await server.user();
    const { jwt } = (await call.signIn(user)).body;
    const policies = server.strapi.get('policies') as any;
    const [{ handler, config }] = policies.resolve([{ name: RECENT, config: { within: '10m' } }]);
    const ctx = { state: { user }, request: { headers: { authorization: `Bearer ${jwt}` } } };
    const check = () => handler(ctx, config, { strapi: server.strapi });
    expect(await check()).toBeUndefined();
    ctx.state.user = await server.user();
    await expect(check()).rejects.toMatchObject({ details: { code: 'recent_sign_in_required' } });
  });

  test.each([[undefined], [{}], [{ within: 10 }], [{ within: 'a while' }], [{ within: '0' }]])(
    'stops the boot if its configuration is %j',
    (config) => {
      const route = {
        method: 'GET',
        path: '/api/never',
        handler: () => {},
        config: { policies: [{ name: RECENT, config }] },
        info: { type: 'content-api' },
      };
      expect(() => server.strapi.server.routes([route] as any)).toThrow(
        "recent-sign-in expects a duration. Example: config: { within: '10m' }"
      );
    }
  );
});

describe('The middleware open-session', () => {
  const post = (body: object = {}) => server.api.post('/api/magic-link').send(body);

  test('turns the token of jwt.issue into a session by cookie', async () => {
    const user = await server.user();
    answer = issueFor(user);
    const response = await post();
    expect(response.status).toBe(200);
    expect(response.body).toMatchObject({ user: { id: user.id }, mine: 'kept' });
    expect(response.body.refreshToken).toBeUndefined();
    expect(response.headers['cache-control']).toBe('no-store');
    expect(claims(response.body.jwt)).toMatchObject({
      id: user.id,
      gen: 0,
      sid: expect.any(String),
    });
    expect((await call.me(response.body.jwt)).body.id).toBe(user.id);
    const next = await server.api.post('/api/token/refresh').set('Cookie', cookieHeader(response));
    expect(next.status).toBe(200);
  });

  test('is added to the route of a plugin by the lines in the README', async () => {
    answer = issueFor(await server.user());
    const response = await server.api.get('/api/login');
    expect(claims(response.body.jwt).sid).toEqual(expect.any(String));
    expect(cookies(response).refreshToken).toBeDefined();
  });

  test('works if the route sets the body itself', async () => {
    const user = await server.user();
    answer = (ctx) => {
      ctx.body = issueFor(user)();
    };
    expect(claims((await post()).body.jwt).sid).toEqual(expect.any(String));
  });

  test('takes the options of a sign-in from the body or the query, and leaves them to the route', async () => {
    const user = await server.user();
    let seen: unknown;
    answer = (ctx) => {
      seen = ctx.request.body;
      return issueFor(user)();
    };
    const fields = {
      requestRefresh: true,
      sessionDescription: 'TV',
      deviceId: 'tv',
      rememberMe: false,
    };
    const byBody = await post({ ...fields, code: 1 });
    expect(seen).toEqual({ ...fields, code: 1 });
    const byQuery = await server.api.get('/api/magic-link').query(fields);
    for (const response of [byBody, byQuery]) {
      expect(cookies(response)).toEqual({});
      expect((await call.refresh(response.body.refreshToken)).status).toBe(200);
      const { sid } = claims(response.body.jwt);
      const row = (await server.rows()).find((one) => one.sid === sid)!;
      expect(row).toMatchObject({ description: 'TV', device_id: 'tv', transport: 'body' });
      expect(Boolean(row.persistent)).toBe(false);
    }
  });

  test('refuses wrong options and untrusted pages before the route runs', async () => {
    answer = issueFor(await server.user());
    expect(outcome(await post({ rememberMe: 'no' }))).toBe('400 invalid_request');
    const foreign = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.test' };
    expect(outcome(await post().set(foreign))).toBe('403 origin_refused');
    expect(handled).not.toHaveBeenCalled();
    // A link in an email.
    const link = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' };
    expect((await server.api.get('/api/magic-link').set(link)).status).toBe(200);
  });

  test('replaces the session that the browser had', async () => {
    const user = await server.user();
    const browser = server.browser();
    const login = { identifier: user.username, password: PASSWORD };
    const first = await browser.post('/api/auth/local').send(login);
    answer = issueFor(user);
    await browser.post('/api/magic-link').send();
    expect((await call.me(first.body.jwt)).status).toBe(401);
  });

  test('opens nothing for a blocked user', async () => {
    const user = await server.user({ blocked: true });
    answer = issueFor(user);
    const before = await server.rows();
    const response = await post();
    expect(outcome(response)).toBe('401 user_refused');
    expect(response.body.jwt).toBeUndefined();
    expect(await server.rows()).toEqual(before);
  });

  test('never opens a session for a token that was not issued in this request', async () => {
    const other = await server.user();
    const planted = jwtService().issue({ id: other.id });
    const before = await server.rows();
    answer = () => ({ jwt: planted, user: { id: other.id } });
    const response = await post();
    expect(response.status).toBe(500);
    expect(response.body.jwt).toBeUndefined();
    answer = () => ({ jwt: 'not a token' });
    expect((await post()).status).toBe(500);
    expect(await server.rows()).toEqual(before);
    expect(server.log.join('\n')).toContain('POST /api/magic-link has the middleware open-session');
  });

  test.each<[string, (ctx: any) => unknown]>([
    ['no token', () => ({ sent: true })],
    ['text', () => 'Check your mail.'],
    ['an error', (ctx) => ctx.badRequest('This link was already used.')],
  ])('leaves a response with %s alone', async (_what, respond) => {
    const before = await server.rows();
    answer = respond;
    const response = await post();
    expect(cookies(response)).toEqual({});
    expect([200, 400]).toContain(response.status);
    expect(await server.rows()).toEqual(before);
  });

  test('leaves a session of Strapi’s own sign-in alone', async () => {
    const { username } = await server.user();
    const before = (await server.rows()).length;
    const response = await server.api
      .post('/api/second-login')
      .send({ identifier: username, password: PASSWORD });
    expect(response.status).toBe(200);
    expect(await server.rows()).toHaveLength(before + 1);
  });
});
