import { createSite, createUser, signIn, times } from './processes';
import type { Site } from './processes';

let site: Site;
beforeEach(async () => {
  site = await createSite();
});
afterEach(() => site.end());

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

test('A database restored from a copy younger than the idle lifetime signs out no one who was signed in at both times', async () => {
  const start = Date.UTC(2030, 0, 1);
  let server = await site.start({ at: start });
  const { id } = await createUser(server);
  const clients = (await times(30, () => signIn(server, id))).map(({ client }) => client);
  const refresh = async () =>
    (await Promise.all(clients.map((client) => client.refresh(server)))).map((a) => a.outcome);
  const at = (time: number) => server.ask('setClock', start + time);

  // A third of them refreshed shortly before the copy, a third long before.
  await at(36 * HOUR);
  await times(20, (index) => clients[index].refresh(server));
  await at(36 * HOUR + 11 * HOUR);
  await times(10, (index) => clients[index].refresh(server));
  await at(2 * DAY - HOUR);
  await server.ask('backUp');

  // All refreshed several times after it.
  expect(await refresh()).toEqual(Array(30).fill('200'));
  await at(2 * DAY + 20 * HOUR);
  expect(await refresh()).toEqual(Array(30).fill('200'));
  expect(await refresh()).toEqual(Array(30).fill('200'));
  await Promise.all(clients.map((client) => client.me(server)));

  // The copy is almost as old as the idle lifetime, and its oldest rows have been idle for almost twice that.
  await server.ask('restore');
  await server.kill();
  server = await site.start({ at: start + 4 * DAY - 2 * HOUR });
  await server.ask('cleanUp');
  expect(await refresh()).toEqual(Array(30).fill('200'));
  await server.ask('cleanUp');
  expect(await refresh()).toEqual(Array(30).fill('200'));
  for (const client of clients) expect((await client.me(server)).outcome).toBe('200');
  expect(await server.ask('sids')).toHaveLength(30);
});
