import { connect } from 'net';
import type { AddressInfo } from 'net';
import { cookieHeader, cookies, outcome } from '../support/client';
import { boot, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

const SHOP = 'https://www.shop.test';
const HOST = 'api.shop.test';
const browsers: [string, Record<string, string>, number][] = [
  ['a native app, without Origin', {}, 200],
  ['its own page', { 'Sec-Fetch-Site': 'same-origin', Origin: `https://${HOST}` }, 200],
  ['its own page, in a browser without Sec-Fetch-Site', { Origin: `https://${HOST}` }, 200],
  ['a user who types the address', { 'Sec-Fetch-Site': 'none' }, 200],
  ['an allowed front end on another host', { 'Sec-Fetch-Site': 'same-site', Origin: SHOP }, 200],
  ['an allowed front end on another site', { 'Sec-Fetch-Site': 'cross-site', Origin: SHOP }, 200],
  ['a sibling host', { 'Sec-Fetch-Site': 'same-site', Origin: 'https://blog.shop.test' }, 403],
  ['an untrusted page', { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.test' }, 403],
  [
    'an untrusted page that hides its origin',
    { 'Sec-Fetch-Site': 'cross-site', Origin: 'null' },
    403,
  ],
  ['an untrusted page, in a browser without Sec-Fetch-Site', { Origin: 'https://evil.test' }, 403],
  ['a sandboxed page, in a browser without Sec-Fetch-Site', { Origin: 'null' }, 403],
  ['a page on the same host with another port', { Origin: `https://${HOST}:8443` }, 403],
  ['a page on localhost', { Origin: 'http://localhost:3000' }, 403],
  ['a preview that matches a star', { Origin: 'https://pr-7.preview.shop.test' }, 200],
  ['a host two labels below a star', { Origin: 'https://a.b.preview.shop.test' }, 403],
];

let server: Server;
beforeAll(async () => {
  server = await boot({
    NODE_ENV: 'production',
    REFRESH_COOKIE_SECURE: 'false',
    REFRESH_TOKEN_ACCESS: 'true',
    REFRESH_ALLOWED_ORIGINS: `${SHOP},https://*.preview.shop.test`,
  });
});
afterAll(() => server.stop());

const signIn = async (headers: Record<string, string>, fields = {}) => {
  const { username } = await server.user();
  return server.api
    .post('/api/auth/local')
    .set({ Host: HOST, ...headers })
    .send({ identifier: username, password: PASSWORD, ...fields });
};

describe('In production, the refresh cookie', () => {
  test.each(browsers)('used by %s (%j) returns %i', async (_who, headers, status) => {
    const cookie = cookieHeader(await signIn({}));
    for (const path of ['/api/token/access', '/api/token/refresh', '/api/token/revoke']) {
      const response = await server.api
        .post(path)
        .set({ Host: HOST, Cookie: cookie, ...headers })
        .send();
      expect(outcome(response)).toBe(status === 200 ? '200' : '403 origin_refused');
      if (status === 403) expect(cookies(response)).toEqual({});
    }
    const after = await server.api.post('/api/token/refresh').set({ Host: HOST, Cookie: cookie });
    expect(after.status).toBe(status === 200 ? 401 : 200);
  });

  test.each(browsers)(
    'requested at sign-in by %s (%j) returns %i',
    async (_who, headers, status) => {
      const rows = (await server.rows()).length;
      const response = await signIn(headers);
      expect(outcome(response)).toBe(status === 200 ? '200' : '403 origin_refused');
      expect((await server.rows()).length).toBe(rows + (status === 200 ? 1 : 0));
    }
  );

  test('is refused with a message that names the variable and the value to add', async () => {
    const { body } = await signIn({ Origin: 'https://new.shop.test' });
    expect(body.error.message).toMatch(/add https:\/\/new\.shop\.test to REFRESH_ALLOWED_ORIGINS/);
  });

  test('does not restrict front ends that use the body', async () => {
    const foreign = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://app.elsewhere.test' };
    const { status, body } = await signIn(foreign, { requestRefresh: true });
    expect(status).toBe(200);
    for (const path of ['/api/token/access', '/api/token/refresh', '/api/token/revoke']) {
      const response = await server.api
        .post(path)
        .set(foreign)
        .send({ refreshToken: body.refreshToken });
      expect(response.status).toBe(200);
    }
  });

  test('is refused for a file:// page even if the request has no Host', async () => {
    const cookie = cookieHeader(await signIn({}));
    const { port } = server.strapi.server.httpServer.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    // Only HTTP/1.0 may omit the host.
    socket.write(
      `POST /api/token/refresh HTTP/1.0\r\nOrigin: file://\r\nCookie: ${cookie}\r\nContent-Length: 0\r\n\r\n`
    );
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    expect(answer).toMatch(/^HTTP\/1\.[01] 403 /);
    expect(answer).toContain('origin_refused');
  });
});
