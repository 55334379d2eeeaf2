import { calls, claims, cookies, outcome } from '../support/client';
import { boot, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
let call: ReturnType<typeof calls>;
beforeAll(async () => {
  server = await boot({ REFRESH_SESSIONS_PER_USER: '3' });
  call = calls(server);
});
afterAll(() => server.stop());

const setAdvanced = async (changes: object) => {
  const store = server.strapi.store({ type: 'plugin', name: 'users-permissions', key: 'advanced' });
  const before = (await store.get({})) as object;
  await store.set({ value: { ...before, ...changes } });
  return () => store.set({ value: before });
};

describe('POST /auth/local', () => {
  test('opens a session and answers as stock does, with a short-lived jwt', async () => {
    const user = await server.user();
    const { status, body } = await call.signIn(user);

    expect(status).toBe(200);
    expect(body.user).toMatchObject({ username: user.username, email: user.email });
    expect(body.user.password).toBeUndefined();
    const { iat, exp, ...rest } = claims(body.jwt);
    expect(rest).toEqual({ id: user.id, sid: claims(body.refreshToken).sid, gen: 0 });
    expect(exp! - iat!).toBe(360);
  });

  test('notes the device and its description with the session', async () => {
    const { username } = await server.user();
    const { body } = await server.api.post('/api/auth/local').set('User-Agent', 'Phone/1.0').send({
      identifier: username,
      password: PASSWORD,
      requestRefresh: true,
      sessionDescription: 'My phone',
    });

    const row = (await server.rows()).find(({ sid }) => sid === claims(body.jwt).sid);
    expect(row).toMatchObject({
      user_agent: 'Phone/1.0',
      ip: '127.0.0.1',
      description: 'My phone',
      transport: 'body',
    });
  });

  test.each([
    ['a wrong password', { password: 'wrong' }, 'Invalid identifier or password'],
    ['no password', { password: undefined }, 'password is a required field'],
  ])('opens nothing for %s, and answers as stock does', async (_case, fields, message) => {
    const user = await server.user();
    const before = await server.rows();
    const response = await call.signIn(user, fields);
    expect(response.status).toBe(400);
    expect(response.body.error.message).toBe(message);
    expect(cookies(response)).toEqual({});
    expect(await server.rows()).toEqual(before);
  });

  test.each([
    ['blocked', { blocked: true }, {}, /blocked by an administrator/],
    ['unconfirmed', { confirmed: false }, { email_confirmation: true }, /not confirmed/],
  ])('opens nothing for a user who is %s', async (_case, fields, advanced, message) => {
    const restore = await setAdvanced(advanced);
    const before = await server.rows();
    const response = await call.signIn(await server.user(fields));
    await restore();
    expect(response.body.error.message).toMatch(message);
    expect(await server.rows()).toEqual(before);
  });

  test.each([[true], ['true']])('answers by body when requestRefresh is %p', async (wish) => {
    const response = await call.signIn(await server.user(), { requestRefresh: wish });
    expect(response.body.refreshToken).toBeDefined();
    expect(cookies(response)).toEqual({});
  });

  test.each([[false], [null], [undefined]])(
    'answers by cookie when requestRefresh is %p',
    async (wish) => {
      const response = await call.signIn(await server.user(), { requestRefresh: wish });
      expect(response.body.refreshToken).toBeUndefined();
      expect(cookies(response).refreshToken).toBeDefined();
    }
  );

  test.each([
    ['requestRefresh', 'yes'],
    ['requestRefresh', 'false'],
    ['requestRefresh', 1],
    ['requestRefresh', { $ne: false }],
    ['requestRefresh', [true]],
    ['sessionDescription', 7],
    ['sessionDescription', 'x'.repeat(256)],
    ['sessionDescription', 'a\0b'],
    ['identifier', 'a\0b'],
  ])('refuses %s = %j before it looks at the password', async (field, value) => {
    const before = await server.rows();
    const response = await call.signIn(await server.user(), { [field]: value });
    expect(outcome(response)).toBe('400 invalid_request');
    expect(await server.rows()).toEqual(before);
  });

  test('takes a description of 255 characters, whatever their width', async () => {
    const description = '🔑'.repeat(255);
    const { body } = await call.signIn(await server.user(), { sessionDescription: description });
    const row = (await server.rows()).find(({ sid }) => sid === claims(body.jwt).sid);
    expect(row!.description).toBe(description);
  });

  test('beyond the cap ends the session that was unused longest, also when many sign in at once', async () => {
    const user = await server.user();
    const first = await call.signIn(user);
    await Promise.all(Array.from({ length: 8 }, () => call.signIn(user)));

    const mine = (await server.rows()).filter((row) => row.user_id === user.id);
    expect(mine).toHaveLength(3);
    expect(outcome(await call.refresh(first.body.refreshToken))).toBe('401 session_ended');
  });
});

describe('POST /auth/local/register', () => {
  let count = 0;
  const register = (fields = {}) => {
    count += 1;
    const name = `newcomer-${count}`;
    return server.api
      .post('/api/auth/local/register')
      .send({ username: name, email: `${name}@test.local`, password: PASSWORD, ...fields });
  };

  test('signs the user in with a session, by cookie or by body', async () => {
    const byCookie = await register();
    expect(byCookie.status).toBe(200);
    expect(cookies(byCookie).refreshToken).toBeDefined();

    const byBody = await register({ requestRefresh: true, sessionDescription: 'Laptop' });
    expect(byBody.status).toBe(200);
    expect((await call.refresh(byBody.body.refreshToken)).status).toBe(200);
  });

  test('still refuses keys that stock does not know', async () => {
    const response = await register({ role: 1 });
    expect(response.status).toBe(400);
    expect(response.body.error.message).toBe('Invalid parameters: role');
  });

  test('that waits for its confirmation opens nothing', async () => {
    const restore = await setAdvanced({ email_confirmation: true });
    server.strapi.plugin('email').service('email').send = async () => {};
    const before = await server.rows();
    const response = await register({ requestRefresh: true });
    await restore();

    expect(response.status).toBe(200);
    expect(Object.keys(response.body)).toEqual(['user']);
    expect(await server.rows()).toEqual(before);
  });
});
