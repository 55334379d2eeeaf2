import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { boot, DAY, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
beforeAll(async () => {
  server = await boot();
});
afterAll(() => server.stop());

type Answer = Awaited<ReturnType<Server['api']['post']>>;

const signIn = async (fields: object = {}): Promise<Answer> => {
  const { username } = await server.user();
  return server.api
    .post('/api/auth/local')
    .send({ identifier: username, password: PASSWORD, ...fields });
};
const refresh = async (before: Answer): Promise<Answer> =>
  server.api.post('/api/token/refresh').set('Cookie', cookieHeader(before));

/** For each of the two cookies, whether it outlives the browser. */
const outlives = (response: Answer): boolean[] =>
  ['refreshToken', 'refreshToken.sig'].map((name) =>
    /; expires=/i.test(cookies(response)[name] ?? '')
  );
const lastRow = async () => (await server.rows()).pop()!;

describe('With rememberMe: false', () => {
  test.each([[false], ['false']])(
    '(%p), the cookie is deleted when the browser closes',
    async (rememberMe) => {
      const response = await signIn({ rememberMe });
      expect(response.status).toBe(200);
      expect(outlives(response)).toEqual([false, false]);
      expect(Boolean((await lastRow()).persistent)).toBe(false);
    }
  );

  test('it still is after every refresh, and when a racing tab gets the same token', async () => {
    const first = await signIn({ rememberMe: false });
    const second = await refresh(first);
    const third = await refresh(second);
    const racing = await refresh(second);
    for (const response of [second, third, racing]) {
      expect(response.status).toBe(200);
      expect(outlives(response)).toEqual([false, false]);
    }
    expect(cookies(racing).refreshToken).toBe(cookies(third).refreshToken);
  });

  test('it still is when a lost response is repeated', async () => {
    const first = await signIn({ rememberMe: false });
    await refresh(first);
    pass(60);
    const repeated = await refresh(first);
    expect(repeated.status).toBe(200);
    expect(outlives(repeated)).toEqual([false, false]);
  });

  test('registration opens such a session as well', async () => {
    const response = await server.api.post('/api/auth/local/register').send({
      username: 'forgotten',
      email: 'forgotten@test.local',
      password: PASSWORD,
      rememberMe: false,
    });
    expect(response.status).toBe(200);
    expect(outlives(response)).toEqual([false, false]);
  });

  test('the session that a password change opens is like the one before it', async () => {
    const change = {
      currentPassword: PASSWORD,
      password: 'another horse 2',
      passwordConfirmation: 'another horse 2',
    };
    const changed = async (rememberMe: boolean, fields: object = {}) => {
      const { jwt } = (await signIn({ rememberMe })).body;
      return server.api
        .post('/api/auth/change-password')
        .set('Authorization', `Bearer ${jwt}`)
        .send({ ...change, ...fields });
    };
    expect(outlives(await changed(false))).toEqual([false, false]);
    expect(outlives(await changed(true))).toEqual([true, true]);
    expect(outlives(await changed(false, { rememberMe: true }))).toEqual([true, true]);
  });

  test('the session lasts no longer and no shorter than others, and is in the list', async () => {
    const response = await signIn({ rememberMe: false });
    pass(2 * DAY - 1);
    const next = await refresh(response);
    expect(next.status).toBe(200);
    pass(2 * DAY);
    expect(outcome(await refresh(next))).toBe('401 refresh_token_expired');
  });

  test('signing out clears the cookie', async () => {
    const response = await signIn({ rememberMe: false });
    const out = await server.api.post('/api/token/revoke').set('Cookie', cookieHeader(response));
    expect(cookies(out).refreshToken).toMatch(/expires=Thu, 01 Jan 1970/);
  });
});

test.each([[undefined], [null], [true], ['true']])(
  'With rememberMe: %p, the cookie is kept until the session has been idle too long',
  async (rememberMe) => {
    const response = await signIn({ rememberMe });
    expect(outlives(response)).toEqual([true, true]);
    expect(outlives(await refresh(response))).toEqual([true, true]);
    expect(claims(cookies(response).refreshToken.split(/[=;]/)[1])).not.toHaveProperty(
      'persistent'
    );
  }
);

test('Any other rememberMe is refused before a password is checked', async () => {
  const before = await server.rows();
  for (const rememberMe of ['no', 1, 0, '', [], {}]) {
    expect(outcome(await signIn({ rememberMe, password: 'wrong' }))).toBe('400 invalid_request');
  }
  expect(await server.rows()).toEqual(before);
});

test('A session from before version 2.2 is persistent, and follows the configured lifetimes', async () => {
  const first = await signIn();
  await server.strapi.db
    .connection('up_refresh_sessions')
    .where({ sid: claims(first.body.jwt).sid })
    .update({ persistent: null, idle_ttl: null, access_ttl: null });
  await refresh(first);
  pass(60);
  // From the row.
  const next = await refresh(first);
  expect(outlives(next)).toEqual([true, true]);
  expect(claims(next.body.jwt).exp! - claims(next.body.jwt).iat!).toBe(360);
});

test('An app that keeps its token itself may send rememberMe, too', async () => {
  const { status, body } = await calls(server).signIn(await server.user(), { rememberMe: false });
  expect(status).toBe(200);
  const next = await calls(server).refresh(body.refreshToken);
  expect(claims(next.body.refreshToken).persistent).toBe(false);
});
