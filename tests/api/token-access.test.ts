import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { boot, DAY, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

const FOREIGN = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://elsewhere.test' };

let server: Server;
let call: ReturnType<typeof calls>;

beforeAll(async () => {
  server = await boot({ REFRESH_TOKEN_ACCESS: 'true' });
  call = calls(server);
});
afterAll(() => server.stop());

/** Every test also checks that the response writes no cookie. */
async function access(body: object = {}, headers: Record<string, string> = {}) {
  const response = await server.api.post('/api/token/access').set(headers).send(body);
  expect(cookies(response)).toEqual({});
  return response;
}

const signIn = async () => (await call.signIn(await server.user())).body;
const rowOf = async (token: string) =>
  (await server.rows()).find((row) => row.sid === claims(token).sid);

async function browser() {
  const { username } = await server.user();
  const body = { identifier: username, password: PASSWORD };
  const response = await server.api.post('/api/auth/local').send(body);
  return { jwt: response.body.jwt as string, Cookie: cookieHeader(response) };
}

describe('POST /token/access', () => {
  test('returns an access token for the refresh token in the body, and changes nothing', async () => {
    const { refreshToken, user } = await signIn();
    const before = await rowOf(refreshToken);
    pass(60);
    const response = await access({ refreshToken });

    expect(response.status).toBe(200);
    expect(response.headers['cache-control']).toBe('no-store');
    expect(Object.keys(response.body)).toEqual(['jwt']);
    const { iat, exp, ...rest } = claims(response.body.jwt);
    expect(rest).toEqual({ id: user.id, sid: claims(refreshToken).sid, gen: 0 });
    expect(exp! - iat!).toBe(360);
    expect(await rowOf(refreshToken)).toEqual(before);
    expect((await call.me(response.body.jwt)).body.id).toBe(user.id);
  });

  test('takes the cookie as well, and leaves it as it is', async () => {
    const { jwt, Cookie } = await browser();
    const response = await access({}, { Cookie });
    expect(response.headers['cache-control']).toBe('no-store');
    expect(Object.keys(response.body)).toEqual(['jwt']);
    expect(claims(response.body.jwt).sid).toBe(claims(jwt).sid);

    const refreshed = await server.api.post('/api/token/refresh').set({ Cookie });
    expect(refreshed.status).toBe(200);
    // Of two cookies of one session, the newer one counts.
    const both = await access({}, { Cookie: `${Cookie}; ${cookieHeader(refreshed)}` });
    expect(claims(both.body.jwt).gen).toBe(1);
  });

  test('prefers the token in the body to the cookie, like a refresh', async () => {
    const { Cookie } = await browser();
    const { refreshToken, user } = await signIn();
    const { body } = await access({ refreshToken }, { Cookie });
    expect(claims(body.jwt).id).toBe(user.id);
  });

  test('works for the parent of the newest token too, within the grace period', async () => {
    const { refreshToken } = await signIn();
    const next = await call.refresh(refreshToken);
    await call.me(next.body.jwt);
    pass(9);
    const { body } = await access({ refreshToken });
    expect(claims(body.jwt).gen).toBe(0);
    expect((await call.me(body.jwt)).status).toBe(200);
  });

  test('does not sign out a user whose refresh response was lost', async () => {
    const { refreshToken } = await signIn();
    const lost = await call.refresh(refreshToken);
    pass(DAY);
    for (let page = 0; page < 3; page += 1) {
      const { body } = await access({ refreshToken });
      expect(claims(body.jwt).gen).toBe(0);
      expect((await call.me(body.jwt)).status).toBe(200);
    }
    expect(Boolean((await rowOf(refreshToken))!.acknowledged)).toBe(false);

    const again = await call.refresh(refreshToken);
    expect(again.status).toBe(200);
    expect(again.body.refreshToken).not.toBe(lost.body.refreshToken);
  });

  test('acknowledges the presented token, so that its parent is caught afterwards', async () => {
    const { refreshToken } = await signIn();
    const next = (await call.refresh(refreshToken)).body.refreshToken;
    const { body } = await access({ refreshToken: next });
    expect(claims(body.jwt).gen).toBe(1);
    await call.me(body.jwt);
    pass(11);

    expect(outcome(await access({ refreshToken }))).toBe('401 refresh_token_reused');
    expect(outcome(await call.refresh(next))).toBe('401 session_ended');
  });

  test('ends the session when a token is reused, with one log line', async () => {
    const { refreshToken } = await signIn();
    const second = (await call.refresh(refreshToken)).body.refreshToken;
    const third = (await call.refresh(second)).body;
    const before = server.log.length;

    const { sid } = claims(refreshToken);
    expect(outcome(await access({ refreshToken }))).toBe('401 refresh_token_reused');
    const lines = server.log.slice(before).filter((line) => line.includes('reuse'));
    expect(lines).toEqual([expect.stringContaining(sid)]);
    expect(await rowOf(refreshToken)).toBeUndefined();
    expect(outcome(await access({ refreshToken }))).toBe('401 session_ended');
    expect(outcome(await access({ refreshToken: third.refreshToken }))).toBe('401 session_ended');
    expect((await call.me(third.jwt)).status).toBe(401);
  });

  test('refuses a blocked user, and ends the session', async () => {
    const { refreshToken, user } = await signIn();
    const users = server.strapi.db.connection('up_users');
    await users.where({ id: user.id }).update({ blocked: true });
    expect(outcome(await access({ refreshToken }))).toBe('401 user_refused');
    expect(outcome(await access({ refreshToken }))).toBe('401 session_ended');
  });

  test('refuses an unconfirmed user where confirmation is required', async () => {
    const { refreshToken, user } = await signIn();
    await server.strapi.db
      .connection('up_users')
      .where({ id: user.id })
      .update({ confirmed: false });
    expect((await access({ refreshToken })).status).toBe(200);

    const store = server.strapi.store({ type: 'plugin', name: 'users-permissions' });
    const advanced = (await store.get({ key: 'advanced' })) as object;
    await store.set({ key: 'advanced', value: { ...advanced, email_confirmation: true } });
    expect(outcome(await access({ refreshToken }))).toBe('401 user_refused');
    await store.set({ key: 'advanced', value: advanced });
  });

  test('refuses what a refresh refuses', async () => {
    const { refreshToken, jwt } = await signIn();
    expect(outcome(await access())).toBe('400 refresh_token_missing');
    expect(outcome(await access({ refreshToken: 42 }))).toBe('400 invalid_request');
    for (const wrong of ['nonsense', jwt, `${refreshToken}x`]) {
      expect(outcome(await access({ refreshToken: wrong }))).toBe('401 refresh_token_invalid');
    }
    const forged = { Cookie: `refreshToken=${refreshToken}; refreshToken.sig=nonsense` };
    expect(outcome(await access({}, forged))).toBe('401 refresh_token_invalid');
    await call.revoke(refreshToken);
    expect(outcome(await access({ refreshToken }))).toBe('401 session_ended');
  });

  test('does not count as activity', async () => {
    const { refreshToken } = await signIn();
    pass(2 * DAY - 1);
    expect((await access({ refreshToken })).status).toBe(200);
    pass(1);
    expect(outcome(await access({ refreshToken }))).toBe('401 refresh_token_expired');
    expect(outcome(await call.refresh(refreshToken))).toBe('401 refresh_token_expired');
  });

  test('ignores the Authorization header', async () => {
    const { refreshToken } = await signIn();
    for (const Authorization of ['Bearer nonsense', 'Basic eDp5', '']) {
      expect((await access({ refreshToken }, { Authorization })).status).toBe(200);
    }
  });

  test('refuses the cookie to a page on another origin, but not a token in the body', async () => {
    const { Cookie } = await browser();
    expect(outcome(await access({}, { Cookie, ...FOREIGN }))).toBe('403 origin_refused');
    expect((await access({}, { Cookie, 'Sec-Fetch-Site': 'same-origin' })).status).toBe(200);
    const { refreshToken } = await signIn();
    expect((await access({ refreshToken }, FOREIGN)).status).toBe(200);
  });

  test('accepts a token that is newer than its row, as after restoring a backup', async () => {
    const { refreshToken } = await signIn();
    const backup = (await rowOf(refreshToken))!;
    const next = (await call.refresh(refreshToken)).body.refreshToken;
    const { connection } = server.strapi.db;
    await connection('up_refresh_sessions').where({ id: backup.id }).update(backup);
    const { body } = await access({ refreshToken: next });
    expect((await call.me(body.jwt)).status).toBe(200);
    expect((await call.refresh(next)).status).toBe(200);
  });

  test('gets along with simultaneous refreshes of the same token', async () => {
    let { refreshToken } = await signIn();
    for (let round = 1; round <= 10; round += 1) {
      const both = await Promise.all(
        Array.from({ length: 10 }, (_, turn) =>
          turn % 3 === 1 ? call.refresh(refreshToken) : access({ refreshToken })
        )
      );
      expect(both.map(({ status }) => status)).toEqual(Array(10).fill(200));
      const next = new Set(both.flatMap(({ body }) => body.refreshToken ?? []));
      expect(next.size).toBe(1);
      for (const { body } of both) expect((await call.me(body.jwt)).status).toBe(200);
      [refreshToken] = [...next];
      expect((await rowOf(refreshToken))!.generation).toBe(round);
    }
  });
});
