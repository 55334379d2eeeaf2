import { calls, claims, outcome } from '../support/client';
import { boot } from '../support/server';
import type { Server } from '../support/server';

const { TEST_DATABASE } = globalThis as { TEST_DATABASE?: string };

/** Levels that a project may have set as its default. SQLite has only one. */
const LEVELS =
  TEST_DATABASE === 'sqlite'
    ? ['serializable']
    : ['read committed', 'repeatable read', 'serializable'];

/** The codes of an error for a transaction that lost against another one. */
const LOST = ['40001', 'ER_LOCK_DEADLOCK'];

const SET: Record<string, string> = {
  postgres: 'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL',
  mysql: 'SET SESSION TRANSACTION ISOLATION LEVEL',
};

/** Sets it at the start of every connection, as a project's own `pool.afterCreate` would. */
async function setLevel({ strapi }: Server, level: string): Promise<void> {
  if (TEST_DATABASE === 'sqlite') return;
  const { client } = strapi.db.connection;
  const acquire = client.acquireRawConnection.bind(client);
  client.acquireRawConnection = async () => {
    const connection = await acquire();
    await new Promise<void>((resolve, reject) => {
      connection.query(`${SET[TEST_DATABASE!]} ${level}`, (error: unknown) =>
        error ? reject(error) : resolve()
      );
    });
    return connection;
  };
  await strapi.db.connection.destroy();
  strapi.db.connection.initialize();
}

describe.each(LEVELS)('If transactions are %s,', (level) => {
  let server: Server;
  let call: ReturnType<typeof calls>;
  beforeAll(async () => {
    server = await boot();
    await setLevel(server, level);
    call = calls(server);
  });
  afterAll(() => server.stop());

  test('connections really have that level', async () => {
    const ask: Record<string, string> = {
      sqlite: "select 'serializable' as level",
      postgres: "select current_setting('transaction_isolation') as level",
      // MySQL and MariaDB have different names for it.
      mysql:
        "show session variables where Variable_name in ('tx_isolation', 'transaction_isolation')",
    };
    const result = await server.strapi.db.connection.raw(ask[TEST_DATABASE!]);
    const [row] = { sqlite: result, postgres: result.rows, mysql: result[0] }[TEST_DATABASE!]!;
    expect((row.level ?? row.Value).toLowerCase().replace('-', ' ')).toBe(level);
  });

  test('racing tabs get the same next token', async () => {
    let { refreshToken } = (await call.signIn(await server.user())).body;
    for (let round = 1; round <= 20; round += 1) {
      const tabs = await Promise.all(Array.from({ length: 20 }, () => call.refresh(refreshToken)));
      expect(new Set(tabs.map(outcome))).toEqual(new Set(['200']));
      expect(new Set(tabs.map((tab) => tab.body.refreshToken)).size).toBe(1);
      ({ refreshToken } = tabs[0].body);
      expect(claims(refreshToken).gen).toBe(round);
    }
  });

  test('the first requests with a new token can come at the same time as a refresh', async () => {
    let { jwt, refreshToken } = (await call.signIn(await server.user())).body;
    for (let round = 0; round < 10; round += 1) {
      const [next, ...answers] = await Promise.all([
        call.refresh(refreshToken),
        ...Array.from({ length: 10 }, () => call.me(jwt)),
      ]);
      expect(answers.map(outcome)).toEqual(Array(10).fill('200'));
      expect(outcome(next)).toBe('200');
      ({ jwt, refreshToken } = next.body);
    }
  });

  test('a session that is revoked during refreshes stays ended', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { refreshToken } = (await call.signIn(await server.user())).body;
      const [revoked, ...tabs] = await Promise.all([
        call.revoke(refreshToken),
        ...Array.from({ length: 5 }, () => call.refresh(refreshToken)),
      ]);
      expect(outcome(revoked)).toBe('200');
      for (const tab of tabs) {
        expect(outcome(tab)).toMatch(/^(200|401 session_ended)$/);
        if (tab.status === 200) {
          expect(outcome(await call.refresh(tab.body.refreshToken))).toBe('401 session_ended');
          expect(outcome(await call.me(tab.body.jwt))).toBe('401');
        }
      }
    }
  });

  test('a user who is blocked during refreshes is signed out on every device', async () => {
    const user = await server.user();
    const signIns = await Promise.all(Array.from({ length: 5 }, () => call.signIn(user)));
    expect(signIns.map(outcome)).toEqual(Array(5).fill('200'));

    // The change of the user is Strapi's own transaction: if it loses at this level, its caller gets the error.
    const block = async (): Promise<unknown> =>
      server.strapi
        .documents('plugin::users-permissions.user')
        .update({ documentId: (user as any).documentId, data: { blocked: true } as any })
        .catch((error) => (LOST.includes(error.code) ? block() : Promise.reject(error)));
    const [, ...refreshed] = await Promise.all([
      block(),
      ...signIns.map(({ body }) => call.refresh(body.refreshToken)),
    ]);
    for (const { body, status } of refreshed) {
      expect([200, 401]).toContain(status);
      if (status === 200) expect((await call.refresh(body.refreshToken)).status).toBe(401);
    }
    expect((await server.rows()).filter((row) => row.user_id === user.id)).toEqual([]);
  });
});
