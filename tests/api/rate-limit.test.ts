import { calls } from '../support/client';
import { since } from '../support/release';
import { boot, HOUR, pass } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
beforeEach(async () => {
  server = await boot({ RATE_LIMIT_MAX: '', REFRESH_TOKEN_ACCESS: 'true' });
});
afterEach(() => server.stop());

test('Strapi’s limit of 10 sign-ins per minute applies, but refreshing and signing out have no limit', async () => {
  const call = calls(server);
  const user = await server.user();
  let refreshToken: string = '';
  for (let turn = 0; turn < 10; turn += 1) {
    ({
      body: { refreshToken },
    } = await call.signIn(user));
  }
  expect((await call.signIn(user)).status).toBe(429);

  for (let turn = 0; turn < 20; turn += 1) {
    const { status, body } = await call.refresh(refreshToken);
    expect(status).toBe(200);
    ({ refreshToken } = body);
    const access = await server.api.post('/api/token/access').send({ refreshToken });
    expect(access.status).toBe(200);
    expect((await call.revoke('nonsense')).status).toBe(200);
  }
});

test('The limit is shared by /auth/token/request, no matter what email is in the body', async () => {
  // The limiter has forgotten the requests of the previous test.
  pass(HOUR);
  const { username } = await server.user();
  const statuses: number[] = [];
  for (let turn = 0; turn < 14; turn += 1) {
    const { status } = await server.api
      .post(turn % 2 ? '/api/auth/token/request' : '/api/auth/local')
      .send({
        identifier: username,
        password: 'wrong',
        // Earlier releases of Strapi could be bypassed this way.
        ...(since('5.52.0') && { email: `${turn}@test.local` }),
      });
    statuses.push(status);
  }
  expect(statuses).toEqual([...Array(10).fill(400), ...Array(4).fill(429)]);
});

test('Social sign-ins have a separate limit, however the path is written', async () => {
  pass(2 * HOUR);
  const statuses: number[] = [];
  for (let turn = 0; turn < 14; turn += 1) {
    const provider = ['github', 'gith%75b', 'GITHUB', 'google'][turn % 4];
    const { status } = await server.api.get(`/api/auth/${provider}/callback?access_token=${turn}`);
    statuses.push(status);
  }
  expect(statuses).toEqual([...Array(10).fill(400), ...Array(4).fill(429)]);
  expect((await calls(server).signIn(await server.user())).status).toBe(200);
});
