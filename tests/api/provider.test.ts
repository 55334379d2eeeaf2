import { spawn } from 'child_process';
import type { ChildProcess } from 'child_process';
import { once } from 'events';
import path from 'path';
import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { complaintsOf } from '../support/openapi';
import { freePort } from '../support/port';
import { boot } from '../support/server';
import type { Server } from '../support/server';

/** A real OAuth 2 round trip; the provider stands on localhost, this Strapi and its front end on 127.0.0.1. */

const EMAIL = 'johndoe@provider.test';
/** An ES module, which jest would not load, so it runs by its own command. */
const PROVIDER = path.resolve('node_modules/oauth2-mock-server/dist/oauth2-mock-server.mjs');
let provider: ChildProcess;
let server: Server;
let url: string;
let frontEnd: string;

beforeAll(async () => {
  const providerPort = await freePort();
  const providerUrl = `http://localhost:${providerPort}`;
  provider = spawn(process.execPath, [PROVIDER, '-a', 'localhost', '-p', String(providerPort)]);
  await once(provider.stdout!, 'data');

  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  frontEnd = `${url}/front-end`;
  server = await boot({}, (strapi) => {
    strapi.config.set('server.absoluteUrl', url);
    strapi.config.set('server.url', url);
    strapi
      .plugin('users-permissions')
      .service('providers-registry')
      .add('house', {
        enabled: true,
        icon: 'house',
        grantConfig: {
          key: 'client',
          secret: 'secret',
          oauth: 2,
          authorize_url: `${providerUrl}/authorize`,
          access_url: `${providerUrl}/token`,
          callback: frontEnd,
          scope: ['email'],
        },
        async authCallback({ accessToken }: { accessToken: string }) {
          const response = await fetch(`${providerUrl}/userinfo`, {
            headers: { Authorization: `Bearer ${accessToken}` },
          });
          const { sub } = (await response.json()) as { sub: string };
          return { email: `${sub}@provider.test`, username: sub };
        },
      });
  });
  await new Promise<void>((resolve) => {
    server.strapi.server.httpServer.close(() => resolve());
  });
  await new Promise<void>((resolve) => {
    server.strapi.server.httpServer.listen(port, '127.0.0.1', resolve);
  });
});
afterAll(async () => {
  provider.kill();
  await server.stop();
});

/** What a browser says of a link or a redirect that crosses sites. */
const NAVIGATION = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' };

/** What one comes back with: Strapi's session cookie; in older releases the provider's tokens, in the query. */
interface Visit {
  session: string;
  tokens: string;
}

/** Goes to the provider and back, by every redirect, as a browser does. */
async function visitProvider(query = ''): Promise<Visit> {
  let at = `${url}/api/connect/house${query}`;
  let session = '';
  for (let hop = 0; hop < 6 && !at.startsWith(frontEnd); hop += 1) {
    const headers = { ...NAVIGATION, ...(at.startsWith(url) && session && { Cookie: session }) };
    const response = await fetch(at, { redirect: 'manual', headers });
    const set = response.headers.getSetCookie();
    if (at.startsWith(url) && set.length > 0) {
      session = set.map((line) => line.split(';')[0]).join('; ');
    }
    at = new URL(response.headers.get('location')!, at).href;
  }
  const [end, tokens = ''] = at.split('?');
  expect(end).toBe(frontEnd);
  return { session, tokens };
}

const callback = (
  { session, tokens }: Visit,
  headers: object = { 'Sec-Fetch-Site': 'same-origin' },
  wish = ''
) =>
  server.api
    .get(`/api/auth/house/callback?${[tokens, wish].filter(Boolean).join('&')}`)
    .set({ Cookie: session, ...headers });

describe('A social sign-in', () => {
  test('goes to the provider and back, and opens a session by cookie', async () => {
    const response = await callback(await visitProvider());
    expect(complaintsOf('GET /auth/{provider}/callback', response)).toEqual([]);
    expect(response.body.user.email).toBe(EMAIL);
    expect(claims(response.body.jwt)).toMatchObject({ gen: 0, sid: expect.any(String) });
    expect(response.body.refreshToken).toBeUndefined();

    const refreshed = await server.api
      .post('/api/token/refresh')
      .set('Cookie', cookieHeader(response));
    expect(refreshed.status).toBe(200);
  });

  test.each([
    ['on the way there', '?requestRefresh=true&sessionDescription=TV', ''],
    ['on the way back', '', 'requestRefresh=true&sessionDescription=TV'],
  ])('answers by body where that is wished %s', async (_where, there, back) => {
    const response = await callback(await visitProvider(there), undefined, back);
    expect(cookies(response).refreshToken).toBeUndefined();
    expect((await calls(server).refresh(response.body.refreshToken)).status).toBe(200);
    expect((await server.rows()).pop()!.description).toBe('TV');
  });

  test('forgets a wish of the time before', async () => {
    await callback(await visitProvider('?requestRefresh=true'));
    expect((await callback(await visitProvider())).body.refreshToken).toBeUndefined();
  });

  test('refuses a wish that is none, on either way', async () => {
    const there = await server.api.get('/api/connect/house?requestRefresh=yes');
    expect(outcome(there)).toBe('400 invalid_request');
    const back = await callback(await visitProvider(), undefined, 'requestRefresh[]=true');
    expect(outcome(back)).toBe('400 invalid_request');
  });

  test('gets through as the end of a browser’s chain of redirects', async () => {
    expect((await callback(await visitProvider(), NAVIGATION)).status).toBe(200);
  });

  test.each([
    [
      'with its origin',
      { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'cors', Origin: 'https://evil.test' },
    ],
    ['without', { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors' }],
    ['of the provider’s host', { 'Sec-Fetch-Site': 'cross-site', Origin: 'http://evil.localhost' }],
  ])('is refused to a script of a foreign page, %s', async (_how, headers) => {
    const visit = await visitProvider('?requestRefresh=true');
    const before = await server.rows();
    expect(outcome(await callback(visit, headers))).toBe('403 origin_refused');
    expect(await server.rows()).toEqual(before);
  });

  test('without a visit to the provider opens nothing', async () => {
    const before = await server.rows();
    expect((await callback({ session: '', tokens: '' })).status).toBe(400);
    expect(await server.rows()).toEqual(before);
  });

  test('of a blocked user opens nothing', async () => {
    const users = server.strapi.db.query('plugin::users-permissions.user');
    await callback(await visitProvider());
    await users.update({ where: { email: EMAIL }, data: { blocked: true } });
    const before = await server.rows();
    const response = await callback(await visitProvider());
    await users.update({ where: { email: EMAIL }, data: { blocked: false } });
    expect(response.body.error.message).toMatch(/blocked by an administrator/);
    expect(await server.rows()).toEqual(before);
  });
});
