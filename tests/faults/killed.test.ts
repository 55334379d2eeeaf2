import { setTimeout as sleep } from 'timers/promises';
import { createSite, createUser, FULL, signIn, times } from './processes';
import type { Client, Process, Site } from './processes';

let site: Site;
beforeEach(async () => {
  site = await createSite();
});
afterEach(() => site.end());

const GRACE = 1_000;

test('A server that is killed during refreshes signs no one out: each client continues with the last token that it received', async () => {
  const env = { REFRESH_TOKEN_GRACE: `${GRACE / 1000}s` };
  let server = await site.start({ env });
  const user = await createUser(server);
  const clients = (await times(50, () => signIn(server, user.id))).map(({ client }) => client);
  let refreshes = 0;

  /** Refreshes until the server is gone, and sometimes uses the access token. */
  const live = async (client: Client, process: Process): Promise<string> => {
    for (;;) {
      const { outcome } = await client.refresh(process);
      if (outcome !== '200') return outcome;
      refreshes += 1;
      if (Math.random() < 0.2 && (await client.me(process)).outcome === 'dropped') return 'dropped';
    }
  };

  for (let round = 0; round < (FULL ? 20 : 3); round += 1) {
    const lives = clients.map((client) => live(client, server));
    // However slow the machine is, the server dies in the middle of them.
    const before = refreshes;
    for (let waits = 0; refreshes < before + 100 && waits < 6_000; waits += 1) await sleep(10);
    await sleep(Math.random() * 1000);
    await server.kill();
    expect(new Set(await Promise.all(lives))).toEqual(new Set(['dropped']));

    await sleep(GRACE);
    server = await site.start({ env });
    const answers = await Promise.all(clients.map((client) => client.refresh(server)));
    expect(answers.map(({ outcome }) => outcome)).toEqual(Array(50).fill('200'));
  }
  expect(await server.ask('sids')).toHaveLength(50);
  expect(refreshes).toBeGreaterThan(200);
});
