import { apiToken, superAdmin } from '../support/admins';
import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { boot, DAY, HOUR, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
let call: ReturnType<typeof calls>;
beforeAll(async () => {
  server = await boot();
  call = calls(server);
});
afterAll(() => server.stop());

const as = (jwt: string, method: 'get' | 'delete', path = '') =>
  server.api[method](`/api/users/me/sessions${path}`).set('Authorization', `Bearer ${jwt}`);
const sid = ({ jwt }: { jwt: string }) => claims(jwt).sid as string;

const twoDevices = async () => {
  const user = await server.user();
  const phone = (await call.signIn(user, { sessionDescription: 'My phone' })).body;
  pass(60);
  const laptop = (await call.signIn(user)).body;
  return { user, phone, laptop };
};

describe('A signed-in user', () => {
  test('sees all sessions of the account, most recently used first, without a permission in a role', async () => {
    const { phone, laptop } = await twoDevices();
    const { status, body } = await as(laptop.jwt, 'get');

    expect(status).toBe(200);
    expect(body.map(({ id }: { id: string }) => id)).toEqual([sid(laptop), sid(phone)]);
    const signedIn = new Date(Date.now() - 60_000);
    const after = (seconds: number) => new Date(signedIn.getTime() + seconds * 1000).toISOString();
    expect(body[1]).toEqual({
      id: sid(phone),
      description: 'My phone',
      userAgent: null,
      ip: '127.0.0.1',
      transport: 'body',
      createdAt: after(0),
      lastActivity: after(0),
      expiresAt: after(2 * DAY),
      endsAt: after(30 * DAY),
      current: false,
    });
    expect(body[0].current).toBe(true);
  });

  test('sees when a session was refreshed last', async () => {
    const { phone, laptop } = await twoDevices();
    pass(HOUR);
    const { jwt } = (await call.refresh(phone.refreshToken)).body;
    const { body } = await as(jwt, 'get');
    expect(body[0]).toMatchObject({ id: sid(phone), lastActivity: new Date().toISOString() });
    expect(body[1].id).toBe(sid(laptop));
  });

  test('does not see expired sessions that have not been cleaned up yet', async () => {
    const { user, laptop } = await twoDevices();
    pass(2 * DAY);
    const again = (await call.signIn(user)).body;
    const ids = (await as(again.jwt, 'get')).body.map(({ id }: { id: string }) => id);
    expect(ids).toEqual([sid(again)]);
    expect((await server.rows()).map((row) => row.sid)).toContain(sid(laptop));
  });

  test('with very many sessions sees the hundred most recent, and always the current one', async () => {
    const { user, laptop, phone } = await twoDevices();
    const row = (await server.rows()).find((one) => one.sid === sid(laptop))!;
    const many = Array.from({ length: 250 }, (_, index) => ({
      ...row,
      id: undefined,
      sid: (user.id * 1000 + index).toString(16).padStart(32, '0'),
      rotated_at: Number(row.rotated_at) + 1000 + index,
    }));
    await server.strapi.db.connection.batchInsert('up_refresh_sessions', many, 30);

    for (const { jwt } of [laptop, phone]) {
      const { body } = await as(jwt, 'get');
      expect(body).toHaveLength(100);
      expect(body[0].id).toBe(many[249].sid);
      expect(body[99]).toMatchObject({ id: claims(jwt).sid, current: true });
    }
    const { data } = (
      await server.api.get('/api/auth/sessions').set('Authorization', `Bearer ${phone.jwt}`)
    ).body;
    expect(data).toHaveLength(100);
    expect(data[0]).toMatchObject({ id: sid(phone), current: true });
    expect((await as(laptop.jwt, 'delete')).body).toEqual({ ended: 252 });
  });

  test('who ends their current session loses its cookie, but no other cookie', async () => {
    const signIn = async () => {
      const { username } = await server.user();
      return server.api.post('/api/auth/local').send({ identifier: username, password: PASSWORD });
    };
    const end = async (path: string, headers: object) => {
      const mine = await signIn();
      const cookie = { Cookie: cookieHeader(mine) };
      const id = claims(mine.body.jwt).sid;
      return cookies(
        await as(mine.body.jwt, 'delete', path.replace(':id', id)).set({ ...cookie, ...headers })
      );
    };
    for (const path of ['', '/:id']) {
      expect((await end(path, {})).refreshToken).toMatch(/^refreshToken=;/);
      const other = { Cookie: cookieHeader(await signIn()) };
      expect(await end(path, other)).toEqual({});
      const foreign = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://app.elsewhere.test' };
      expect(await end(path, foreign)).toEqual({});
    }
    expect(await end('?except=current', {})).toEqual({});
  });

  test('who ends another session keeps the cookie of that session, which no longer works', async () => {
    const { username } = await server.user();
    const credentials = { identifier: username, password: PASSWORD };
    const other = await server.api.post('/api/auth/local').send(credentials);
    const mine = (await call.signIn({ username })).body;
    const ended = await as(mine.jwt, 'delete', `/${sid(other.body)}`).set(
      'Cookie',
      cookieHeader(other)
    );
    expect([ended.status, cookies(ended)]).toEqual([200, {}]);
  });

  test('ends one session, whose access token stops working immediately', async () => {
    const { phone, laptop } = await twoDevices();
    const ended = await as(laptop.jwt, 'delete', `/${sid(phone)}`);
    expect([ended.status, ended.body]).toEqual([200, { ok: true }]);
    expect((await call.me(phone.jwt)).status).toBe(401);
    expect((await call.me(laptop.jwt)).status).toBe(200);
  });

  test('ends all other sessions, or all sessions', async () => {
    const { phone, laptop } = await twoDevices();
    expect((await as(laptop.jwt, 'delete', '?except=current')).body).toEqual({ ended: 1 });
    expect((await call.me(phone.jwt)).status).toBe(401);
    expect((await as(laptop.jwt, 'delete')).body).toEqual({ ended: 1 });
    expect((await call.me(laptop.jwt)).status).toBe(401);
  });

  test('who ends all sessions in several tabs at the same time gets each session counted once', async () => {
    const { user, laptop } = await twoDevices();
    const told: string[] = [];
    const listen = async ({ sid: ended }: { sid: string }) => void told.push(ended);
    server.strapi.eventHub.on('refresh-session.ended', listen as never);
    for (let index = 0; index < 5; index += 1) await call.signIn(user);
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => as(laptop.jwt, 'delete', '?except=current'))
    );
    server.strapi.eventHub.off('refresh-session.ended', listen as never);

    const counts = answers.map(({ body }) => body.ended);
    expect(counts.reduce((sum, count) => sum + count)).toBe(6);
    expect([told.length, new Set(told).size]).toEqual([6, 6]);
  });

  test('cannot end another user’s session, or find out that it exists', async () => {
    const mine = (await twoDevices()).laptop;
    const other = (await twoDevices()).laptop;
    expect(outcome(await as(mine.jwt, 'delete', `/${sid(other)}`))).toBe('404 session_not_found');
    expect((await call.me(other.jwt)).status).toBe(200);
    expect((await as(mine.jwt, 'delete', '?except=current')).body).toEqual({ ended: 1 });
    expect((await call.me(other.jwt)).status).toBe(200);
  });

  test.each(['nonsense', '%00', 'a'.repeat(5000), 'A'.repeat(32), "'%20or%201=1"])(
    'gets a 404 for the id %s',
    async (id) => {
      const { laptop } = await twoDevices();
      expect(outcome(await as(laptop.jwt, 'delete', `/${id}`))).toBe('404 session_not_found');
    }
  );

  test.each(['?except=others', '?except=', '?except[]=current', '?except[a]=current'])(
    'gets a 400 for %s, and no session ends',
    async (query) => {
      const { laptop } = await twoDevices();
      expect(outcome(await as(laptop.jwt, 'delete', query))).toBe('400 invalid_request');
      expect((await call.me(laptop.jwt)).status).toBe(200);
    }
  );
});

describe('The request is refused for', () => {
  const routes: ['get' | 'delete', string][] = [
    ['get', ''],
    ['delete', ''],
    ['delete', `/${'a'.repeat(32)}`],
  ];

  test.each(routes)('an anonymous caller: %s %s', async (method, path) => {
    const response = await server.api[method](`/api/users/me/sessions${path}`);
    expect(outcome(response)).toBe('401 authentication_required');
  });

  test.each(routes)('an API token: %s %s', async (method, path) => {
    const token = await apiToken(await superAdmin(server), `for ${method} ${path}`);
    expect(outcome(await as(token, method, path))).toBe('401 authentication_required');
  });

  test('a refresh token instead of an access token', async () => {
    const { username } = await server.user();
    const { body } = await server.api
      .post('/api/auth/local')
      .send({ identifier: username, password: PASSWORD, requestRefresh: true });
    expect((await as(body.refreshToken, 'get')).status).toBe(401);
  });
});
