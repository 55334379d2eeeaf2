import { calls, claims } from '../support/client';
import { boot, DAY, pass, withoutTable } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
let call: ReturnType<typeof calls>;
beforeEach(async () => {
  server = await boot();
  call = calls(server);
});
afterEach(() => server.stop());

const runCleanup = async () => {
  const job = server.strapi.cron.jobs.find(({ name }) => name === 'refreshSessionCleanup')!;
  // The method's name depends on the cron library of the Strapi release.
  const { trigger, invoke } = job.job as any;
  await (trigger ?? invoke).call(job.job);
};

describe('The cleanup', () => {
  test('keeps a session until it has been idle for twice the idle lifetime, then deletes its row', async () => {
    const { body } = await call.signIn(await server.user());
    pass(4 * DAY - 1);
    await runCleanup();
    expect(await server.rows()).toHaveLength(1);
    pass(1);
    await runCleanup();
    expect(await server.rows()).toHaveLength(0);
    expect(claims(body.refreshToken).gen).toBe(0);
  });

  test('deletes a session past its absolute end, no matter how active it was', async () => {
    let { body } = await call.signIn(await server.user());
    for (let day = 0; day < 29; day += 1) {
      pass(DAY);
      ({ body } = await call.refresh(body.refreshToken));
    }
    await runCleanup();
    expect(await server.rows()).toHaveLength(1);
    pass(DAY);
    await runCleanup();
    expect(await server.rows()).toHaveLength(0);
  });

  test('processes a large table in batches, and keeps active sessions', async () => {
    const user = await server.user();
    const { body } = await call.signIn(user);
    const [alive] = await server.rows();
    const long_ago = Date.now() - 100 * DAY * 1000;
    const dead = Array.from({ length: 2500 }, (_, index) => ({
      ...alive,
      id: undefined,
      sid: index.toString(16).padStart(32, '0'),
      expires_at: long_ago,
      ends_at: long_ago,
    }));
    await server.strapi.db.connection.batchInsert('up_refresh_sessions', dead, 30);
    const deletes: string[] = [];
    server.strapi.db.connection.on('query', ({ sql }) => {
      if (sql.startsWith('delete')) deletes.push(sql);
    });

    await runCleanup();
    expect(await server.rows()).toEqual([alive]);
    expect(deletes).toHaveLength(3);
    expect((await call.refresh(body.refreshToken)).status).toBe(200);
  });

  test('deletes rows without a user, and keeps the others', async () => {
    const { body } = await call.signIn(await server.user());
    const [alive] = await server.rows();
    await server.strapi.db.connection('up_refresh_sessions').insert({
      ...alive,
      id: undefined,
      sid: '0'.repeat(32),
      user_id: null,
    });
    await runCleanup();
    expect(await server.rows()).toEqual([alive]);
    expect((await call.refresh(body.refreshToken)).status).toBe(200);
  });

  test('logs a failure and runs again', async () => {
    await call.signIn(await server.user());
    pass(4 * DAY);
    await withoutTable(server, 'up_refresh_sessions', async () => {
      // Older releases of Strapi do not catch errors, so it must not reject.
      await expect(runCleanup()).resolves.not.toThrow();
    });
    expect(server.log.filter((line) => /^error: .*cleanup failed/.test(line))).toHaveLength(1);
    await runCleanup();
    expect(await server.rows()).toEqual([]);
  });
});
