import { createServer } from 'http';
import type { AddressInfo } from 'net';
import { setTimeout as sleep } from 'timers/promises';
import { superAdmin } from '../support/admins';
import type { Admin } from '../support/admins';
import { calls, claims, outcome } from '../support/client';
import { until } from '../support/devices';
import { boot, DAY, HOUR, pass, withoutTable } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
let call: ReturnType<typeof calls>;
let admin: Admin;
let start: number;
beforeAll(async () => {
  server = await boot();
  call = calls(server);
  admin = await superAdmin(server);
  start = Date.now();
});
beforeEach(async () => {
  jest.setSystemTime(start);
  server.log.length = 0;
  await server.strapi.db.connection(TABLE).delete();
  await server.strapi.db.connection('up_refresh_sessions').delete();
});
afterAll(() => server.stop());

const TABLE = 'up_refresh_incidents';
const rows = () => server.strapi.db.connection(TABLE).orderBy('id');
const list = async (query = '') => (await admin.get(`/incidents${query}`)).body;
const runCleanup = async () => {
  const job = server.strapi.cron.jobs.find(({ name }) => name === 'refreshSessionCleanup')!;
  const { trigger, invoke } = job.job as any;
  await (trigger ?? invoke).call(job.job);
};

/** Someone signs in on a laptop, and someone else replays their first token. @returns all tokens */
async function replay(
  user: { username: string },
  sessionDescription = 'My laptop'
): Promise<any[]> {
  const on = (userAgent: string, refreshToken: string) =>
    server.api.post('/api/token/refresh').set('User-Agent', userAgent).send({ refreshToken });
  const first = (await call.signIn(user, { sessionDescription })).body;
  const second = (await on('Laptop/1.0', first.refreshToken)).body;
  const third = (await on('Laptop/1.0', second.refreshToken)).body;
  const replayed = await on('curl/8.0', first.refreshToken);
  expect(outcome(replayed)).toBe('401 refresh_token_reused');
  return [first, second, third];
}
const written = async (count: number) => {
  for (let turn = 0; (await rows()).length < count && turn < 500; turn += 1) await sleep(10);
  expect(await rows()).toHaveLength(count);
};

describe('A reuse', () => {
  test('is an incident with its user and the devices on both sides, and no token', async () => {
    const user = await server.user();
    const tokens = await replay(user);
    await written(1);
    const { documentId } = await server.strapi.db
      .query('plugin::users-permissions.user')
      .findOne({ where: { id: user.id } });
    expect(await list()).toEqual({
      incidents: [
        {
          id: expect.any(Number),
          at: new Date().toISOString(),
          user: { id: user.id, documentId, username: user.username, email: user.email },
          session: {
            id: claims(tokens[0].jwt).sid,
            description: 'My laptop',
            userAgent: 'Laptop/1.0',
            ip: '127.0.0.1',
          },
          request: { userAgent: 'curl/8.0', ip: '127.0.0.1' },
        },
      ],
      newer: null,
      older: null,
    });
    const stored = JSON.stringify(await rows());
    for (const { jwt, refreshToken } of tokens) {
      for (const token of [jwt, refreshToken]) expect(stored).not.toContain(token.split('.')[2]);
    }
  });

  /** Makes the database refuse an incident while a token is replayed, and waits for the log of it. */
  const replayUnrecorded = (description?: string) =>
    withoutTable(server, TABLE, async () => {
      await replay(await server.user(), description);
      await until(() =>
        server.log.some((line) => /^error: .*incident was not recorded/.test(line))
      );
    });

  test('gets the same response if the incident cannot be written, and that is logged', async () => {
    await replayUnrecorded();
    expect(await rows()).toEqual([]);
  });

  test('forges no lines in the log, whatever the session is called', async () => {
    const forged = 'x\r\nerror: all is lost \u001b[2J\u009b2J\u2028\u202e';
    await replayUnrecorded(forged);
    const lines = server.log.filter((line) => /reuse|incident/.test(line));
    // The second line contains the description only where the driver puts values into the text of an error.
    expect(lines.map((line) => line.split(':')[0])).toEqual(['warn', 'error']);
    for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\u2028\u202e]/u);
    const [, logged] = /session ended (\{.*\})$/.exec(lines[0]!)!;
    expect(JSON.parse(logged!).session.description).toBe(forged);
  });

  test('does not make other listeners wait for its incident', async () => {
    const { connection, dialect } = server.strapi.db;
    const transaction = await connection.transaction();
    // No one else can write to the table. SQLite has one connection.
    if (dialect.client === 'postgres') await transaction.raw(`LOCK TABLE ${TABLE}`);
    else await transaction(TABLE).forUpdate();

    const event = { sid: 'x', userId: null, userAgent: null, ip: null };
    await server.strapi.eventHub.emit('refresh-session.reused', event);
    await transaction.commit();
    await written(1);
  });
});

describe('Incidents', () => {
  /** Adds incidents of a user at a moment, without the sessions. */
  const add = async (userId: number | null, count: number, at = Date.now()) => {
    const incidents = Array.from({ length: count }, () => ({ at, user_id: userId, sid: 'x' }));
    await server.strapi.db.connection.batchInsert(TABLE, incidents, 200);
  };

  test('have pages of 25, the newest first, and can be those of one user', async () => {
    const [user, other] = [await server.user(), await server.user()];
    await add(user.id, 30);
    await add(other.id, 1);
    const ids = (await rows()).map(({ id }) => id).reverse();
    const first = await list();
    const second = await list(`?before=${first.older}`);
    const shown = [first, second].map(({ incidents }) => incidents.map(({ id }: any) => id));
    expect(shown).toEqual([ids.slice(0, 25), ids.slice(25)]);
    expect((await list(`?after=${second.newer}`)).incidents).toEqual(first.incidents);
    const theirs = await list(`?user=${other.id}`);
    expect(theirs.incidents.map(({ user: { id } }: any) => id)).toEqual([other.id]);
  });

  test('are kept for 90 days', async () => {
    const { id } = await server.user();
    await add(id, 1200);
    pass(HOUR);
    await add(id, 1);
    pass(90 * DAY - HOUR - 1);
    await server.strapi.db.connection(TABLE).where('id', '>', 3).where('id', '<', 1100).delete();
    const before = await rows();
    await runCleanup();
    expect(await rows()).toEqual(before);
    pass(1);
    await runCleanup();
    expect(await rows()).toEqual(before.slice(-1));
  });

  test('are kept up to a thousand for each user, the newest ones', async () => {
    const [user, other] = [await server.user(), await server.user()];
    await add(user.id, 1700);
    await add(other.id, 1000);
    const newest = (await rows()).slice(700);
    await runCleanup();
    expect(await rows()).toEqual(newest);
  });

  test('of a deleted user lose their user, and are deleted by the cleanup', async () => {
    const [user, other] = [await server.user(), await server.user()];
    await add(user.id, 2);
    await add(other.id, 1);
    await server.strapi.db
      .query('plugin::users-permissions.user')
      .delete({ where: { id: user.id } });
    const users = (await list()).incidents.map((incident: any) => incident.user?.id ?? null);
    expect(users).toEqual([other.id, null, null]);
    await runCleanup();
    expect((await rows()).map(({ user_id }) => user_id)).toEqual([other.id]);
  });

  test('are cleaned up even if the cleanup of sessions fails', async () => {
    await add(null, 1);
    await withoutTable(server, 'up_refresh_sessions', runCleanup);
    expect(await rows()).toEqual([]);
    expect(server.log.filter((line) => /^error: .*cleanup failed/.test(line))).toHaveLength(1);
  });
});

describe('A webhook', () => {
  test('can subscribe to sessions that are opened, ended and reused, but not to refreshes', async () => {
    const received: any[] = [];
    const receiver = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += chunk));
      request.on('end', () => {
        received.push({ name: request.headers['x-strapi-event'], ...JSON.parse(body) });
        response.end();
      });
    });
    await new Promise<void>((resolve) => {
      receiver.listen(0, '127.0.0.1', resolve);
    });
    try {
      const subscribe = async (...names: string[]) => {
        const { port } = receiver.address() as AddressInfo;
        const url = `http://127.0.0.1:${port}/`;
        const events = names.map((name) => `refresh-session.${name}`);
        const hook = { name: 'Sessions', url, headers: {}, events };
        return (await admin.send('post', '/admin/webhooks', hook)).status;
      };
      expect(await subscribe('refreshed')).toBe(400);
      expect(await subscribe('opened', 'ended', 'reused')).toBe(201);

      const user = await server.user();
      const [{ jwt }] = await replay(user);
      await call.signIn(user);
      await admin.end('?everyone=true');
      await until(() => received.length === 5);
      await sleep(100);
      const events = received.map(({ name, reason }) => (reason ? `${name}: ${reason}` : name));
      expect(events.sort()).toEqual([
        'refresh-session.ended: ended by admin',
        'refresh-session.ended: reused',
        'refresh-session.opened',
        'refresh-session.opened',
        'refresh-session.reused',
      ]);
      expect(received.find(({ name }) => name === 'refresh-session.reused')).toMatchObject({
        ...{ event: 'refresh-session.reused', sid: claims(jwt).sid, userId: user.id },
        ...{ userAgent: 'curl/8.0', session: { userAgent: 'Laptop/1.0' } },
      });
      const end = received.find(({ count }) => count !== undefined);
      expect(end).toMatchObject({ count: 1, adminId: admin.id, sid: null });
    } finally {
      receiver.close();
    }
  });
});
