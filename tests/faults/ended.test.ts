import { setTimeout as sleep } from 'timers/promises';
import { createSite, createUser, FULL, insist, signIn, times } from './processes';
import type { Client, Process, Settings, Site } from './processes';

let site: Site;
beforeEach(async () => {
  site = await createSite();
});
afterEach(() => site.end());

const ROUNDS = FULL ? 40 : 15;

async function startTwo(settings?: Settings): Promise<[Process, Process]> {
  return [await site.start(settings), await site.start(settings)];
}

/**
 * Maximum milliseconds between two refreshes. On SQLite, a transaction that first reads and later writes, as Strapi's own
 * do, fails if another process wrote in between, so a client without pauses would block it.
 */
const PAUSE = (globalThis as { TEST_DATABASE?: string }).TEST_DATABASE === 'sqlite' ? 1500 : 8;

/** A client with two tabs that refreshes until it is refused. */
async function live(client: Client, process: Process): Promise<void> {
  const late = Date.now() + 60_000;
  await times(2, async () => {
    for (;;) {
      const { status, outcome } = await client.refresh(process);
      if (status === 401) return;
      if (status !== 200) throw new Error(`A refresh returned ${outcome}.`);
      if (Date.now() > late) throw new Error('The session did not end.');
      await sleep(Math.random() * PAUSE);
    }
  });
}

/** Expects that no token ever issued to a client still works at either process. */
async function expectOut(clients: Client[], processes: Process[]): Promise<void> {
  for (const client of clients) {
    for (const token of client.refreshTokens) {
      const answers = await Promise.all(processes.map((process) => client.refresh(process, token)));
      expect(answers.map(({ status }) => status)).toEqual([401, 401]);
    }
    const newest = client.accessTokens[client.accessTokens.length - 1];
    for (const process of processes) {
      expect((await client.me(process, newest)).status).toBe(401);
      expect((await client.me(process, client.accessTokens[0])).status).toBe(401);
    }
  }
}

describe('A session that ends in one process while the other refreshes it stays ended', () => {
  test.each<[string, (process: Process, user: { id: number }, sid: string) => Promise<unknown>]>([
    ['revoked', (process, _user, sid) => process.ask('signOut', { sid })],
    ['the user blocked', (process, { id }) => insist(process, 'editUser', { id, blocked: true })],
    [
      'the password changed',
      (process, { id }) => insist(process, 'editUser', { id, password: 'correct horse 2' }),
    ],
    ['the user deleted', (process, { id }) => insist(process, 'removeUser', id)],
  ])('%s', async (_how, end) => {
    const processes = await startTwo();
    for (let round = 0; round < ROUNDS; round += 1) {
      const user = await createUser(processes[0]);
      const { client, sid } = await signIn(processes[0], user.id);
      await Promise.all([live(client, processes[0]), end(processes[1], user, sid)]);
      await expectOut([client], processes);
    }
    expect(await processes[0].ask('sids')).toEqual([]);
  });
});

/** Of two concurrent sign-ins, the older one may be the least recently used session when the newer one checks: then it gets an error. */
async function signInUnlessDisplaced(process: Process, userId: number) {
  try {
    return await signIn(process, userId);
  } catch (error) {
    if (/newer sign-in/.test((error as Error).message)) return null;
    throw error;
  }
}

test('Sign-ins over the cap, while other sessions refresh, leave exactly as many sessions as the cap, and the rest stay ended', async () => {
  const processes = await startTwo({ env: { REFRESH_SESSIONS_PER_USER: '2' } });
  for (let round = 0; round < ROUNDS; round += 1) {
    const user = await createUser(processes[0]);
    const before = await times(2, (index) => signIn(processes[index], user.id));
    const [after] = await Promise.all([
      times(2, (index) => signInUnlessDisplaced(processes[index], user.id)),
      ...before.map(({ client }, index) => client.refresh(processes[index])),
    ]);
    const signedIn = after.filter((session) => session !== null);
    expect(signedIn.length).toBeGreaterThan(0);

    const sids = await processes[0].ask('sids');
    expect(sids).toHaveLength(2);
    const all = [...before, ...signedIn];
    const ended = all.filter(({ sid }) => !sids.includes(sid));
    await expectOut(
      ended.map(({ client }) => client),
      processes
    );
    const active = all.filter(({ sid }) => sids.includes(sid));
    for (const { client } of active) expect((await client.refresh(processes[1])).status).toBe(200);
    await processes[0].ask('signOut', { userId: user.id });
  }
});

test('The cleanup in one process, while the other refreshes, deletes ended sessions and keeps active ones', async () => {
  const processes = await startTwo();
  const { id } = await createUser(processes[0]);
  for (let round = 0; round < ROUNDS; round += 1) {
    const sessions = await times(20, (index) => signIn(processes[index % 2], id));
    const over = sessions.slice(0, 10);
    await processes[0].ask(
      'endDaysAgo',
      over.map(({ sid }) => sid)
    );
    await Promise.all([
      processes[1].ask('cleanUp'),
      processes[0].ask('cleanUp'),
      ...sessions.map(({ client }) => client.refresh(processes[0])),
    ]);
    await expectOut(
      over.map(({ client }) => client),
      processes
    );
    const active = sessions.slice(10);
    expect((await processes[0].ask('sids')).sort()).toEqual(active.map(({ sid }) => sid).sort());
    for (const { client } of active) expect((await client.refresh(processes[1])).status).toBe(200);
    await processes[0].ask('signOut', { userId: id });
  }
});
