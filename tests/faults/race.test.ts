import { createSite, createUser, FULL, send, signIn, times } from './processes';
import type { Process, Settings, Site } from './processes';

const SECOND = 1_000;
const DAY = 86_400_000;

let site: Site;
beforeEach(async () => {
  site = await createSite();
});
afterEach(() => site.end());

/** Two processes; the second one finds the tables already created. */
async function startTwo(first: Settings = {}, second: Settings = {}): Promise<[Process, Process]> {
  return [await site.start(first), await site.start(second)];
}

const generationOf = (token: string): number =>
  JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString()).gen;

test('20 parallel refreshes of one token, spread over two processes, all succeed with one next token and one row', async () => {
  const processes = await startTwo();
  const { client } = await signIn(processes[0], (await createUser(processes[0])).id);

  for (let round = 1; round <= (FULL ? 200 : 30); round += 1) {
    const token = client.newest;
    const tabs = await times(20, (tab) => client.refresh(processes[tab % 2], token));
    expect(tabs.map(({ outcome }) => outcome)).toEqual(Array(20).fill('200'));
    expect(new Set(tabs.map(({ body }) => body.refreshToken)).size).toBe(1);
    expect(generationOf(client.newest)).toBe(round);
  }
  expect(await processes[1].ask('sids')).toHaveLength(1);
});

describe.each([5, -5])('If the clock of one process is %d seconds off,', (seconds) => {
  test('tabs that race within 4 seconds stay signed in, no matter which process responds', async () => {
    const offset = seconds * SECOND;
    let time = Date.UTC(2030, 0, 1);
    const processes = await startTwo({ at: time + offset }, { at: time });
    const { client } = await signIn(processes[0], (await createUser(processes[0])).id);

    const pass = async (milliseconds: number) => {
      time += milliseconds;
      await processes[0].ask('setClock', time + offset);
      await processes[1].ask('setClock', time);
    };
    for (let round = 0; round < (FULL ? 100 : 12); round += 1) {
      const [first, second] = round % 2 ? processes : [...processes].reverse();
      const token = client.newest;
      expect((await client.refresh(first, token)).outcome).toBe('200');
      const next = client.newest;
      if (round % 3 === 0) expect((await client.me(second)).outcome).toBe('200');
      await pass(4 * SECOND);
      const tabs = await times(6, (tab) => client.refresh(tab % 2 ? first : second, token));
      expect(tabs.map(({ outcome }) => outcome)).toEqual(Array(6).fill('200'));
      expect(new Set(tabs.map(({ body }) => body.refreshToken))).toEqual(new Set([next]));
      await pass(60 * SECOND);
    }
  });
});

describe('Processes in different time zones', () => {
  test.each([
    ['an ordinary day', '2030-06-01T12:00:00Z'],
    ['the hour that New York skips in spring', '2030-03-10T06:59:50Z'],
    ['the hour that New York has twice in autumn', '2030-11-03T05:59:50Z'],
  ])('agree on when a session was used and when it ends, on %s', async (_day, moment) => {
    const start = Date.parse(moment);
    const processes = await startTwo(
      { at: start, env: { TZ: 'America/New_York' } },
      { at: start, env: { TZ: 'Asia/Kolkata' } }
    );
    const { client } = await signIn(processes[0], (await createUser(processes[0])).id);
    const setClocks = (at: number) => times(2, (index) => processes[index].ask('setClock', at));
    const list = async (process: Process) => {
      const authorization = `Bearer ${client.accessTokens[client.accessTokens.length - 1]}`;
      return (await send(process, 'GET', '/api/users/me/sessions', { authorization })).body;
    };

    // Across the hour, in both processes, with racing tabs.
    let at = start;
    for (let round = 0; round < 4; round += 1) {
      await setClocks(at);
      const token = client.newest;
      const tabs = await times(6, (tab) => client.refresh(processes[(tab + round) % 2], token));
      expect(tabs.map(({ outcome }) => outcome)).toEqual(Array(6).fill('200'));
      const [seen] = await list(processes[0]);
      expect(await list(processes[1])).toEqual([seen]);
      expect(Date.parse(seen.lastActivity)).toBe(at);
      expect(Date.parse(seen.expiresAt)).toBe(at + 2 * DAY);
      at += 1200 * SECOND;
    }

    const last = at - 1200 * SECOND;
    await setClocks(last + 2 * DAY - SECOND);
    expect((await client.refresh(processes[1])).outcome).toBe('200');
    await setClocks(last + 4 * DAY - SECOND);
    expect((await client.refresh(processes[0])).outcome).toBe('401 refresh_token_expired');
  });
});
