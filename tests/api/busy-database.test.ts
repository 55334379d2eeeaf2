import { calls, outcome } from '../support/client';
import { boot } from '../support/server';
import type { Server } from '../support/server';

/** A database that keeps rolling back a statement because of a conflict. SQLite has no such conflicts. */

const { TEST_DATABASE } = globalThis as { TEST_DATABASE?: string };

const CONFLICT: Record<string, { begin: string[]; end: string[] }> = {
  postgres: {
    begin: [
      `CREATE FUNCTION conflict() RETURNS trigger AS $$
         BEGIN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END $$ LANGUAGE plpgsql`,
      'CREATE TRIGGER conflict BEFORE UPDATE OR DELETE ON up_refresh_sessions FOR EACH ROW EXECUTE FUNCTION conflict()',
    ],
    end: ['DROP TRIGGER conflict ON up_refresh_sessions', 'DROP FUNCTION conflict()'],
  },
  mysql: {
    begin: ['UPDATE', 'DELETE'].map(
      (statement) =>
        `CREATE TRIGGER conflict_${statement} BEFORE ${statement} ON up_refresh_sessions FOR EACH ROW
           SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213`
    ),
    end: ['DROP TRIGGER conflict_UPDATE', 'DROP TRIGGER conflict_DELETE'],
  },
};

let server: Server;
let call: ReturnType<typeof calls>;
beforeAll(async () => {
  server = await boot();
  call = calls(server);
});
afterAll(() => server.stop());

const run = async (statements: string[]) => {
  for (const statement of statements) await server.strapi.db.connection.raw(statement);
};

if (TEST_DATABASE === 'sqlite') {
  test('A change without conflicts is made immediately', async () => {
    const { refreshToken } = (await call.signIn(await server.user())).body;
    expect(outcome(await call.refresh(refreshToken))).toBe('200');
  });
} else {
  test('A request fails with 503 after five seconds of conflicts, and works once they are over', async () => {
    const { jwt, refreshToken } = (await call.signIn(await server.user())).body;
    await run(CONFLICT[TEST_DATABASE!].begin);
    let queries = 0;
    const count = () => {
      queries += 1;
    };
    server.strapi.db.connection.on('query', count);
    const started = performance.now();
    const answers = await Promise.all([call.refresh(refreshToken), call.revoke(refreshToken)]);
    const seconds = (performance.now() - started) / 1000;
    server.strapi.db.connection.off('query', count);
    await run(CONFLICT[TEST_DATABASE!].end);

    for (const answer of answers) {
      expect(outcome(answer)).toBe('503 temporarily_unavailable');
      expect(answer.headers['retry-after']).toBe('1');
      expect(JSON.stringify(answer.body)).not.toMatch(/conflict|update|delete/i);
    }
    expect(seconds).toBeLessThan(15);
    expect(queries).toBeLessThan(300);
    expect((await call.me(jwt)).status).toBe(200);
    expect(outcome(await call.refresh(refreshToken))).toBe('200');
  });
}
