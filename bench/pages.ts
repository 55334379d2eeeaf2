/**
 * `npm run bench:pages -- --database sqlite|postgres|mysql`: what an admin's list of sessions costs in a large table, with and
 * without HTTP. Fails if the last page costs more than 1.5 times the first.
 */
import { performance } from 'perf_hooks';
import { parseArgs } from 'util';
import Table from 'cli-table3';
import { CLIENTS } from '../tests/support/database';
import { boot, cleanUp, makeDatabase } from './boot';
import type { Server } from './boot';
import { median } from './plan';

/** At most this many times the first page. */
const MOST = 1.5;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      database: { type: 'string', default: 'sqlite' },
      sessions: { type: 'string', default: '1000000' },
      rounds: { type: 'string', default: '100' },
    },
  });
  const database = CLIENTS.find((name) => name === values.database);
  if (!database) throw new Error(`--database: expected one of ${CLIENTS.join(', ')}`);
  const [sessions, rounds] = [Number(values.sessions), Number(values.rounds)];

  const server = await boot('extension', await makeDatabase(database));
  process.stderr.write(`filling the tables with ${sessions} sessions of as many users\n`);
  await server.ask('fill', sessions);
  const { firstUser, lastRow } = await server.ask('spread');
  console.log(await server.ask('databaseVersion'));
  const get = await asAdmin(server);

  const nth = (share: number) => Math.round(lastRow - share * sessions);
  const reads: [name: string, query: Record<string, string | number>][] = [
    ['first page', {}],
    ['page in the middle', { before: nth(0.5) }],
    ['last page', { before: nth(1) + 26 }],
    ['page of one user', { user: firstUser + 7 }],
    ['search, one user matches', { search: 'user-7@bench.local' }],
    ['search, everyone matches', { search: 'bench.local' }],
    ['search, no one matches', { search: 'nobody@example.com' }],
  ];
  const times = reads.map(() => ({ query: [] as number[], http: [] as number[] }));
  // In turns, so that a busy machine disturbs all of them. The first round warms up, and does not count.
  for (let round = 0; round <= rounds; round += 1) {
    for (const [index, [name, { user, ...query }]] of reads.entries()) {
      // What reads a whole table need not be read so often.
      if (/no one|one user matches/.test(name) && round % 10 !== 1 && round > 1) continue;
      const userId = user as number | undefined;
      const alone = await server.ask('read', { ...query, userId });
      const all = await get({ ...query, ...(user !== undefined && { user }) });
      if (round === 0) continue;
      times[index]!.query.push(alone);
      times[index]!.http.push(all);
    }
  }
  const counting = [];
  for (let round = 0; round < 5; round += 1) counting.push(await get({}, '/count'));
  await server.stop();

  const table = new Table({
    head: ['', 'query, ms', 'request, ms'],
    style: { head: [], border: [], compact: true },
  });
  const shown = (values: number[]) => median(values).toFixed(2);
  reads.forEach(([name], index) => {
    table.push([name, shown(times[index]!.query), shown(times[index]!.http)]);
  });
  table.push(['count of active sessions', '', shown(counting)]);
  console.log(table.toString());

  const ratio = median(times[2]!.query) / median(times[0]!.query);
  console.log(`The last page's query costs ${ratio.toFixed(2)} times the first page's.`);
  if (ratio > MOST) throw new Error(`It may cost at most ${MOST} times as much.`);
}

/** @returns what sends a request as an admin, and says how many milliseconds it took */
async function asAdmin({ port }: Server) {
  const base = `http://127.0.0.1:${port}`;
  const admin = { firstname: 'A', lastname: 'B', email: 'a@bench.local', password: 'Correct-1' };
  const registered = await fetch(`${base}/admin/register-admin`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(admin),
  });
  const { token } = ((await registered.json()) as { data: { token: string } }).data;
  return async (query: Record<string, string | number>, path = ''): Promise<number> => {
    const search = new URLSearchParams(query as Record<string, string>);
    const began = performance.now();
    const response = await fetch(`${base}/users-permissions/sessions${path}?${search}`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    await response.text();
    if (!response.ok) throw new Error(`${path}?${search} returned ${response.status}.`);
    return performance.now() - began;
  };
}

main()
  .catch((error: Error) => {
    console.error(error.message);
    process.exitCode = 1;
  })
  .finally(() => void cleanUp());
