import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { boot, DAY, HOUR, pass, PASSWORD } from '../support/server';
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
  test('opens a session and responds like stock Strapi, with a short-lived jwt', async () => {
    const user = await server.user();
    const { status, body } = await call.signIn(user);

    expect(status).toBe(200);
    expect(body.user).toMatchObject({ username: user.username, email: user.email });
    expect(body.user.password).toBeUndefined();
    const { iat, exp, ...rest } = claims(body.jwt);
    expect(rest).toEqual({ id: user.id, sid: claims(body.refreshToken).sid, gen: 0 });
    expect(exp! - iat!).toBe(360);
  });

  test('stores the device and its description with the session', async () => {
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
  ])('opens no session for %s, and responds like stock Strapi', async (_case, fields, message) => {
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
  ])('opens no session for a user who is %s', async (_case, fields, advanced, message) => {
    const restore = await setAdvanced(advanced);
    const before = await server.rows();
    const response = await call.signIn(await server.user(fields));
    await restore();
    expect(response.body.error.message).toMatch(message);
    expect(await server.rows()).toEqual(before);
  });

  test.each([[true], ['true']])(
    'returns the refresh token in the body if requestRefresh is %p',
    async (wish) => {
      const response = await call.signIn(await server.user(), { requestRefresh: wish });
      expect(response.body.refreshToken).toBeDefined();
      expect(cookies(response)).toEqual({});
    }
  );

  test.each([[false], [null], [undefined]])(
    'returns the refresh token in the cookie if requestRefresh is %p',
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
  ])('rejects %s = %j before it checks the password', async (field, value) => {
    const before = await server.rows();
    const response = await call.signIn(await server.user(), { [field]: value });
    expect(outcome(response)).toBe('400 invalid_request');
    expect(await server.rows()).toEqual(before);
  });

  test('accepts a description of 255 characters, regardless of their size in bytes', async () => {
    const description = '🔑'.repeat(255);
    const { body } = await call.signIn(await server.user(), { sessionDescription: description });
    const row = (await server.rows()).find(({ sid }) => sid === claims(body.jwt).sid);
    expect(row!.description).toBe(description);
  });
});

describe('With a cap on sessions, a sign-in', () => {
  const mine = async (user: { id: number }) =>
    (await server.rows()).filter((row) => row.user_id === user.id);

  test('ends the least recently used session, even if many sign in at the same time', async () => {
    const user = await server.user();
    const first = await call.signIn(user);
    const others = await Promise.all(Array.from({ length: 8 }, () => call.signIn(user)));

    expect(await mine(user)).toHaveLength(3);
    expect(outcome(await call.refresh(first.body.refreshToken))).toBe('401 session_ended');
    // Every sign-in that succeeded is signed in, unless a newer one followed.
    for (const answer of others) expect(outcome(answer)).toMatch(/^(200|401 session_ended)$/);
  });

  test('is kept, regardless of the clocks of other processes', async () => {
    const user = await server.user();
    for (let turn = 0; turn < 3; turn += 1) await call.signIn(user);
    pass(-HOUR);
    const { body } = await call.signIn(user);
    expect((await call.me(body.jwt)).status).toBe(200);
    expect(await mine(user)).toHaveLength(3);
    pass(HOUR);
  });

  test('is kept while others refresh in a loop', async () => {
    const user = await server.user();
    const thieves = await Promise.all(Array.from({ length: 3 }, () => call.signIn(user)));
    let over = false;
    const loops = thieves.map(async ({ body }) => {
      let { refreshToken } = body;
      while (!over && refreshToken) {
        // Always the most recently used session.
        pass(0.001);
        ({ refreshToken } = (await call.refresh(refreshToken)).body);
      }
    });
    for (let turn = 0; turn < 20; turn += 1) {
      const { status, body } = await call.signIn(user);
      expect(status).toBe(200);
      expect((await call.me(body.jwt)).status).toBe(200);
    }
    over = true;
    await Promise.all(loops);
    expect(await mine(user)).toHaveLength(3);
  });

  test('also ends a large surplus, as after lowering the cap', async () => {
    const user = await server.user();
    await call.signIn(user);
    const [row] = await mine(user);
    const many = Array.from({ length: 1500 }, (_, index) => ({
      ...row,
      id: undefined,
      sid: index.toString(16).padStart(32, '0'),
    }));
    await server.strapi.db.connection.batchInsert('up_refresh_sessions', many, 30);
    await call.signIn(user);
    expect(await mine(user)).toHaveLength(3);
  });
});

describe('A sign-in that sets the cookie', () => {
  const signInAs = async (browser: ReturnType<Server['browser']>, fields = {}) => {
    const { username, id } = await server.user();
    const response = await browser
      .post('/api/auth/local')
      .send({ identifier: username, password: PASSWORD, ...fields });
    return { id, response };
  };

  test('replaces the session that the browser had, even another user’s', async () => {
    const browser = server.browser();
    const before = await signInAs(browser);
    await browser.post('/api/token/refresh').send();
    const now = await signInAs(browser);
    expect((await call.me(before.response.body.jwt)).status).toBe(401);
    expect((await call.me(now.response.body.jwt)).status).toBe(200);
    const owners = (await server.rows()).map((row) => row.user_id);
    expect(owners).not.toContain(before.id);
  });

  test('ends it even if the token in the cookie has expired', async () => {
    const browser = server.browser();
    const { response } = await signInAs(browser);
    const cookie = cookieHeader(response);
    const mine = await server.api.post('/api/token/refresh').set('Cookie', cookie).send();
    pass(2 * DAY - 1);
    const other = await server.api
      .post('/api/token/refresh')
      .set('Cookie', cookieHeader(mine))
      .send();
    pass(60);
    const { username } = await server.user();
    await server.api
      .post('/api/auth/local')
      .set('Cookie', cookie)
      .send({ identifier: username, password: PASSWORD });
    expect((await call.me(other.body.jwt)).status).toBe(401);
  });

  test.each<[string, object]>([
    ['fails', { password: 'wrong' }],
    ['is refused', { requestRefresh: 'yes' }],
    ['gets its refresh token in the body instead', { requestRefresh: true }],
  ])('ends none if it %s', async (_how, fields) => {
    const browser = server.browser();
    const before = await signInAs(browser);
    await signInAs(browser, fields);
    expect((await call.me(before.response.body.jwt)).status).toBe(200);
  });

  test('ends none for an unsigned cookie, or for an untrusted page', async () => {
    const { response } = await signInAs(server.browser());
    const cookie = cookieHeader(response);
    const { username } = await server.user();
    const signIn = (headers: Record<string, string>) =>
      server.api
        .post('/api/auth/local')
        .set(headers)
        .send({ identifier: username, password: PASSWORD });
    await signIn({ Cookie: cookie.replace(/\.sig=.{5}/, '.sig=AAAAA') });
    const foreign = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.test' };
    expect((await signIn({ Cookie: cookie, ...foreign })).status).toBe(403);
    expect((await call.me(response.body.jwt)).status).toBe(200);
  });

  test('makes room before the cap is applied', async () => {
    const user = await server.user();
    const sign = (browser: ReturnType<Server['browser']>) =>
      browser.post('/api/auth/local').send({ identifier: user.username, password: PASSWORD });
    const others = [await call.signIn(user), await call.signIn(user)];
    const browser = server.browser();
    for (let turn = 0; turn < 3; turn += 1) expect((await sign(browser)).status).toBe(200);
    for (const { body } of others) expect((await call.me(body.jwt)).status).toBe(200);
  });
});

describe('A project’s own code that calls an action with its own context', () => {
  const auth = () => server.strapi.plugin('users-permissions').controller('auth') as any;
  const context = (body: object, more = {}) => ({
    request: { body },
    params: {},
    query: {},
    state: {},
    send: (data: unknown) => data,
    ...more,
  });

  test('gets both tokens in the result', async () => {
    const name = `hand-made-${Date.now()}`;
    const answer = await auth().register(
      context({ username: name, email: `${name}@test.local`, password: PASSWORD })
    );
    expect(answer.user.username).toBe(name);
    expect((await call.me(answer.jwt)).status).toBe(200);
    expect((await call.refresh(answer.refreshToken)).status).toBe(200);

    const { username } = await server.user();
    const ctx = context({ identifier: username, password: PASSWORD, sessionDescription: 'Job' });
    const signedIn = await auth().callback(ctx);
    expect((await server.rows()).pop()).toMatchObject({ description: 'Job', ip: null });
    expect((await call.refresh(signedIn.refreshToken)).status).toBe(200);
  });

  test('also gets them in the result if it changes the password of a user with a browser session', async () => {
    const user = await server.user();
    const signedIn = await server.api
      .post('/api/auth/local')
      .send({ identifier: user.username, password: PASSWORD });
    const fields = {
      currentPassword: PASSWORD,
      password: 'new one',
      passwordConfirmation: 'new one',
    };
    const authorization = `Bearer ${signedIn.body.jwt}`;
    const answer = await auth().changePassword(
      context(fields, {
        request: { body: fields, headers: { authorization } },
        state: { user },
        send(this: { body: unknown }, data: unknown) {
          this.body = data;
        },
      })
    );
    expect((await call.refresh(answer.refreshToken)).status).toBe(200);
  });

  test('gets an error with its code if it is refused', async () => {
    const { username } = await server.user();
    const credentials = { identifier: username, password: PASSWORD };
    const refused = auth().callback(context({ ...credentials, requestRefresh: 'yes' }));
    await expect(refused).rejects.toMatchObject({ code: 'invalid_request', status: 400 });
    const wrong = auth().callback(context({ ...credentials, password: 'wrong' }));
    await expect(wrong).rejects.toThrow('Invalid identifier or password');
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

  test('still rejects fields that stock Strapi does not know', async () => {
    const response = await register({ role: 1 });
    expect(response.status).toBe(400);
    expect(response.body.error.message).toBe('Invalid parameters: role');
  });

  test('that awaits confirmation opens no session', async () => {
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
