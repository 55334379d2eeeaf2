import { asCaller, superAdmin } from '../support/admins';
import type { Admin } from '../support/admins';
import { calls, claims, outcome } from '../support/client';
import { boot, DAY, pass, withoutTable } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
let call: ReturnType<typeof calls>;
let admin: Admin;
beforeAll(async () => {
  server = await boot({}, (strapi) => {
    const { attributes } = strapi.contentType('plugin::users-permissions.user') as any;
    // As a project that took over another system's table.
    attributes.username.columnName = 'login_name';
    attributes.email.columnName = 'mail_address';
  });
  call = calls(server);
  admin = await superAdmin(server);
});
afterAll(() => server.stop());
beforeEach(async () => {
  await sessions().delete();
});

const sessions = () => server.strapi.db.connection('up_refresh_sessions');
const signIn = async (user: { username: string }, fields?: object) =>
  (await call.signIn(user, fields as never)).body;
const list = async (query: object = {}) => (await admin.get(`?${search(query)}`)).body;
const search = (query: object) => new URLSearchParams(query as never).toString();
const idsOf = (page: any): string[] => page.sessions.map(({ id }: { id: string }) => id);

/** Adds copies of a user's session, with their own ids. @returns their sids, the newest first */
async function add(user: { id: number; username: string }, count: number): Promise<string[]> {
  await signIn(user);
  const { id: _id, ...row } = (await server.rows()).pop()!;
  const first = await sessions().count({ rows: '*' });
  const sids = Array.from({ length: count - 1 }, (_, n) =>
    (Number(first[0].rows) * 10_000 + n).toString(16).padStart(32, '0')
  );
  const rows = sids.map((sid) => ({ ...row, sid }));
  await server.strapi.db.connection.batchInsert('up_refresh_sessions', rows, 30);
  return [row.sid, ...sids].reverse();
}

describe('The list of sessions', () => {
  test('shows each with its user, its device and its times', async () => {
    const user = await server.user();
    const { jwt } = await signIn(user, { sessionDescription: 'My phone', deviceId: 'phone' });
    const { documentId } = await server.strapi.db
      .query('plugin::users-permissions.user')
      .findOne({ where: { id: user.id } });
    const now = Date.now();
    const after = (days: number) => new Date(now + days * DAY * 1000).toISOString();
    expect(await list()).toEqual({
      sessions: [
        {
          id: claims(jwt).sid,
          user: { id: user.id, documentId, username: user.username, email: user.email },
          description: 'My phone',
          deviceId: 'phone',
          userAgent: null,
          ip: '127.0.0.1',
          transport: 'body',
          createdAt: after(0),
          lastActivity: after(0),
          expiresAt: after(2),
          endsAt: after(30),
        },
      ],
      newer: null,
      older: null,
    });
  });

  test('has pages of 25, the newest sign-in first, and back again', async () => {
    const sids = await add(await server.user(), 60);
    const first = await list();
    const second = await list({ before: first.older });
    const third = await list({ before: second.older });
    expect([first, second, third].map(idsOf)).toEqual([
      sids.slice(0, 25),
      sids.slice(25, 50),
      sids.slice(50),
    ]);
    expect([first.newer, third.older]).toEqual([null, null]);

    const secondAgain = await list({ after: third.newer });
    expect(idsOf(secondAgain)).toEqual(idsOf(second));
    const firstAgain = await list({ after: secondAgain.newer });
    expect(idsOf(firstAgain)).toEqual(idsOf(first));
    expect(firstAgain.newer).toBeNull();
    expect(idsOf(await list({ before: firstAgain.older }))).toEqual(idsOf(second));
  });

  test('shows each once, and none twice, while people sign in and sessions end', async () => {
    const user = await server.user();
    const sids = await add(user, 90);
    const seen: string[] = [];
    let page = await list();
    for (;;) {
      seen.push(...idsOf(page));
      if (page.older === null) break;
      // The last one of this page, whose key is the cursor, and one of the next page.
      const next = sids.indexOf(seen[seen.length - 1]!) + 1;
      await sessions()
        .whereIn('sid', [sids[next - 1]!, sids[next + 3]!])
        .delete();
      await signIn(user);
      page = await list({ before: page.older });
    }
    expect(new Set(seen).size).toBe(seen.length);
    const ended = sids.filter((sid) => !seen.includes(sid));
    expect(ended).toHaveLength(3);
    // Up again, past those that have signed in since.
    const up: unknown[] = [];
    const lastPage = page;
    while (page.newer !== null) up.push((page = await list({ after: page.newer })));
    const active = (await server.rows()).map(({ sid }) => sid).reverse();
    const above = active.slice(0, active.indexOf(idsOf(lastPage)[0]!));
    expect(up.reverse().flatMap(idsOf)).toEqual(above);
  });

  test('leads back from a page whose sessions have all ended', async () => {
    const sids = await add(await server.user(), 50);
    const { older } = await list();
    await sessions().whereIn('sid', sids.slice(25)).delete();
    const empty = await list({ before: older });
    expect(empty).toMatchObject({ sessions: [], older: null });
    expect(idsOf(await list({ after: empty.newer }))).toEqual(sids.slice(0, 25));

    await sessions().delete();
    const gone = await list({ after: 1 });
    expect(gone).toMatchObject({ sessions: [], newer: null, older: 2 });
  });

  test('leaves out what has expired, and so does the count', async () => {
    const user = await server.user();
    await signIn(user);
    const { jwt } = await signIn(user);
    expect((await admin.get('/count')).body).toEqual({ active: 2 });
    await sessions()
      .whereNot({ sid: claims(jwt).sid })
      .update({ expires_at: Date.now() });
    expect(idsOf(await list())).toEqual([claims(jwt).sid]);
    expect((await admin.get('/count')).body).toEqual({ active: 1 });
  });

  test('shows a session without a user', async () => {
    await signIn(await server.user());
    await sessions().update({ user_id: null });
    expect((await list()).sessions).toEqual([expect.objectContaining({ user: null })]);
  });

  test('accepts keys beyond the range of the column, and still finds what exists', async () => {
    const [sid] = await add(await server.user(), 1);
    const huge = 999_999_999_999_999;
    expect(idsOf(await list({ before: huge }))).toEqual([sid]);
    expect(idsOf(await list({ after: huge }))).toEqual([]);
    expect(idsOf(await list({ user: huge }))).toEqual([]);
  });
});

describe('A search', () => {
  const found = async (text: string) => {
    const names = (await list({ search: text })).sessions.map(({ user }: any) => user.username);
    return names.sort();
  };
  const people = async (...users: { username: string; email?: string }[]) => {
    for (const user of users) await signIn(await server.user(user));
  };

  test('finds users by a part of their name or email address, in any case', async () => {
    await people(
      { username: 'ada', email: 'countess@lovelace.test' },
      { username: 'Grace Hopper', email: 'grace@navy.test' }
    );
    expect(await found('HOPPER')).toEqual(['Grace Hopper']);
    expect(await found('  Lovelace.Test ')).toEqual(['ada']);
    expect(await found('e')).toEqual(['Grace Hopper', 'ada']);
    expect(await found('nobody')).toEqual([]);
    expect(await found('')).toEqual(['Grace Hopper', 'ada']);
  });

  test('treats SQL wildcards as plain text', async () => {
    await people(
      { username: '100%' },
      { username: 'under_score' },
      { username: 'back\\slash' },
      { username: 'bang!' },
      { username: "quote'" }
    );
    for (const [text, name] of [
      ['%', '100%'],
      ['_', 'under_score'],
      ['\\', 'back\\slash'],
      ['!', 'bang!'],
      ["'", "quote'"],
    ]) {
      expect([text, await found(text!)]).toEqual([text, [name]]);
    }
    expect(await found('un%re')).toEqual([]);
    expect(await found('😀')).toEqual([]);
  });

  test('is limited to the sessions of a user if both are requested', async () => {
    const [a, b] = [
      await server.user({ username: 'twin-a' }),
      await server.user({ username: 'twin-b' }),
    ];
    await add(a, 30);
    await add(b, 30);
    const page = await list({ search: 'twin', user: b.id });
    expect(page.sessions.every(({ user }: any) => user.id === b.id)).toBe(true);
    const next = await list({ search: 'twin', user: b.id, before: page.older });
    expect([page, next].map(({ sessions: rows }) => rows.length)).toEqual([25, 5]);
  });

  test('that matches more users than it lists by id finds all their sessions', async () => {
    const user = await server.user({ username: 'many-0' });
    const { connection } = server.strapi.db;
    const { id: _id, ...row } = await connection('up_users').where({ id: user.id }).first();
    const copies = Array.from({ length: 1000 }, (_, n) => ({
      ...row,
      document_id: `many${n}`.padEnd(24, '-'),
      login_name: `many-${n + 1}`,
      mail_address: `many-${n + 1}@test.local`,
    }));
    await connection.batchInsert('up_users', copies, 50);
    const last = await connection('up_users').where({ login_name: 'many-1000' }).first();
    await people({ username: 'another' });
    await add({ id: last.id, username: 'many-1000' }, 30);
    await signIn(user);

    const first = await list({ search: 'MANY-' });
    const second = await list({ search: 'MANY-', before: first.older });
    const names = [first, second].flatMap(({ sessions: rows }) =>
      rows.map((session: any) => session.user.username)
    );
    expect(names).toEqual(['many-0', ...Array(30).fill('many-1000')]);
  });
});

describe('Ending sessions', () => {
  /** What the hub and the log say while something is done. */
  async function witness(action: () => Promise<unknown>) {
    const events: any[] = [];
    const off = server.strapi.eventHub.on('refresh-session.ended', async (event: unknown) => {
      events.push(event);
    }) as () => void;
    const logged = server.log.length;
    await action();
    off();
    return { events, log: server.log.slice(logged).filter((line) => line.includes('ended by')) };
  }

  test('ends one, whose next request is refused, and says who did it', async () => {
    const user = await server.user();
    const [mine, other] = [await signIn(user), await signIn(user)];
    const { sid } = claims(mine.jwt);
    const { events, log } = await witness(async () => {
      expect((await admin.end(`/${sid}`)).body).toEqual({ ended: 1 });
    });
    expect((await call.me(mine.jwt)).status).toBe(401);
    expect(outcome(await call.refresh(mine.refreshToken))).toBe('401 session_ended');
    expect((await call.me(other.jwt)).status).toBe(200);

    const by = { adminId: admin.id, userAgent: null, ip: '127.0.0.1' };
    expect(events).toEqual([{ ...by, sid, userId: user.id, reason: 'ended by admin' }]);
    const ended = JSON.stringify({ ...by, sid, userId: user.id, ended: 1 });
    expect(log).toEqual([`info: [refresh-token] ended by admin ${ended}`]);
    expect(outcome(await admin.end(`/${sid}`))).toBe('404 session_not_found');
  });

  test.each(['x', 'A'.repeat(32), '%00', `${'0'.repeat(32)}%20`, "'"])(
    'answers 404 to %s, which is no session',
    async (id) => {
      const { events, log } = await witness(async () => {
        expect(outcome(await admin.end(`/${id}`))).toBe('404 session_not_found');
      });
      expect([events, log]).toEqual([[], []]);
    }
  );

  test('ends a user’s, with one event for each and one log line', async () => {
    const [user, other] = [await server.user(), await server.user()];
    await add(user, 3);
    const { jwt } = await signIn(other);
    const { events, log } = await witness(async () => {
      expect((await admin.end(`?user=${user.id}`)).body).toEqual({ ended: 3 });
    });
    expect(events).toHaveLength(3);
    expect(events[0]).toMatchObject({ reason: 'ended by admin', adminId: admin.id });
    expect(log).toHaveLength(1);
    expect((await call.me(jwt)).status).toBe(200);
    expect((await admin.end(`?user=${user.id}`)).body).toEqual({ ended: 0 });
  });

  test('ends everyone’s, in batches, with one event that has the count', async () => {
    const user = await server.user();
    await add(user, 1201);
    const { jwt } = await signIn(await server.user());
    const { events, log } = await witness(async () => {
      expect((await admin.end('?everyone=true')).body).toEqual({ ended: 1202 });
    });
    expect(await server.rows()).toEqual([]);
    expect((await call.me(jwt)).status).toBe(401);
    expect(events).toEqual([
      {
        ...{ sid: null, userId: null, count: 1202, reason: 'ended by admin' },
        ...{ adminId: admin.id, userAgent: null, ip: '127.0.0.1' },
      },
    ]);
    expect(log).toHaveLength(1);

    const again = await witness(() => admin.end('?everyone=true'));
    expect(again.events).toEqual([]);
  });

  test('is logged, too, if a database error interrupts it', async () => {
    const user = await server.user();
    await add(user, 3);
    const { events, log } = await witness(() =>
      withoutTable(server, 'up_refresh_sessions', async () => {
        expect((await admin.end(`?user=${user.id}`)).status).toBe(500);
        expect((await admin.end('?everyone=true')).status).toBe(500);
      })
    );
    expect(events).toEqual([]);
    const by = { adminId: admin.id, userAgent: null, ip: '127.0.0.1' };
    expect(log).toEqual(
      [user.id, null].map((userId) => {
        const ended = JSON.stringify({ ...by, userId, ended: null });
        return `info: [refresh-token] ended by admin ${ended}`;
      })
    );
    expect(await server.rows()).toHaveLength(3);
  });

  test('by two admins at the same time ends each session once', async () => {
    await add(await server.user(), 700);
    const { events } = await witness(async () => {
      const answers = await Promise.all([1, 2, 3].map(() => admin.end('?everyone=true')));
      const ended = answers.map(({ body }) => body.ended);
      expect(ended.reduce((sum, count) => sum + count)).toBe(700);
    });
    expect(events.reduce((sum, { count }) => sum + count, 0)).toBe(700);
  });
});

describe('Wrong parameters', () => {
  const WRONG: string[] = ['=', '=-1', '=0', '=1.5', '=1e3', '=x', '=%00', `=${'9'.repeat(16)}`];
  const NESTED = ['[]=1', '[$gt]=1', '[a][b]=1', '=1&?=2'];
  const numbers = ['user', 'before', 'after'].flatMap((name) =>
    [...WRONG, ...NESTED].map((value) => `?${name}${value.replace('?', name)}`)
  );
  const searches = ['[]=a', '[$ne]=a', '=a&search=b', '=%00', '=a%00b', `=${'x'.repeat(256)}`].map(
    (value) => `?search${value}`
  );

  test('are refused when reading, and never a 5xx', async () => {
    for (const query of [...numbers, ...searches, '?before=2&after=1']) {
      expect([query, outcome(await admin.get(query))]).toEqual([query, '400 invalid_request']);
    }
    for (const query of numbers) {
      const answer = outcome(await admin.get(`/incidents${query}`));
      expect([query, answer]).toEqual([query, '400 invalid_request']);
    }
    // Not well-formed percent encoding.
    for (const query of ['?search=%ED%A0%80', '?search=%', '?search=%FF', '?user=%']) {
      expect((await admin.get(query)).status).toBeLessThan(500);
    }
  });

  test('are refused when ending, and nothing ends', async () => {
    const { id } = await server.user();
    const { jwt } = await signIn(await server.user());
    const users = numbers.filter((query) => query.startsWith('?user'));
    for (const query of [
      ...['', '?', '?everyone', '?everyone=', '?everyone=false', '?everyone=TRUE', '?everyone=1'],
      ...['?everyone[]=true', '?everyone=true&everyone=true', '?everyone[a]=true'],
      ...[`?user=${id}&everyone=true`, `?user=${id}&everyone=false`],
      ...users,
      ...users.map((query) => `${query}&everyone=true`),
    ]) {
      expect([query, outcome(await admin.end(query))]).toEqual([query, '400 invalid_request']);
    }
    expect((await call.me(jwt)).status).toBe(200);
  });

  test('are not checked without a token: the response is 401', async () => {
    expect((await asCaller(server).get('?user=x')).status).toBe(401);
    expect((await asCaller(server).end('?user=x')).status).toBe(401);
  });
});

describe('A new device', () => {
  const opened: any[] = [];
  beforeAll(() => {
    server.strapi.eventHub.on('refresh-session.opened', async (event: unknown) => {
      opened.push(event);
    });
  });
  const from = async (user: { username: string }, userAgent: string, cookie = '') => {
    const response = await server.api
      .post('/api/auth/local')
      .set({ 'User-Agent': userAgent, Cookie: cookie })
      .send({ identifier: user.username, password: 'correct horse 1' });
    expect(response.status).toBe(200);
    const { newDevice } = opened.pop();
    return {
      newDevice,
      cookie: (response.get('Set-Cookie') ?? []).map((line) => line.split(';')[0]).join('; '),
    };
  };

  test('is one whose user agent none of the user’s other active sessions has', async () => {
    const [user, other] = [await server.user(), await server.user()];
    await from(other, 'Phone/1.0');
    // Nothing to compare with.
    expect((await from(user, 'Laptop/1.0')).newDevice).toBeUndefined();
    expect((await from(user, 'Laptop/1.0')).newDevice).toBeUndefined();
    expect((await from(user, 'Phone/1.0')).newDevice).toBe(true);
    expect((await from(user, 'Phone/1.0')).newDevice).toBeUndefined();
    expect((await from(user, '')).newDevice).toBe(true);
    expect((await from(user, '')).newDevice).toBeUndefined();
  });

  test('is not one in a browser that already had a session of the user, such as after an update', async () => {
    const user = await server.user();
    await from(user, 'Laptop/1.0');
    const { cookie } = await from(user, 'Browser/140');
    expect((await from(user, 'Browser/141', cookie)).newDevice).toBeUndefined();
  });

  test('is not compared with sessions that have expired', async () => {
    const user = await server.user();
    await from(user, 'Laptop/1.0');
    pass(2 * DAY);
    expect((await from(user, 'Phone/1.0')).newDevice).toBeUndefined();
    expect((await from(user, 'Laptop/1.0')).newDevice).toBe(true);
  });
});
