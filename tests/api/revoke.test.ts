import { calls, cookieHeader, cookies, outcome } from '../support/client';
import { boot, DAY, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
let call: ReturnType<typeof calls>;
beforeAll(async () => {
  server = await boot();
  call = calls(server);
});
afterAll(() => server.stop());

const signIn = async () => (await call.signIn(await server.user())).body;
const signInByCookie = async () => {
  const { username } = await server.user();
  return server.api.post('/api/auth/local').send({ identifier: username, password: PASSWORD });
};
const revokeAs = (headers: Record<string, string>, body?: object) =>
  server.api.post('/api/token/revoke').set(headers).send(body);

describe('Signing out', () => {
  test('with the refresh token in the body ends the session, and can be repeated', async () => {
    const { jwt, refreshToken } = await signIn();
    for (let turn = 0; turn < 2; turn += 1) {
      const response = await call.revoke(refreshToken);
      expect([response.status, response.body]).toEqual([200, { ok: true }]);
    }
    expect((await call.me(jwt)).status).toBe(401);
    expect(outcome(await call.refresh(refreshToken))).toBe('401 session_ended');
  });

  test('with the cookie ends the session and clears the cookie', async () => {
    const signedIn = await signInByCookie();
    const response = await revokeAs({ Cookie: cookieHeader(signedIn) });
    expect(response.body).toEqual({ ok: true });
    expect(cookies(response).refreshToken).toMatch(/^refreshToken=;.*expires=Thu, 01 Jan 1970/);
    expect((await call.me(signedIn.body.jwt)).status).toBe(401);
  });

  test('with an access token ends its session, even if the token has expired', async () => {
    for (const age of [0, DAY]) {
      const { jwt, refreshToken } = await signIn();
      pass(age);
      expect((await revokeAs({ Authorization: `Bearer ${jwt}` })).body).toEqual({ ok: true });
      expect(outcome(await call.refresh(refreshToken))).toBe('401 session_ended');
    }
  });

  test('with an older or expired refresh token also ends the session', async () => {
    const { refreshToken } = await signIn();
    const second = await call.refresh(refreshToken);
    const third = await call.refresh(second.body.refreshToken);
    pass(3 * DAY);
    await call.revoke(refreshToken);
    expect(await server.rows()).toHaveLength(0);
    expect((await call.me(third.body.jwt)).status).toBe(401);
  });

  test('with a token in the body ignores the cookie and the Bearer token', async () => {
    const other = await signIn();
    const mine = await signInByCookie();
    const response = await revokeAs(
      { Cookie: cookieHeader(mine), Authorization: `Bearer ${mine.body.jwt}` },
      { refreshToken: other.refreshToken }
    );
    expect(cookies(response)).toEqual({});
    expect((await call.me(other.jwt)).status).toBe(401);
    expect((await call.me(mine.body.jwt)).status).toBe(200);
  });

  test('with only an access token works from any origin', async () => {
    const { jwt } = await signIn();
    const response = await revokeAs({
      'Sec-Fetch-Site': 'cross-site',
      Origin: 'https://app.elsewhere.test',
      Authorization: `Bearer ${jwt}`,
    });
    expect([response.status, cookies(response)]).toEqual([200, {}]);
    expect((await call.me(jwt)).status).toBe(401);
  });

  test('with a cookie and a Bearer token of two sessions ends both', async () => {
    const one = await signInByCookie();
    const two = await signIn();
    await revokeAs({ Cookie: cookieHeader(one), Authorization: `Bearer ${two.jwt}` });
    expect((await call.me(one.body.jwt)).status).toBe(401);
    expect((await call.me(two.jwt)).status).toBe(401);
  });

  test.each([
    ['no token at all', {}, undefined],
    ['nonsense in the body', {}, { refreshToken: 'nonsense' }],
    ['nonsense as the Bearer token', { Authorization: 'Bearer a.b.c' }, undefined],
    ['an unsigned cookie', { Cookie: 'refreshToken=a.b.c' }, undefined],
  ])('with %s succeeds, and ends nothing', async (_case, headers, body) => {
    const { jwt } = await signIn();
    const response = await revokeAs(headers as Record<string, string>, body);
    expect([response.status, response.body]).toEqual([200, { ok: true }]);
    expect((await call.me(jwt)).status).toBe(200);
  });
});
