import { createHmac } from 'crypto';
import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { boot, DAY, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
beforeAll(async () => {
  server = await boot();
});
afterAll(() => server.stop());

const signIn = async (browser = server.browser()) => {
  const { username } = await server.user();
  const response = await browser
    .post('/api/auth/local')
    .send({ identifier: username, password: PASSWORD });
  return { browser, response };
};
const refreshWith = (cookie: string) =>
  server.api.post('/api/token/refresh').set('Cookie', cookie).send();

/** As the cookie library signs, with one of APP_KEYS. */
const sign = (cookie: string, key: string) =>
  createHmac('sha1', key).update(cookie).digest('base64url');

describe('The refresh cookie', () => {
  test('is set by a sign-in, httpOnly and signed, and never also in the JSON', async () => {
    const { response } = await signIn();
    const { refreshToken, 'refreshToken.sig': signature } = cookies(response);

    for (const line of [refreshToken, signature]) {
      expect(line).toMatch(/; path=\/; /);
      expect(line).toMatch(/; samesite=lax/i);
      expect(line).toMatch(/; httponly/i);
      expect(line).not.toMatch(/secure/i);
      expect(line).toContain(new Date(Date.now() + 2 * DAY * 1000).toUTCString());
    }
    expect(Object.keys(response.body).sort()).toEqual(['jwt', 'user']);
    expect(response.headers['cache-control']).toBe('no-store');
  });

  test('keeps a browser signed in, refresh after refresh', async () => {
    const { browser } = await signIn();
    for (let turn = 0; turn < 3; turn += 1) {
      pass(DAY);
      const { status, body } = await browser.post('/api/token/refresh').send();
      expect(status).toBe(200);
      expect(Object.keys(body)).toEqual(['jwt']);
      const me = await browser.get('/api/users/me').set('Authorization', `Bearer ${body.jwt}`);
      expect(me.status).toBe(200);
    }
  });

  test.each([
    [
      'whose signature is missing',
      (cookie: string) => cookie.replace(/; refreshToken\.sig=.*/, ''),
    ],
    ['whose signature is wrong', (cookie: string) => cookie.replace(/\.sig=.{5}/, '.sig=AAAAA')],
    ['with the token of somebody else', (cookie: string) => cookie.replace(/=e/, '=f')],
  ])('%s is invalid, and cleared', async (_case, spoil) => {
    const { response } = await signIn();
    const refused = await refreshWith(spoil(cookieHeader(response)));

    expect(outcome(refused)).toBe('401 refresh_token_invalid');
    expect(cookies(refused).refreshToken).toMatch(/^refreshToken=;.*expires=Thu, 01 Jan 1970/);
    expect((await refreshWith(cookieHeader(response))).status).toBe(200);
  });

  test('is cleared when the session is over, and when it was replayed', async () => {
    const { browser, response } = await signIn();
    await browser.post('/api/token/refresh').send();
    await browser.post('/api/token/refresh').send();
    const replayed = await refreshWith(cookieHeader(response));
    expect(outcome(replayed)).toBe('401 refresh_token_reused');
    expect(cookies(replayed).refreshToken).toMatch(/^refreshToken=;/);

    const ended = await browser.post('/api/token/refresh').send();
    expect(outcome(ended)).toBe('401 session_ended');
    expect(cookies(ended).refreshToken).toMatch(/^refreshToken=;/);
    expect(outcome(await browser.post('/api/token/refresh').send())).toBe(
      '400 refresh_token_missing'
    );
  });

  test('stays when it was not the proof that failed', async () => {
    const { browser } = await signIn();
    const refused = await browser.post('/api/token/refresh').send({ refreshToken: 'nonsense' });
    expect(outcome(refused)).toBe('401 refresh_token_invalid');
    expect(cookies(refused)).toEqual({});
    expect((await browser.post('/api/token/refresh').send()).status).toBe(200);
  });

  test('gives way to a token in the body', async () => {
    const { browser, response } = await signIn();
    const other = await calls(server).signIn(await server.user());
    const refreshed = await browser
      .post('/api/token/refresh')
      .send({ refreshToken: other.body.refreshToken });

    expect(claims(refreshed.body.refreshToken).sid).toBe(claims(other.body.refreshToken).sid);
    expect(claims(refreshed.body.refreshToken).sid).not.toBe(claims(response.body.jwt).sid);
    expect(cookies(refreshed)).toEqual({});
  });

  test.each([[null], ['']])('counts when the body says that its token is %p', async (none) => {
    const { browser } = await signIn();
    const { status } = await browser.post('/api/token/refresh').send({ refreshToken: none });
    expect(status).toBe(200);
  });

  test('sent twice is read once', async () => {
    const { response } = await signIn();
    const cookie = cookieHeader(response);
    expect(
      (await refreshWith(`${cookie}; refreshToken=other; refreshToken.sig=other`)).status
    ).toBe(200);
    expect(outcome(await refreshWith(`refreshToken=other; ${cookie}`))).toBe(
      '401 refresh_token_invalid'
    );
  });

  test('can be asked for by header, at sign-in and at refresh', async () => {
    const wish = { 'x-strapi-refresh-cookie': 'httpOnly' };
    const { username } = await server.user();
    const byHeader = await server.api
      .post('/api/auth/local')
      .set(wish)
      .send({ identifier: username, password: PASSWORD });
    expect(cookies(byHeader).refreshToken).toBeDefined();

    const { body } = await calls(server).signIn({ username });
    const refreshed = await server.api
      .post('/api/token/refresh')
      .set(wish)
      .send({ refreshToken: body.refreshToken });
    expect(Object.keys(refreshed.body)).toEqual(['jwt']);
    expect((await refreshWith(cookieHeader(refreshed))).status).toBe(200);
  });

  test('loses to the wish for a body token, if both are said', async () => {
    const { username } = await server.user();
    const response = await server.api
      .post('/api/auth/local')
      .set('x-strapi-refresh-cookie', 'httpOnly')
      .send({ identifier: username, password: PASSWORD, requestRefresh: true });
    expect(response.body.refreshToken).toBeDefined();
    expect(cookies(response)).toEqual({});
  });

  test('signed with a former APP_KEY is taken and signed anew; an answer that sets none changes none', async () => {
    const { response } = await signIn();
    const [token] = cookieHeader(response).split('; ');
    const former = sign(token, 'another-app-key');
    const cookie = `${token}; refreshToken.sig=${former}`;

    const foreign = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.test' };
    const refused = await server.api.post('/api/token/refresh').set({ ...foreign, Cookie: cookie });
    expect([refused.status, cookies(refused)]).toEqual([403, {}]);

    const refreshed = await refreshWith(cookie);
    expect(refreshed.status).toBe(200);
    const [next, signature] = cookieHeader(refreshed).split('; ');
    expect(signature).toBe(`refreshToken.sig=${sign(next, 'one-app-key')}`);
  });
});
