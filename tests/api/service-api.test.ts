import { cookies, calls, claims, outcome } from '../support/client';
import { boot } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
let call: ReturnType<typeof calls>;
const told: [string, Record<string, unknown>][] = [];

beforeAll(async () => {
  server = await boot({}, (strapi) => {
    // A magic link, as a project could implement it.
    strapi.server.app.use(async (ctx, next) => {
      if (ctx.path !== '/magic-link') return next();
      const { sid: _sid, ...answer } = await service().signIn(Number(ctx.query.user), { ctx });
      ctx.body = answer;
    });
    for (const what of ['opened', 'refreshed', 'reused', 'ended']) {
      strapi.eventHub.on(`refresh-session.${what}`, async (event) => {
        told.push([what, event]);
      });
    }
  });
  call = calls(server);
});
afterAll(() => server.stop());

const service = () => server.strapi.service('plugin::users-permissions.refresh-session') as any;

describe('The project’s own code', () => {
  test('signs a user in, and gets both tokens', async () => {
    const { id } = await server.user();
    const { jwt, refreshToken, sid } = await service().signIn(id, { description: 'A test' });
    expect((await call.me(jwt)).body.id).toBe(id);
    expect((await call.refresh(refreshToken)).status).toBe(200);
    expect((await service().list(id))[0]).toMatchObject({ sid, description: 'A test' });
  });

  test('signs a user in by cookie if it passes the request context', async () => {
    const { id } = await server.user();
    const response = await server.api.get('/magic-link').query({ user: id });
    expect(Object.keys(response.body)).toEqual(['jwt']);
    expect(cookies(response).refreshToken).toMatch(/httponly/i);
  });

  test('does not sign anyone in for an untrusted page', async () => {
    const { id } = await server.user();
    const response = await server.api
      .get('/magic-link')
      .set({ 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.test' })
      .query({ user: id });
    expect(response.status).toBe(403);
    expect(cookies(response)).toEqual({});
    expect(await service().list(id)).toEqual([]);
  });

  test('signs a user in who opens a link in a webmail', async () => {
    const { id } = await server.user();
    const response = await server.api
      .get('/magic-link')
      .set({ 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' })
      .query({ user: id });
    expect(cookies(response).refreshToken).toBeDefined();
  });

  test.each<[unknown, object]>([
    ['7', {}],
    [undefined, {}],
    [1, { description: 'x'.repeat(256) }],
    [1, { description: 'a\0b' }],
    [1, { rememberMe: 'no' }],
    [1, { rememberMe: [false] }],
  ])('gets an error for the call signIn(%j, %j)', async (id, options) => {
    await expect(service().signIn(id, options)).rejects.toMatchObject({ code: 'invalid_request' });
  });

  test('takes rememberMe as a request may have it', async () => {
    const { id } = await server.user();
    for (const rememberMe of [false, 'false']) {
      const { refreshToken } = await service().signIn(id, { rememberMe });
      expect(claims(refreshToken).persistent).toBe(false);
    }
    for (const rememberMe of [undefined, null, true, 'true']) {
      const { refreshToken } = await service().signIn(id, { rememberMe });
      expect(claims(refreshToken)).not.toHaveProperty('persistent');
    }
  });

  test.each([
    ['who is blocked', async () => (await server.user({ blocked: true })).id],
    ['who does not exist', async () => 999_999],
  ])('cannot sign in a user %s', async (_who, find) => {
    const before = await server.rows();
    await expect(service().signIn(await find())).rejects.toMatchObject({ code: 'user_refused' });
    expect(await server.rows()).toEqual(before);
  });

  test('ends one session, all of a user’s sessions, all but one, or everyone’s', async () => {
    const { id } = await server.user();
    const open = async () => service().signIn(id);
    const [one, two, three] = [await open(), await open(), await open()];

    expect(await service().signOut({ sid: one.sid })).toBe(1);
    expect(await service().signOut({ sid: one.sid })).toBe(0);
    expect(await service().signOut({ userId: id, except: three.sid })).toBe(1);
    expect((await call.me(two.jwt)).status).toBe(401);
    expect((await call.me(three.jwt)).status).toBe(200);
    expect(await service().signOut({ userId: id })).toBe(1);

    await open();
    const rows = (await server.rows()).length;
    expect(await service().signOut('everyone')).toBe(rows);
    expect(await server.rows()).toEqual([]);
  });

  test('ends everyone’s even while someone signs in again and again', async () => {
    const { id } = await server.user();
    await service().signIn(id);
    let hasEnded = false;
    let signIns = 0;
    const signInAgain = async () => {
      for (; !hasEnded && signIns < 300; signIns += 1) await service().signIn(id);
    };
    const people = [signInAgain(), signInAgain()];
    await service().signOut('everyone');
    hasEnded = true;
    await Promise.all(people);
    expect(signIns).toBeLessThan(300);
  });
});

describe('Events are emitted', () => {
  const phone = { 'User-Agent': 'Phone/1.0' };

  test('with the session, the user, the reason and the device, but never a token', async () => {
    const user = await server.user();
    told.length = 0;
    const signedIn = (await call.signIn(user)).body;
    const refreshOn = (refreshToken: string) =>
      server.api.post('/api/token/refresh').set(phone).send({ refreshToken });
    const second = (await refreshOn(signedIn.refreshToken)).body;
    const third = (await refreshOn(second.refreshToken)).body;
    expect(outcome(await refreshOn(signedIn.refreshToken))).toBe('401 refresh_token_reused');

    const who = { sid: claims(signedIn.jwt).sid, userId: user.id, ip: '127.0.0.1' };
    const onPhone = { ...who, userAgent: 'Phone/1.0' };
    expect(told).toEqual([
      ['opened', { ...who, userAgent: null }],
      ['refreshed', onPhone],
      ['refreshed', onPhone],
      ['ended', { ...onPhone, reason: 'reused' }],
      [
        'reused',
        { ...onPhone, session: { description: null, userAgent: 'Phone/1.0', ip: '127.0.0.1' } },
      ],
    ]);
    const everything = JSON.stringify(told);
    for (const token of [signedIn, second, third].flatMap(Object.values)) {
      if (typeof token === 'string') expect(everything).not.toContain(token);
    }
  });

  test.each<[string, 'post' | 'delete', string, object]>([
    ['signing out', 'post', '/token/revoke', {}],
    ['ending one session', 'delete', '/users/me/sessions/:id', {}],
    ['ending all sessions', 'delete', '/users/me/sessions', {}],
    ['logging out', 'post', '/auth/logout', {}],
    ['logging out everywhere', 'post', '/auth/logout', { scope: 'all' }],
    ['logging out a device', 'post', '/auth/logout', { deviceId: 'tablet' }],
  ])(
    'with the reason revoked and the caller’s device for %s',
    async (_what, method, path, body) => {
      const user = await server.user();
      const { jwt } = (await call.signIn(user, { deviceId: 'tablet' })).body;
      const { sid } = claims(jwt);
      told.length = 0;
      const response = await server.api[method](`/api${path.replace(':id', sid)}`)
        .set({ ...phone, Authorization: `Bearer ${jwt}` })
        .send(body);
      expect(response.status).toBe(200);
      const event = { sid, userId: user.id, ip: '127.0.0.1', userAgent: 'Phone/1.0' };
      expect(told).toEqual([['ended', { ...event, reason: 'revoked' }]]);
    }
  );

  test('once, even if many requests have the same old token', async () => {
    const { refreshToken } = (await call.signIn(await server.user())).body;
    const next = (await call.refresh(refreshToken)).body;
    await call.refresh(next.refreshToken);
    told.length = 0;
    await Promise.all(Array.from({ length: 10 }, () => call.refresh(refreshToken)));
    expect(told.map(([what]) => what)).toEqual(['ended', 'reused']);
  });

  test('and a listener that fails is logged without failing the request', async () => {
    server.strapi.eventHub.once('refresh-session.opened', async () => {
      throw new Error('no mail today');
    });
    expect((await call.signIn(await server.user())).status).toBe(200);
    expect(server.log.filter((line) => line.includes('no mail today'))).toHaveLength(1);
  });
});
