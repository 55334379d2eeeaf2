import { createHmac } from 'crypto';
import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { boot, DAY, HOUR, pass, PASSWORD } from '../support/server';
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

/** Signs as the cookie library does, with one of APP_KEYS. */
const sign = (cookie: string, key: string) =>
  createHmac('sha1', key).update(cookie).digest('base64url');

describe('The refresh cookie', () => {
  test('is set by a sign-in, httpOnly and signed, and its token is not in the JSON', async () => {
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

  test('keeps a browser signed in across refreshes', async () => {
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
    ['whose token was modified', (cookie: string) => cookie.replace(/=e/, '=f')],
  ])('%s is invalid', async (_case, spoil) => {
    const { response } = await signIn();
    const refused = await refreshWith(spoil(cookieHeader(response)));

    expect(outcome(refused)).toBe('401 refresh_token_invalid');
    expect((await refreshWith(cookieHeader(response))).status).toBe(200);
  });

  test('is never written by a refusal, which could arrive after a newer sign-in', async () => {
    const { browser, response } = await signIn();
    const { username } = await server.user({ blocked: false });
    await browser.post('/api/token/refresh').send();
    await browser.post('/api/token/refresh').send();
    const refusals = [
      [await refreshWith(cookieHeader(response)), '401 refresh_token_reused'],
      [await browser.post('/api/token/refresh').send(), '401 session_ended'],
      [await refreshWith('refreshToken=x; refreshToken.sig=y'), '401 refresh_token_invalid'],
      [
        await browser.post('/api/token/refresh').send({ refreshToken: 'nonsense' }),
        '401 refresh_token_invalid',
      ],
    ] as const;
    for (const [refused, expected] of refusals) {
      expect(outcome(refused)).toBe(expected);
      expect(cookies(refused)).toEqual({});
    }

    // The late 401 of an old tab, and the sign-in that happened in between.
    const late = browser.post('/api/token/refresh').send();
    await browser.post('/api/auth/local').send({ identifier: username, password: PASSWORD });
    expect((await late).status).toBe(401);
    expect((await browser.post('/api/token/refresh').send()).status).toBe(200);
  });

  test('is not written either when its session has expired', async () => {
    const { browser } = await signIn();
    const header = cookieHeader((await signIn(browser)).response);
    pass(3 * DAY);
    const expired = await refreshWith(header);
    expect(outcome(expired)).toBe('401 refresh_token_expired');
    expect(cookies(expired)).toEqual({});
  });

  test('is ignored if the body has a token', async () => {
    const { browser, response } = await signIn();
    const other = await calls(server).signIn(await server.user());
    const refreshed = await browser
      .post('/api/token/refresh')
      .send({ refreshToken: other.body.refreshToken });

    expect(claims(refreshed.body.refreshToken).sid).toBe(claims(other.body.refreshToken).sid);
    expect(claims(refreshed.body.refreshToken).sid).not.toBe(claims(response.body.jwt).sid);
    expect(cookies(refreshed)).toEqual({});
  });

  test.each([[null], ['']])('is used when the token in the body is %p', async (none) => {
    const { browser } = await signIn();
    const { status } = await browser.post('/api/token/refresh').send({ refreshToken: none });
    expect(status).toBe(200);
  });

  test.each([
    ['before', (cookie: string, other: string) => `${other}; ${cookie}`],
    ['after', (cookie: string, other: string) => `${cookie}; ${other}`],
  ])(
    'is used even if an unsigned one comes %s it, which a sibling host can set',
    async (_where, together) => {
      const { response } = await signIn();
      const other = 'refreshToken=other; refreshToken.sig=other';
      const refreshed = await refreshWith(together(cookieHeader(response), other));
      expect(refreshed.status).toBe(200);

      const revoked = await server.api
        .post('/api/token/revoke')
        .set('Cookie', together(cookieHeader(refreshed), other));
      expect(revoked.status).toBe(200);
      expect(outcome(await refreshWith(cookieHeader(refreshed)))).toBe('401 session_ended');
    }
  );

  test('of an ended session does not block the cookie of an active one, and revoking ends every active one', async () => {
    const dead = cookieHeader((await signIn()).response);
    await server.api.post('/api/token/revoke').set('Cookie', dead);
    const active = (await signIn()).response;
    const refreshed = await refreshWith(`${dead}; ${cookieHeader(active)}`);
    expect(claims(refreshed.body.jwt).sid).toBe(claims(active.body.jwt).sid);

    const other = (await signIn()).response;
    await server.api
      .post('/api/token/revoke')
      .set('Cookie', `${dead}; ${cookieHeader(refreshed)}; ${cookieHeader(other)}`);
    for (const cookie of [cookieHeader(refreshed), cookieHeader(other)]) {
      expect(outcome(await refreshWith(cookie))).toBe('401 session_ended');
    }
  });

  test('that is sent twice counts as the newer token of one session, or as the session opened last', async () => {
    const { browser, response } = await signIn();
    const first = cookieHeader(response);
    const second = cookieHeader(await browser.post('/api/token/refresh').send());
    const third = await browser.post('/api/token/refresh').send();
    pass(60);
    const next = await refreshWith(`${first}; ${cookieHeader(third)}; ${second}`);
    expect(claims(next.body.jwt).gen).toBe(3);

    const older = (await signIn()).response;
    pass(-HOUR);
    const newer = (await signIn()).response;
    pass(HOUR);
    const both = await refreshWith(`${cookieHeader(older)}; ${cookieHeader(newer)}`);
    expect(claims(both.body.jwt).sid).toBe(claims(newer.body.jwt).sid);
  });

  test('is found among any number of others', async () => {
    const { response } = await signIn();
    const many = Array.from({ length: 300 }, (_, i) => `refreshToken=${i}; refreshToken.sig=${i}`);
    const refreshed = await refreshWith([...many, cookieHeader(response)].join('; '));
    expect(refreshed.status).toBe(200);

    const cookie = [...many, cookieHeader(refreshed)].join('; ');
    await server.api.post('/api/token/revoke').set('Cookie', cookie);
    expect(outcome(await refreshWith(cookieHeader(refreshed)))).toBe('401 session_ended');
  });

  test('is found among many unsigned cookies with someone else’s real tokens, which a sibling host can plant', async () => {
    const { response } = await signIn();
    const planted: string[] = [];
    let { refreshToken } = (await calls(server).signIn(await server.user())).body;
    for (let turn = 0; turn < 25; turn += 1) {
      planted.push(`refreshToken=${refreshToken}`);
      ({ refreshToken } = (await calls(server).refresh(refreshToken)).body);
    }
    const refreshed = await refreshWith([...planted, cookieHeader(response)].join('; '));
    expect(claims(refreshed.body.jwt).sid).toBe(claims(response.body.jwt).sid);
    const cookie = [...planted, cookieHeader(refreshed)].join('; ');
    await server.api.post('/api/token/revoke').set('Cookie', cookie);
    expect(outcome(await refreshWith(cookieHeader(refreshed)))).toBe('401 session_ended');
  });

  test('is not confused with a cookie of a similar name', async () => {
    const { response } = await signIn();
    const cookie = cookieHeader(response).replaceAll('refreshToken', '\u00a0refreshToken');
    expect(outcome(await refreshWith(cookie))).toBe('400 refresh_token_missing');
  });

  test('can be requested with a header, at sign-in and at refresh', async () => {
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

  test('can be requested with a header when a client without a cookie changes the password', async () => {
    const { body } = await calls(server).signIn(await server.user());
    const changed = await server.api
      .post('/api/auth/change-password')
      .set('Authorization', `Bearer ${body.jwt}`)
      .set('x-strapi-refresh-cookie', 'httpOnly')
      .send({
        currentPassword: PASSWORD,
        password: 'another-password',
        passwordConfirmation: 'another-password',
      });
    expect(Object.keys(changed.body).sort()).toEqual(['jwt', 'user']);
    expect((await refreshWith(cookieHeader(changed))).status).toBe(200);
  });

  test('is not set if the request also asks for the token in the body', async () => {
    const { username } = await server.user();
    const response = await server.api
      .post('/api/auth/local')
      .set('x-strapi-refresh-cookie', 'httpOnly')
      .send({ identifier: username, password: PASSWORD, requestRefresh: true });
    expect(response.body.refreshToken).toBeDefined();
    expect(cookies(response)).toEqual({});
  });

  test('signed with a former APP_KEY is accepted and signed again; a response that sets no cookie changes none', async () => {
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
