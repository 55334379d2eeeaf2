import type { Core } from '@strapi/strapi';
import { cookieHeader, cookies } from '../support/client';
import { boot, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

let server: Server | undefined;
afterEach(() => server?.stop());

/** A sign-in as a TLS proxy forwards it. */
const throughProxy = async (booted: Server) => {
  const { username } = await booted.user();
  return booted.api
    .post('/api/auth/local')
    .set({ 'X-Forwarded-Proto': 'https', 'X-Forwarded-For': '203.0.113.7' })
    .send({ identifier: username, password: PASSWORD });
};
const warnings = ({ log }: Server) => log.filter((line) => line.includes('server.proxy'));

describe('Behind a proxy that terminates TLS', () => {
  test('a project that does not trust it can still sign in, with a Secure cookie and one warning', async () => {
    server = await boot({ NODE_ENV: 'production' });
    for (let turn = 0; turn < 2; turn += 1) {
      const response = await throughProxy(server);
      expect(response.status).toBe(200);
      expect(cookies(response)['__Host-refreshToken']).toMatch(/; secure/i);
      expect(cookies(response)['__Host-refreshToken.sig']).toMatch(/; secure/i);
    }
    expect(warnings(server)).toHaveLength(1);
  });

  test('a project that trusts it sees the caller’s address and logs no warning', async () => {
    server = await boot({ NODE_ENV: 'production', TRUST_PROXY: 'true' });
    const response = await throughProxy(server);
    expect(cookies(response)['__Host-refreshToken']).toMatch(/; secure/i);
    expect((await server.rows())[0].ip).toBe('203.0.113.7');
    expect(warnings(server)).toHaveLength(0);
  });

  test('addresses of any length or format can be stored', async () => {
    server = await boot({ TRUST_PROXY: 'true' });
    const { username } = await server.user();
    const { status } = await server.api
      .post('/api/auth/local')
      .set({ 'X-Forwarded-For': 'x'.repeat(5000), 'User-Agent': 'u'.repeat(5000) })
      .send({ identifier: username, password: PASSWORD });
    expect(status).toBe(200);
    const [row] = await server.rows();
    expect([row.ip.length, row.user_agent.length]).toEqual([255, 255]);
  });

  test('the cookie is limited to this host, unless it has another name or a domain', async () => {
    server = await boot({ NODE_ENV: 'production' });
    const line = cookies(await throughProxy(server))['__Host-refreshToken'];
    expect(line).toMatch(/; path=\/; .*secure/i);
    expect(line).not.toMatch(/domain/i);
    await server.stop();

    server = await boot({ NODE_ENV: 'production', REFRESH_COOKIE_NAME: 'refreshToken' });
    expect(Object.keys(cookies(await throughProxy(server)))).toContain('refreshToken');
    await server.stop();

    server = await boot({ NODE_ENV: 'production', REFRESH_COOKIE_DOMAIN: 'shop.test' });
    expect(Object.keys(cookies(await throughProxy(server)))).toContain('refreshToken');
  });

  describe('a redirect to a provider', () => {
    // As in production. Strapi checks that when it is loaded.
    const secureSession = ({ config }: Core.Strapi) => {
      const middlewares = config.get('middlewares') as unknown[];
      const session = { name: 'strapi::session', config: { secure: true } };
      config.set(
        'middlewares',
        middlewares.map((entry) => (entry === 'strapi::session' ? session : entry))
      );
    };
    const visit = (booted: Server) =>
      booted.api
        .get('/api/connect/github')
        .set({ 'X-Forwarded-Proto': 'https', 'X-Forwarded-For': '203.0.113.7' });

    test('that is disabled gets Strapi’s own error', async () => {
      server = await boot({ NODE_ENV: 'production' }, secureSession);
      const response = await visit(server);
      expect(response.status).toBe(400);
      expect(response.body.error.message).toBe('This provider is disabled');
    });

    test('that is enabled works, with Secure cookies', async () => {
      server = await boot({ NODE_ENV: 'production' }, secureSession);
      const store = server.strapi.store({
        type: 'plugin',
        name: 'users-permissions',
        key: 'grant',
      });
      const grant = (await store.get({})) as Record<string, object>;
      await store.set({
        value: {
          ...grant,
          github: { ...grant.github, enabled: true, key: 'key', secret: 'secret' },
        },
      });
      const response = await visit(server);
      expect(response.status).toBe(302);
      expect(cookies(response)['koa.sess']).toMatch(/; secure/i);
      expect(cookies(response)['__Host-refreshTokenVisit']).toMatch(
        /; path=\/; .*secure; httponly/i
      );
      expect(cookies(response)['__Host-refreshTokenVisit']).not.toMatch(/domain/i);
    });
  });
});

describe('With REFRESH_COOKIE_PARTITIONED=true', () => {
  const ORIGIN = 'https://www.shop.test';
  const PARTITIONED = {
    NODE_ENV: 'production',
    REFRESH_COOKIE_SAMESITE: 'none',
    REFRESH_ALLOWED_ORIGINS: ORIGIN,
    REFRESH_COOKIE_PARTITIONED: 'true',
  };

  test('the cookie and its signature are partitioned, and signing out clears them there', async () => {
    server = await boot(PARTITIONED);
    const response = await throughProxy(server);
    const out = await server.api
      .post('/api/token/revoke')
      .set({ Cookie: cookieHeader(response), Origin: ORIGIN });
    for (const answer of [response, out]) {
      for (const name of ['__Host-refreshToken', '__Host-refreshToken.sig']) {
        expect(cookies(answer)[name]).toMatch(/; samesite=none; secure; .*partitioned/i);
      }
    }
    expect(server.log.join('\n')).toContain('SameSite=None, Secure, Partitioned');
  });
});
