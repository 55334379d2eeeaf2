import { cookies } from '../support/client';
import { boot, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

let server: Server | undefined;
afterEach(() => server?.stop());

/** A sign-in as a TLS proxy passes it on. */
const throughProxy = async (booted: Server) => {
  const { username } = await booted.user();
  return booted.api
    .post('/api/auth/local')
    .set({ 'X-Forwarded-Proto': 'https', 'X-Forwarded-For': '203.0.113.7' })
    .send({ identifier: username, password: PASSWORD });
};
const warnings = ({ log }: Server) => log.filter((line) => line.includes('server.proxy'));

describe('Behind a proxy that speaks TLS', () => {
  test('a project that does not trust it signs in all the same, with a Secure cookie and one warning', async () => {
    server = await boot({ NODE_ENV: 'production' });
    for (let turn = 0; turn < 2; turn += 1) {
      const response = await throughProxy(server);
      expect(response.status).toBe(200);
      expect(cookies(response).refreshToken).toMatch(/; secure/i);
      expect(cookies(response)['refreshToken.sig']).toMatch(/; secure/i);
    }
    expect(warnings(server)).toHaveLength(1);
  });

  test('a project that trusts it gets the caller’s address, and no warning', async () => {
    server = await boot({ NODE_ENV: 'production', TRUST_PROXY: 'true' });
    const response = await throughProxy(server);
    expect(cookies(response).refreshToken).toMatch(/; secure/i);
    expect((await server.rows())[0].ip).toBe('203.0.113.7');
    expect(warnings(server)).toHaveLength(0);
  });

  test('an address of any length or form fits', async () => {
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

  test('the __Host- cookie works as the production docs recommend it', async () => {
    server = await boot({ NODE_ENV: 'production', REFRESH_COOKIE_NAME: '__Host-refreshToken' });
    const line = cookies(await throughProxy(server))['__Host-refreshToken'];
    expect(line).toMatch(/; path=\/; .*secure/i);
    expect(line).not.toMatch(/domain/i);
  });
});
