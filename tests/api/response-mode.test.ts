import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { boot, PASSWORD } from '../support/server';
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
  test('body answers the refresh token in the JSON, without a cookie', async () => {
    const { signedIn, call } = await start('body');
    expect(cookies(signedIn)).toEqual({});
    expect((await call.refresh(signedIn.body.refreshToken)).status).toBe(200);
  });

  test('both answers a cookie and a body token of one session, warns at boot, and a client goes on with one', async () => {
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
});
