import type { Response } from 'supertest';
import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { boot, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

let server: Server | undefined;
afterEach(() => server?.stop());

const start = async (response: string) => {
  server = await boot({ REFRESH_TOKEN_RESPONSE: response });
  const { username } = await server.user();
  const signedIn = await server.api
    .post('/api/auth/local')
    .send({ identifier: username, password: PASSWORD });
  return { server, signedIn, call: calls(server) };
};

describe('REFRESH_TOKEN_RESPONSE', () => {
  test('body returns the refresh token in the JSON, without a cookie', async () => {
    const { signedIn, call } = await start('body');
    expect(cookies(signedIn)).toEqual({});
    expect((await call.refresh(signedIn.body.refreshToken)).status).toBe(200);
  });

  test('both returns the refresh token in a cookie and in the body, warns at boot, and a client can continue with either one', async () => {
    const { server, signedIn, call } = await start('both');
    expect(
      server.log.filter((line) => /^warn.*REFRESH_TOKEN_RESPONSE=both/.test(line))
    ).toHaveLength(1);

    const byCookie = await server.api
      .post('/api/token/refresh')
      .set('Cookie', cookieHeader(signedIn))
      .send();
    expect(Object.keys(byCookie.body)).toEqual(['jwt']);
    expect(claims(byCookie.body.jwt).sid).toBe(claims(signedIn.body.refreshToken).sid);

    const next = await server.api
      .post('/api/token/refresh')
      .set('Cookie', cookieHeader(byCookie))
      .send();
    expect(next.status).toBe(200);
    expect(outcome(await call.refresh(signedIn.body.refreshToken))).toBe(
      '401 refresh_token_reused'
    );
  });

  describe('both, if a request has both tokens of one session,', () => {
    const refreshWithBoth = (signedIn: Response, refreshToken: string, headers = {}) =>
      server!.api
        .post('/api/token/refresh')
        .set({ Cookie: cookieHeader(signedIn), ...headers })
        .send({ refreshToken });

    test('returns both, so that either can be used next', async () => {
      const { signedIn, call } = await start('both');
      const next = await refreshWithBoth(signedIn, signedIn.body.refreshToken);
      expect(Object.keys(next.body).sort()).toEqual(['jwt', 'refreshToken']);
      const last = await refreshWithBoth(next, next.body.refreshToken);
      pass(60);
      const byCookie = await server!.api
        .post('/api/token/refresh')
        .set('Cookie', cookieHeader(last));
      expect(byCookie.status).toBe(200);
      expect((await call.refresh(last.body.refreshToken)).status).toBe(200);
    });

    test('does not change the cookie of another session, or the cookie for an untrusted page', async () => {
      const { signedIn, call } = await start('both');
      const other = (await call.signIn(await server!.user())).body;
      expect(cookies(await refreshWithBoth(signedIn, other.refreshToken))).toEqual({});

      const foreign = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.test' };
      const answer = await refreshWithBoth(signedIn, signedIn.body.refreshToken, foreign);
      expect([answer.status, cookies(answer)]).toEqual([200, {}]);
    });
  });
});
