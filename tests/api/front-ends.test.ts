import { onBusyDatabase } from '../support/busy';
import { claims, cookieHeader, cookies, outcome } from '../support/client';
import { since } from '../support/release';
import { boot, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

/** The documented requests of other refresh-token solutions, as their front ends send them. */

let server: Server;
let username: string;
beforeEach(async () => {
  ({ username } = await server.user());
});
afterAll(() => server.stop());

const post = (path: string, body: object = {}, headers = {}) =>
  server.api.post(`/api${path}`).set(headers).send(body);
const get = (path: string, jwt: string) =>
  server.api.get(`/api${path}`).set('Authorization', `Bearer ${jwt}`);
const bearer = (jwt: string) => ({ Authorization: `Bearer ${jwt}` });

describe('A front end of strapi-plugin-refresh-token', () => {
  beforeAll(async () => {
    server = await boot();
  });

  test('requests a refresh token at sign-in, and refreshes with it', async () => {
    const { body } = await post('/auth/local', {
      identifier: username,
      password: PASSWORD,
      requestRefresh: true,
    });
    expect(Object.keys(body).sort()).toEqual(['jwt', 'refreshToken', 'user']);

    const refreshed = await post('/auth/local/refresh', { refreshToken: body.refreshToken });
    expect(Object.keys(refreshed.body).sort()).toEqual(['jwt', 'refreshToken']);
    expect((await get('/users/me', refreshed.body.jwt)).body.username).toBe(username);
  });

  test('also works if it keeps the refresh token in the cookie', async () => {
    const signedIn = await post('/auth/local', { identifier: username, password: PASSWORD });
    const refreshed = await post('/auth/local/refresh', {}, { Cookie: cookieHeader(signedIn) });
    expect(Object.keys(refreshed.body)).toEqual(['jwt']);
    expect(cookies(refreshed).refreshToken).toBeDefined();
  });
});

describe('With REFRESH_TOKEN_RESPONSE=body', () => {
  beforeAll(async () => {
    await server.stop();
    server = await boot({ REFRESH_TOKEN_RESPONSE: 'body' }, (strapi) => {
      // The project's own routes that name Strapi's actions.
      strapi.server.app.use((ctx, next) => {
        const action = /^\/own\/(\w+)$/.exec(ctx.path)?.[1];
        if (!action) return next();
        return (strapi.plugin('users-permissions').controller('auth') as any)[action](ctx);
      });
    });
  });

  describe('a front end of strapi-plugin-refreshing', () => {
    const request = (fields = {}) =>
      post('/auth/token/request', { identifier: username, password: PASSWORD, ...fields });

    test('requests a refresh token, exchanges it for access tokens, lists sessions and revokes', async () => {
      const { body } = await request({ description: 'My phone' });
      expect(body).toEqual({
        jwt: expect.any(String),
        refreshToken: expect.any(String),
        refresh_token: body.refreshToken,
      });

      const refreshed = (await post('/auth/token', { token: body.refresh_token })).body;
      const list = await get('/users/me/sessions', refreshed.jwt);
      expect(list.body).toEqual([expect.objectContaining({ description: 'My phone' })]);

      const revoked = await post('/auth/revoke', { token: refreshed.refreshToken });
      expect(revoked.status).toBe(200);
      expect((await get('/users/me', refreshed.jwt)).status).toBe(401);
    });

    test.each<[string, Record<string, unknown>, object]>([
      ['a wrong password', {}, { password: 'wrong' }],
      ['an unknown user', {}, { identifier: 'nobody' }],
      ['no password', {}, { password: undefined }],
      ['a blocked user', { blocked: true }, {}],
      ['an operator as the name', {}, { identifier: { $ne: '' } }],
    ])('gets exactly the response of the login for %s', async (_case, user, fields) => {
      const { username: name } = await server.user(user);
      const credentials = { identifier: name, password: PASSWORD, ...fields };
      const login = await post('/auth/local', credentials);
      const response = await post('/auth/token/request', credentials);
      expect(login.status).toBe(400);
      expect([response.status, response.body]).toEqual([login.status, login.body]);
    });

    test('needs the permission of the login', async () => {
      const permissions = server.strapi.db.query('plugin::users-permissions.permission');
      const where = { action: 'plugin::users-permissions.auth.callback' };
      const granted = await permissions.findMany({ where, populate: ['role'] });
      await permissions.deleteMany({ where });
      const [login, response] = [
        await post('/auth/local', { identifier: username, password: PASSWORD }),
        await request(),
      ];
      for (const { action, role } of granted) {
        await permissions.create({ data: { action, role: role.id } });
      }
      expect([login.status, response.status]).toEqual([403, 403]);
      expect((await request()).status).toBe(200);
    });

    test('gets the refresh token in the body even if others get a cookie, from any origin', async () => {
      const foreign = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://app.elsewhere.test' };
      const wish = { 'x-strapi-refresh-cookie': 'httpOnly' };
      const fields = { identifier: username, password: PASSWORD, requestRefresh: false };
      const response = await post('/auth/token/request', fields, { ...foreign, ...wish });
      expect(Object.keys(response.body).sort()).toEqual(['jwt', 'refreshToken', 'refresh_token']);
      expect(cookies(response)).toEqual({});
    });

    test('gets a 400 for a token that is not a string', async () => {
      expect(outcome(await post('/auth/token', { token: { $ne: '' } }))).toBe(
        '400 invalid_request'
      );
      expect(outcome(await post('/auth/token', {}))).toBe('400 refresh_token_missing');
      expect(outcome(await post('/auth/token', { token: 'x' }))).toBe('401 refresh_token_invalid');
    });
  });

  describe('a front end of Strapi’s own refresh mode', () => {
    const signIn = async (headers = {}, deviceId: string | null = 'device') =>
      post('/auth/local', { identifier: username, password: PASSWORD, deviceId }, headers);
    const refresh = (refreshToken: string) => post('/auth/refresh', { refreshToken });

    test('signs in with a device, refreshes and logs out', async () => {
      const { body } = await signIn();
      expect(Object.keys(body).sort()).toEqual(['jwt', 'refreshToken', 'user']);
      const refreshed = (await refresh(body.refreshToken)).body;
      expect(Object.keys(refreshed).sort()).toEqual(['jwt', 'refreshToken']);

      const out = await post('/auth/logout', {}, bearer(refreshed.jwt));
      expect([out.status, out.body]).toEqual([200, { ok: true }]);
      const gone = await refresh(refreshed.refreshToken);
      expect(gone.body.error).toMatchObject({
        status: 401,
        name: 'UnauthorizedError',
        message: 'Invalid refresh token',
        details: { code: 'session_ended' },
      });
    });

    test('gets Strapi’s message if the refresh token is missing', async () => {
      const { status, body } = await post('/auth/refresh');
      expect(status).toBe(400);
      expect(body.error).toMatchObject({
        name: 'BadRequestError',
        message: 'Missing refresh token',
      });
    });

    test('requests the cookie with a header, at sign-in and at refresh', async () => {
      const wish = { 'x-strapi-refresh-cookie': 'httpOnly' };
      const signedIn = await signIn(wish);
      expect(Object.keys(signedIn.body).sort()).toEqual(['jwt', 'user']);
      const cookie = { Cookie: cookieHeader(signedIn), ...wish };
      const refreshed = await post('/auth/refresh', {}, cookie);
      expect(Object.keys(refreshed.body)).toEqual(['jwt']);
      expect(cookies(refreshed).refreshToken).toMatch(/httponly/i);

      const out = await post('/auth/logout', {}, { Cookie: cookieHeader(refreshed), ...wish });
      expect(cookies(out).refreshToken).toMatch(/^refreshToken=;/);
    });

    test('logs out everywhere with scope all', async () => {
      const [one, two] = [await signIn(), await signIn()];
      await post('/auth/logout', { scope: 'all' }, bearer(one.body.jwt));
      expect(outcome(await refresh(two.body.refreshToken))).toBe('401 session_ended');
      expect((await get('/users/me', one.body.jwt)).status).toBe(401);
    });

    test('logs another device out by its id, and stays signed in', async () => {
      const [phone, again, laptop] = [
        await signIn({}, 'phone'),
        await signIn({}, 'phone'),
        await signIn({}, 'laptop'),
      ];
      const none = await signIn({}, null);
      const stranger = await post('/auth/local', {
        identifier: (await server.user()).username,
        password: PASSWORD,
        deviceId: 'phone',
      });

      for (const deviceId of ['Phone', 'phone ', 'other']) {
        await post('/auth/logout', { deviceId }, bearer(laptop.body.jwt));
      }
      expect((await get('/users/me', phone.body.jwt)).status).toBe(200);

      const out = await post('/auth/logout', { deviceId: 'phone' }, bearer(laptop.body.jwt));
      expect([out.status, out.body]).toEqual([200, { ok: true }]);
      for (const { body } of [phone, again]) {
        expect(outcome(await refresh(body.refreshToken))).toBe('401 session_ended');
      }
      for (const { body } of [laptop, none, stranger]) {
        expect((await get('/users/me', body.jwt)).status).toBe(200);
      }
    });

    test('logs itself out by its device id even if its session has none, as after 1.0.0', async () => {
      const wish = { 'x-strapi-refresh-cookie': 'httpOnly' };
      const mine = await signIn(wish, null);
      const out = await post('/auth/logout', { deviceId: 'mine' }, { Cookie: cookieHeader(mine) });
      expect(cookies(out).refreshToken).toMatch(/^refreshToken=;/);
      expect((await get('/users/me', mine.body.jwt)).status).toBe(401);

      const [other, phone] = [(await signIn({}, null)).body, (await signIn({}, 'phone')).body];
      // Repeated, as after a lost response, it still affects only the phone.
      for (let turn = 0; turn < 2; turn += 1) {
        await post('/auth/logout', { deviceId: 'phone' }, bearer(other.jwt));
      }
      expect((await get('/users/me', phone.jwt)).status).toBe(401);
      expect((await get('/users/me', other.jwt)).status).toBe(200);
    });

    test('keeps its cookie when it logs another device out, and loses it when it logs out its own', async () => {
      const wish = { 'x-strapi-refresh-cookie': 'httpOnly' };
      await signIn({}, 'phone');
      const mine = { Cookie: cookieHeader(await signIn(wish, 'laptop')) };
      expect(cookies(await post('/auth/logout', { deviceId: 'phone' }, mine))).toEqual({});
      const out = await post('/auth/logout', { deviceId: 'laptop' }, mine);
      expect(cookies(out).refreshToken).toMatch(/^refreshToken=;/);
    });

    test('stays signed in when it logs out a device that has no session', async () => {
      const mine = await signIn({ 'x-strapi-refresh-cookie': 'httpOnly' }, 'laptop');
      const other = (await signIn({}, null)).body;
      const headers = { Cookie: cookieHeader(mine), ...bearer(other.jwt) };
      for (const sent of [{ Cookie: headers.Cookie }, headers]) {
        const out = await post('/auth/logout', { deviceId: 'phone' }, sent);
        expect([out.status, cookies(out)]).toEqual([200, {}]);
      }
      expect((await get('/users/me', mine.body.jwt)).status).toBe(200);
      expect((await get('/users/me', other.jwt)).status).toBe(200);
    });

    test('stays signed in when its own session has no device and it logs out another', async () => {
      const mine = await signIn({ 'x-strapi-refresh-cookie': 'httpOnly' }, null);
      const phone = (await signIn({}, 'phone')).body;
      const sent = { Cookie: cookieHeader(mine) };
      const out = await post('/auth/logout', { deviceId: 'phone' }, sent);
      expect([out.status, cookies(out)]).toEqual([200, {}]);
      expect((await get('/users/me', phone.jwt)).status).toBe(401);
      expect((await get('/users/me', mine.body.jwt)).status).toBe(200);
    });

    test('loses its cookie with its device even if that device has other sessions', async () => {
      const mine = await signIn({ 'x-strapi-refresh-cookie': 'httpOnly' }, 'laptop');
      const other = (await signIn({}, 'laptop')).body;
      const sent = { Cookie: cookieHeader(mine) };
      const out = await post('/auth/logout', { deviceId: 'laptop' }, sent);
      expect(cookies(out).refreshToken).toMatch(/^refreshToken=;/);
      expect((await get('/users/me', other.jwt)).status).toBe(401);
    });

    test('logs out with only a refresh token in the body', async () => {
      const { body } = await signIn();
      const out = await post('/auth/logout', { refreshToken: body.refreshToken });
      expect([out.status, out.body]).toEqual([200, { ok: true }]);
      expect((await get('/users/me', body.jwt)).status).toBe(401);
    });

    test.each([[null], ['']])('logs itself out if the deviceId is %p', async (deviceId) => {
      const { body } = await signIn({}, deviceId);
      expect((await server.rows()).pop()!.device_id).toBeNull();
      await post('/auth/logout', { deviceId }, bearer(body.jwt));
      expect((await get('/users/me', body.jwt)).status).toBe(401);
    });

    test.each([[7], [{}], ['x'.repeat(256)], ['a\0b'], [['phone']]])(
      'gets a 400 for the deviceId %j, and nothing changes',
      async (deviceId) => {
        const { body } = await signIn();
        const before = await server.rows();
        const credentials = { identifier: username, password: PASSWORD };
        const answers = [
          await post('/auth/local', { ...credentials, deviceId }),
          await post('/auth/logout', { deviceId }, bearer(body.jwt)),
        ];
        expect(answers.map(outcome)).toEqual(['400 invalid_request', '400 invalid_request']);
        expect(await server.rows()).toEqual(before);
      }
    );

    test('without proof of an active session cannot end other sessions', async () => {
      const [mine, other] = [(await signIn()).body, (await signIn()).body];
      const tokens = server.strapi.plugin('users-permissions').service('jwt');
      const old = tokens.issue({ id: claims(mine.jwt).id });
      expect((await post('/auth/logout', {}, bearer(old))).status).toBe(200);

      const next = (await refresh(mine.refreshToken)).body;
      await refresh(next.refreshToken);
      const attempts: [object, object][] = [
        [{}, {}],
        [{}, bearer(old)],
        [{ refreshToken: 'nonsense' }, bearer(mine.jwt)],
        [{ refreshToken: mine.refreshToken }, {}],
        [{}, { Cookie: 'refreshToken=nonsense; refreshToken.sig=nonsense' }],
      ];
      pass(11);
      for (const what of [{ scope: 'all' }, { deviceId: 'device' }]) {
        for (const [body, headers] of attempts) {
          const answer = await post('/auth/logout', { ...what, ...body }, headers);
          expect(outcome(answer)).toBe('401 authentication_required');
        }
      }
      expect((await get('/users/me', other.jwt)).status).toBe(200);

      pass(400);
      const expired = await post('/auth/logout', { scope: 'all' }, bearer(other.jwt));
      expect(outcome(expired)).toBe('401 authentication_required');
      expect((await refresh(other.refreshToken)).status).toBe(200);
    });

    test('logs nobody out while the database is too busy to check the access token', async () => {
      const { jwt } = (await signIn()).body;
      const answer = await onBusyDatabase(server, /up_refresh_sessions/, () =>
        post('/auth/logout', { scope: 'all' }, bearer(jwt))
      );
      expect(outcome(answer)).toBe('503 temporarily_unavailable');
      expect((await get('/users/me', jwt)).status).toBe(200);
    });

    test('lists the sessions, the current one first, and ends one', async () => {
      const first = (await signIn()).body;
      pass(10);
      const second = (
        await signIn({
          'User-Agent':
            'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36',
        })
      ).body;
      const { body } = await get('/auth/sessions', first.jwt);
      expect(body.data.map(({ id, current }: any) => [id, current])).toEqual([
        [claims(first.jwt).sid, true],
        [claims(second.jwt).sid, false],
      ]);
      expect(body.data[1]).toEqual({
        id: expect.any(String),
        deviceId: 'device',
        current: false,
        loginAt: expect.any(String),
        lastActiveAt: expect.any(String),
        // Older releases have no name for a device.
        ...(since('5.50.0') && { deviceName: expect.stringMatching(/Chrome/) }),
      });

      const remove = (id: string) =>
        server.api.delete(`/api/auth/sessions/${id}`).set(bearer(first.jwt));
      const ended = await remove(claims(second.jwt).sid);
      expect([ended.status, ended.body]).toEqual([200, { data: {} }]);
      const again = await remove(claims(second.jwt).sid);
      expect(again.body.error).toMatchObject({ status: 404, message: 'Session not found' });
    });

    test('gets Strapi’s message if it is not authenticated', async () => {
      const { status, body } = await server.api.get('/api/auth/sessions');
      expect(status).toBe(401);
      expect(body.error.message).toBe('Missing authentication');
    });

    test.each([
      ['refresh', '400 refresh_token_missing'],
      ['logout', '401 authentication_required'],
      ['getSessions', '401 authentication_required'],
      ['revokeSession', '401 authentication_required'],
    ])(
      'gets our action if a route of the project names Strapi’s action %s',
      async (action, expected) => {
        expect(outcome(await server.api.post(`/own/${action}`))).toBe(expected);
      }
    );

    test('finds each route once, because Strapi’s own are replaced', () => {
      const { routes } = (server.strapi.plugin('users-permissions').routes as any)['content-api'];
      const names = routes.map(({ method, path }: any) => `${method} ${path}`);
      expect(names).toHaveLength(new Set(names).size);
      expect(names).toContain('POST /auth/refresh');
    });
  });
});
