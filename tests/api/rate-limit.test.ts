import { calls } from '../support/client';
import { boot } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
beforeAll(async () => {
  server = await boot({ RATE_LIMIT_MAX: '' });
});
afterAll(() => server.stop());

test('Stock’s limit of 10 sign-ins a minute holds, and refreshing and signing out know none', async () => {
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
    expect((await call.revoke('nonsense')).status).toBe(200);
  }
});
