import { createSite, createUser, signIn, times } from './processes';
import type { Client, Site } from './processes';

let site: Site;
beforeEach(async () => {
  site = await createSite();
});
afterEach(() => site.end());

const SESSIONS = 10_000;
const REFRESHES = 200_000;
const MEGABYTE = 2 ** 20;

test('200,000 refreshes of 10,000 sessions leave the memory flat, a row a session, and nothing in the log', async () => {
  // Secure, of which the boot would otherwise warn.
  const server = await site.start({ env: { REFRESH_COOKIE_SECURE: 'true' } });
  const users = await times(100, () => createUser(server));
  const clients: Client[] = [];
  while (clients.length < SESSIONS) {
    const opened = await times(100, (index) => signIn(server, users[index].id));
    clients.push(...opened.map(({ client }) => client));
  }

  const memory: number[] = [];
  const lap = SESSIONS * 2;
  for (let done = 0; done < REFRESHES; done += lap) {
    let next = 0;
    await times(32, async () => {
      while (next < lap) {
        const client = clients[next % SESSIONS];
        next += 1;
        expect((await client.refresh(server)).outcome).toBe('200');
        // All but the newest are of no interest here.
        client.refreshTokens.splice(0, client.refreshTokens.length - 1);
        client.accessTokens.splice(0, client.accessTokens.length - 1);
      }
    });
    memory.push((await server.ask('memory')) / MEGABYTE);
  }
  console.log(
    `MB in use after every ${lap} refreshes: ${memory.map((mb) => mb.toFixed(1)).join(', ')}`
  );

  // After the first laps, when caches are filled, and a lap's noise aside.
  const half = memory.length / 2;
  const most = (laps: number[]) => Math.max(...laps);
  expect(most(memory.slice(half))).toBeLessThan(most(memory.slice(1, half)) + 3);
  expect(await server.ask('sids')).toHaveLength(SESSIONS);
  expect(await server.ask('log')).toEqual([]);
});
