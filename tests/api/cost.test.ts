import { calls } from '../support/client';
import { boot } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
beforeAll(async () => {
  server = await boot();
});
afterAll(() => server.stop());

/** The statements on the sessions' table that an action takes, by their first words. */
async function statements(action: () => Promise<unknown>): Promise<string[]> {
  const seen: string[] = [];
  const listen = ({ sql }: { sql: string }) => {
    if (sql.includes('up_refresh_sessions')) seen.push(sql.trim().split(' ')[0].toLowerCase());
  };
  server.strapi.db.connection.on('query', listen);
  await action();
  server.strapi.db.connection.removeListener('query', listen);
  return seen;
}

describe('What it costs', () => {
  test('a refresh is one UPDATE, and on MySQL, whose UPDATE returns nothing, a SELECT before it', async () => {
    const { body } = await calls(server).signIn(await server.user());
    const expected =
      server.strapi.db.dialect.client === 'mysql' ? ['select', 'update'] : ['update'];
    expect(await statements(() => calls(server).refresh(body.refreshToken))).toEqual(expected);
  });

  test('an authenticated request is one SELECT more than stock, and the first after each refresh one UPDATE', async () => {
    const { body } = await calls(server).signIn(await server.user());
    expect(await statements(() => calls(server).me(body.jwt))).toEqual(['select', 'update']);
    expect(await statements(() => calls(server).me(body.jwt))).toEqual(['select']);
  });

  test('a sign-in is one INSERT', async () => {
    const user = await server.user();
    expect(await statements(() => calls(server).signIn(user))).toEqual(['insert']);
  });
});
