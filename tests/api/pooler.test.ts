import { calls, outcome } from '../support/client';
import { boot } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
beforeAll(async () => {
  server = await boot();
});
afterAll(() => server.stop());

test('A pooler that hands out another server connection each time, without its prepared statements, is nothing to the caller', async () => {
  const call = calls(server);
  let { refreshToken } = (await call.signIn(await server.user())).body;

  const { connection, dialect } = server.strapi.db;
  for (let round = 0; round < 5; round += 1) {
    const answer = await call.refresh(refreshToken);
    expect(outcome(answer)).toBe('200');
    ({ refreshToken } = answer.body);
    if (dialect.client === 'postgres') await connection.raw('DEALLOCATE ALL');
  }
});
