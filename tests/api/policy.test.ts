import path from 'path';
import jwt from 'jsonwebtoken';
import { calls, claims, cookies, outcome } from '../support/client';
import { boot, DAY, HOUR, MINUTE, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';
import type { SessionPolicy } from '../../src/extensions/users-permissions/policy-types';

/** The compiled modules that Strapi loads. */
const load = (name: string): any =>
  jest.requireActual(
    path.resolve(__dirname, `../../dist/src/extensions/users-permissions/${name}.js`)
  );

let server: Server;
let call: ReturnType<typeof calls>;
let SessionError: any;

/** What the policy of this file does, set by each test. */
let policy: SessionPolicy = {};

beforeAll(async () => {
  server = await boot({ REFRESH_TOKEN_ACCESS: 'true' }, (strapi) => {
    strapi.config.set('plugin::users-permissions.jwt', { issuer: 'my-shop' });
    ({ SessionError } = load('errors'));
    Object.assign(load('policy').policy, {
      claims: (about) => policy.claims?.(about) ?? {},
      lifetimes: (about, defaults) => policy.lifetimes?.(about, defaults) ?? {},
      beforeSignIn: (about) => policy.beforeSignIn?.(about),
      beforeRefresh: (about) => policy.beforeRefresh?.(about),
    } satisfies SessionPolicy);
  });
  call = calls(server);
});
beforeEach(() => {
  policy = {};
});
afterEach(() => jest.restoreAllMocks());
afterAll(async () => {
  for (const name of Object.keys(load('policy').policy)) delete load('policy').policy[name];
  await server.stop();
});

const access = async (refreshToken: string) =>
  server.api.post('/api/token/access').send({ refreshToken });
const rowOf = async (token: string) =>
  (await server.rows()).find(({ sid }) => sid === claims(token).sid)!;
const never = () => new Promise<void>(() => {});

describe('Claims', () => {
  test('are in every access token of a session', async () => {
    policy.claims = ({ user, session }) => ({
      name: user.username,
      role: user.role?.type,
      of: session.sid,
    });
    const user = await server.user();
    const first = (await call.signIn(user)).body;
    const second = (await call.refresh(first.refreshToken)).body;
    const third = (await access(second.refreshToken)).body;
    const racing = (await call.refresh(first.refreshToken)).body;
    for (const [answer, gen] of [
      [first, 0],
      [second, 1],
      [third, 1],
      [racing, 1],
    ] as const) {
      const { sid, iat: _iat, exp: _exp, ...rest } = claims(answer.jwt);
      const own = { name: user.username, role: 'authenticated', of: sid, iss: 'my-shop' };
      expect(rest).toEqual({ id: user.id, gen, ...own });
      expect((await call.me(answer.jwt)).status).toBe(200);
    }
    expect(claims(second.refreshToken)).not.toHaveProperty('name');
  });

  test('are those of the moment of the refresh', async () => {
    policy.claims = ({ user }) => ({ email: user.email });
    const user = await server.user();
    const { body } = await call.signIn(user);
    await server.strapi.db
      .query('plugin::users-permissions.user')
      .update({ where: { id: user.id }, data: { email: 'new@test.local' } });
    const next = await call.refresh(body.refreshToken);
    expect(claims(next.body.jwt).email).toBe('new@test.local');
  });

  test('get the user with their role, but not the password', async () => {
    const seen: object[] = [];
    policy.claims = ({ user }) => void seen.push(user);
    await call.signIn(await server.user());
    expect(seen[0]).toMatchObject({ role: { type: 'authenticated' }, confirmed: true });
    expect(Object.keys(seen[0])).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/password|token/i)])
    );
  });

  test.each(['id', 'sid', 'gen', 'iat', 'exp', 'typ', 'nbf', 'iss'])(
    'cannot set %s',
    async (name) => {
      const { body } = await call.signIn(await server.user());
      policy.claims = () => ({ fine: true, [name]: 1 });
      const before = await server.rows();
      expect((await call.signIn(await server.user())).status).toBe(500);
      expect((await call.refresh(body.refreshToken)).status).toBe(500);
      expect(await server.rows()).toEqual(before);
      expect(server.log.join('\n')).toContain(`claims of policy.ts returned ${name}, but`);
    }
  );
});

describe('Claims that cannot be in a token open nothing and use up nothing:', () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;

  test.each<[string, () => object, string]>([
    ['a bigint', () => ({ a: BigInt(1) }), 'BigInt'],
    ['a cycle', () => cycle, 'circular'],
    ['a value that fails', () => ({ toJSON: () => cycle.none!.toString() }), 'policy.ts failed'],
    ['a prototype', () => JSON.parse('{ "__proto__": { "id": 1 } }'), 'are reserved'],
    ['a reserved name by toJSON', () => ({ toJSON: () => ({ sid: 1 }) }), 'are reserved'],
  ])('%s', async (_what, made, message) => {
    const { body } = await call.signIn(await server.user());
    policy.claims = made as never;
    const before = await server.rows();
    expect((await call.signIn(await server.user())).status).toBe(500);
    expect((await call.refresh(body.refreshToken)).status).toBe(500);
    expect((await access(body.refreshToken)).status).toBe(500);
    expect(await server.rows()).toEqual(before);
    expect(server.log.join('\n')).toContain(message);
  });

  test('an object with toJSON keeps the claims of the extension', async () => {
    policy.claims = () => ({ toJSON: () => ({ tenant: 1 }) });
    const { body } = await call.signIn(await server.user());
    expect(claims(body.jwt)).toMatchObject({ tenant: 1, gen: 0, sid: expect.any(String) });
    expect((await call.me(body.jwt)).status).toBe(200);
  });
});

describe('Lifetimes', () => {
  const staff = () =>
    (policy.lifetimes = (_about, defaults) => ({ ...defaults, idle: '2h', absolute: '3h' }));

  test('apply to the session from then on, in its row and in its tokens', async () => {
    staff();
    const { body } = await call.signIn(await server.user());
    policy = {};
    expect(claims(body.refreshToken)).toMatchObject({ idle: 2 * HOUR });
    expect(claims(body.refreshToken).exp! - claims(body.refreshToken).iat!).toBe(2 * HOUR);
    expect(Number((await rowOf(body.refreshToken)).idle_ttl)).toBe(2 * HOUR * 1000);

    pass(HOUR);
    const second = (await call.refresh(body.refreshToken)).body;
    const { exp, iat, end } = claims(second.refreshToken);
    expect(exp! - iat!).toBe(2 * HOUR);
    pass(HOUR + 59 * MINUTE);
    // The same bytes for a racing tab, which come from the row.
    const third = (await call.refresh(second.refreshToken)).body;
    expect((await call.refresh(second.refreshToken)).body.refreshToken).toBe(third.refreshToken);
    expect(claims(third.refreshToken)).toMatchObject({ idle: 2 * HOUR, end, exp: end });
    pass(MINUTE);
    expect(outcome(await call.refresh(third.refreshToken))).toBe('401 refresh_token_expired');
  });

  test('can be shorter or longer for the access token', async () => {
    policy.lifetimes = () => ({ access: '90s' });
    const { body } = await call.signIn(await server.user());
    policy = {};
    const ttl = (token: string) => claims(token).exp! - claims(token).iat!;
    expect(ttl(body.jwt)).toBe(90);
    const next = (await call.refresh(body.refreshToken)).body;
    expect(ttl(next.jwt)).toBe(90);
    expect(ttl((await access(next.refreshToken)).body.jwt)).toBe(90);
    expect(ttl((await call.refresh(body.refreshToken)).body.jwt)).toBe(90);
    expect(claims(next.refreshToken)).toMatchObject({ access: 90 });
    expect(claims(next.refreshToken)).not.toHaveProperty('idle');
  });

  test('depend on the user, the transport and rememberMe', async () => {
    const seen: unknown[] = [];
    policy.lifetimes = ({ user, ...others }, defaults) => {
      seen.push([user.role?.type, others, defaults]);
      return defaults;
    };
    const { body } = await call.signIn(await server.user(), { rememberMe: false });
    const defaults = { access: '6m', idle: '2d', absolute: '30d' };
    expect(seen).toEqual([['authenticated', { transport: 'body', rememberMe: false }, defaults]]);
    // Sessions with the defaults follow the configuration.
    expect(Object.keys(claims(body.refreshToken)).sort()).toEqual(
      ['end', 'exp', 'gen', 'iat', 'persistent', 'sid', 'typ', 'uid'].sort()
    );
  });

  test('are those after which the cleanup deletes the row', async () => {
    staff();
    const { body } = await call.signIn(await server.user());
    policy.lifetimes = () => ({ idle: '10d' });
    const other = (await call.signIn(await server.user())).body;
    const cleanUp = async () => {
      const job = server.strapi.cron.jobs.find(({ name }) => name === 'refreshSessionCleanup')!;
      const { trigger, invoke } = job.job as any;
      await (trigger ?? invoke).call(job.job);
    };
    await server.strapi.db
      .connection('up_refresh_sessions')
      .where({ sid: claims(body.jwt).sid })
      .update({ ends_at: Date.now() + 30 * DAY * 1000 });
    pass(4 * HOUR - 1);
    await cleanUp();
    expect(await rowOf(body.jwt)).toBeDefined();
    pass(1);
    await cleanUp();
    expect(await rowOf(body.jwt)).toBeUndefined();
    pass(20 * DAY - 4 * HOUR - 1);
    await cleanUp();
    expect(await rowOf(other.jwt)).toBeDefined();
    pass(1);
    await cleanUp();
    expect(await rowOf(other.jwt)).toBeUndefined();
  });

  test.each([
    [{ idle: 'two hours' }, 'expected a duration from 1s to 3650d'],
    [{ idle: '0' }, 'expected a duration'],
    [{ absolute: '4000d' }, 'expected a duration'],
    [{ access: '2d' }, 'must be shorter than idle'],
    [{ idle: '5m' }, 'must be shorter than idle'],
  ])('are checked as the variables are: %j', async (lifetimes, message) => {
    policy.lifetimes = () => lifetimes;
    const before = await server.rows();
    expect((await call.signIn(await server.user())).status).toBe(500);
    expect(await server.rows()).toEqual(before);
    expect(server.log.join('\n')).toContain(message);
  });
});

describe('beforeSignIn', () => {
  test('can refuse with a code, a status, a message and details of its own', async () => {
    const seen: any[] = [];
    policy.beforeSignIn = ({ user, ctx, client }) => {
      seen.push(user.username, ctx.path, client);
      throw new SessionError('code_required', 401, 'Enter the code.', { challenge: 'abc' });
    };
    const user = await server.user();
    const before = await server.rows();
    const response = await server.api
      .post('/api/auth/local')
      .set('User-Agent', 'Phone')
      .send({ identifier: user.username, password: PASSWORD });
    expect(response.status).toBe(401);
    expect(response.body).toEqual({
      data: null,
      error: {
        status: 401,
        name: 'UnauthorizedError',
        message: 'Enter the code.',
        details: { challenge: 'abc', code: 'code_required' },
      },
    });
    expect(cookies(response)).toEqual({});
    expect(await server.rows()).toEqual(before);
    const client = { userAgent: 'Phone', ip: '127.0.0.1' };
    expect(seen).toEqual([user.username, '/api/auth/local', client]);
  });

  test.each([
    [400, 'my_code'],
    [401, 'my_code'],
    [403, 'my_code'],
  ])('can refuse with status %d', async (status, code) => {
    policy.beforeSignIn = () => {
      throw new SessionError(code, status, 'No.');
    };
    expect(outcome(await call.signIn(await server.user()))).toBe(`${status} ${code}`);
  });

  test('can refuse with a code of the catalog', async () => {
    policy.beforeSignIn = () => {
      throw new SessionError('user_refused', 'Not today.');
    };
    const response = await call.signIn(await server.user());
    expect(outcome(response)).toBe('401 user_refused');
    expect(response.body.error.message).toBe('Not today.');
  });

  test.each<[string, () => unknown]>([
    ['any other error', () => Promise.reject(new Error('no such table'))],
    ['an error with a status', () => Promise.reject(Object.assign(new Error(), { status: 401 }))],
    ['a status that it may not use', () => new SessionError('mine', 302, 'Elsewhere.')],
    ['an unknown code without a status', () => new SessionError('mine', 'No.')],
  ])('is a 500 and opens nothing for %s', async (_what, beforeSignIn) => {
    policy.beforeSignIn = beforeSignIn;
    const before = await server.rows();
    const response = await call.signIn(await server.user());
    expect(response.status).toBe(500);
    expect(response.body.jwt).toBeUndefined();
    expect(await server.rows()).toEqual(before);
    expect(server.log.join('\n')).toContain('beforeSignIn of policy.ts failed');
  });

  test('that takes longer than two seconds is answered with 503, and opens nothing', async () => {
    policy.beforeSignIn = never;
    const before = await server.rows();
    const response = await call.signIn(await server.user());
    expect(outcome(response)).toBe('503 temporarily_unavailable');
    expect(response.body.error.message).toContain('longer than two seconds');
    expect(response.headers['retry-after']).toBe('1');
    expect(await server.rows()).toEqual(before);
  });

  test('ends no session of the browser, and a refused registration keeps its user', async () => {
    const user = await server.user();
    const browser = server.browser();
    const login = { identifier: user.username, password: PASSWORD };
    await browser.post('/api/auth/local').send(login);
    policy.beforeSignIn = () => {
      throw new SessionError('user_refused');
    };
    expect((await browser.post('/api/auth/local').send(login)).status).toBe(401);
    expect((await browser.post('/api/token/refresh')).status).toBe(200);

    const fields = { username: 'kept', email: 'kept@test.local', password: PASSWORD };
    const registration = await server.api.post('/api/auth/local/register').send(fields);
    expect(outcome(registration)).toBe('401 user_refused');
    policy = {};
    expect((await call.signIn({ username: 'kept' })).status).toBe(200);
  });

  test('is not asked by a sign-in of the project’s own code, which still gets claims and lifetimes', async () => {
    policy = {
      beforeSignIn: () => Promise.reject(new Error('Asked.')),
      claims: () => ({ own: true }),
      lifetimes: () => ({ access: '90s' }),
    };
    const service = server.strapi.service('plugin::users-permissions.refresh-session') as any;
    const { jwt: token } = await service.signIn((await server.user()).id);
    expect(claims(token)).toMatchObject({ own: true, exp: claims(token).iat! + 90 });
  });
});

describe('beforeRefresh', () => {
  const veto = () =>
    (policy.beforeRefresh = () => {
      throw new SessionError('plan_expired', 403, 'Renew your plan.');
    });

  test('can refuse a refresh and an access token, and uses up nothing', async () => {
    const { body } = await call.signIn(await server.user());
    const { refreshToken } = (await call.refresh(body.refreshToken)).body;
    const before = await server.rows();
    veto();
    for (const response of [await call.refresh(refreshToken), await access(refreshToken)]) {
      expect(outcome(response)).toBe('403 plan_expired');
      expect(response.body.error.message).toBe('Renew your plan.');
      expect(cookies(response)).toEqual({});
    }
    expect(await server.rows()).toEqual(before);

    policy = {};
    expect((await call.refresh(refreshToken)).status).toBe(200);
  });

  test('also refuses a racing tab, a lost response, and a token from before version 2.1', async () => {
    const { body } = await call.signIn(await server.user());
    await call.refresh(body.refreshToken);
    veto();
    expect(outcome(await call.refresh(body.refreshToken))).toBe('403 plan_expired');
    pass(MINUTE);
    expect(outcome(await call.refresh(body.refreshToken))).toBe('403 plan_expired');

    policy = {};
    const other = (await call.signIn(await server.user())).body;
    const { uid: _uid, end: _end, ...old } = jwt.decode(other.refreshToken) as jwt.JwtPayload;
    const token = jwt.sign(old, process.env.REFRESH_SECRET!);
    veto();
    expect(outcome(await call.refresh(token))).toBe('403 plan_expired');
    policy = {};
    expect((await call.refresh(token)).status).toBe(200);
  });

  test('keeps its own message on the routes of other front ends', async () => {
    const { body } = await call.signIn(await server.user());
    veto();
    const response = await server.api
      .post('/api/auth/refresh')
      .send({ refreshToken: body.refreshToken });
    expect(response.body.error.message).toBe('Renew your plan.');
  });

  test('does not hide reuse: the session ends', async () => {
    const { body } = await call.signIn(await server.user());
    const next = (await call.refresh(body.refreshToken)).body;
    await call.me(next.jwt);
    pass(MINUTE);
    veto();
    expect(outcome(await call.refresh(body.refreshToken))).toBe('401 refresh_token_reused');
    expect(outcome(await call.refresh(next.refreshToken))).toBe('401 session_ended');
  });

  test('gets the user, what is known of the session, and the device', async () => {
    const seen: any[] = [];
    policy.beforeRefresh = ({ user, session, client }) => void seen.push(user.id, session, client);
    const user = await server.user();
    const { body } = await call.signIn(user, { rememberMe: false });
    await server.api
      .post('/api/token/refresh')
      .set('User-Agent', 'Phone')
      .send({ refreshToken: body.refreshToken });
    const { sid, end } = claims(body.refreshToken);
    const session = { sid, endsAt: end * 1000, persistent: false };
    expect(seen).toEqual([user.id, session, { userAgent: 'Phone', ip: '127.0.0.1' }]);
  });

  test('is a 500 or a 503 for other errors and when it takes too long, and the token still works', async () => {
    const { body } = await call.signIn(await server.user());
    policy.beforeRefresh = () => Promise.reject(new Error('no such table'));
    expect((await call.refresh(body.refreshToken)).status).toBe(500);
    policy.beforeRefresh = never;
    expect(outcome(await call.refresh(body.refreshToken))).toBe('503 temporarily_unavailable');
    expect(outcome(await access(body.refreshToken))).toBe('503 temporarily_unavailable');
    policy = {};
    expect((await call.refresh(body.refreshToken)).status).toBe(200);
  });

  test('refuses when a project hides the user from its own queries', async () => {
    const { body } = await call.signIn(await server.user());
    const { readUser } = (server.strapi.service('plugin::users-permissions.refresh-session') as any)
      .policy;
    expect(readUser).toEqual(expect.any(Function));
    const query = jest
      .spyOn(server.strapi.db.query('plugin::users-permissions.user'), 'findOne')
      .mockResolvedValue(null);
    const hidden = jest
      .spyOn(server.strapi.db, 'query')
      .mockReturnValue({ findOne: query } as never);
    expect(outcome(await call.refresh(body.refreshToken))).toBe('401 user_refused');
    hidden.mockRestore();
    query.mockRestore();
    expect((await call.refresh(body.refreshToken)).status).toBe(200);
  });

  test('is not asked about a user who was deleted, whose refresh is refused', async () => {
    const user = await server.user();
    const { body } = await call.signIn(user);
    await server.strapi.db.connection('up_users').where({ id: user.id }).delete();
    expect(outcome(await call.refresh(body.refreshToken))).toMatch(
      /^401 (user_refused|session_ended)$/
    );
  });
});

test('The boot logs which functions the policy has', () => {
  expect(server.log.join('\n')).toContain('policy: claims, lifetimes, beforeSignIn, beforeRefresh');
});
