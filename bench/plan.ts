/** The measurements in order, and how the two servers of each are compared. */
import { Agent } from 'http';
import type { DatabaseClient } from '../tests/support/database';
import { boot, makeDatabase } from './boot';
import type { Server } from './boot';
import { limit, load, measure } from './load';
import type { Round, Side } from './load';
import { me, noOp, refresh, refreshAndMe, signIn, signOut } from './operations';

export interface Options {
  database: DatabaseClient;
  /** Table sizes, smallest first. */
  sessions: number[];
  rounds: number;
  seconds: number;
  /** How many times the session of the row count is refreshed. */
  refreshes: number;
  /** Refreshes of the soak; 0 for none. */
  soak: number;
  /** Measures only comparisons whose title contains this, such as `refresh, 1000 sessions, 8`. */
  only: string;
  nodeOptions: string[];
}

/** Two servers, measured in turns. */
export interface Comparison {
  name: string;
  sessions: number;
  connections: number;
  sides: [Rounds, Rounds];
}

export interface Rounds {
  name: string;
  rounds: Round[];
}

/** A measurement with one figure per server and no rounds. */
export interface Figure {
  name: string;
  unit: 'rows' | 'ms' | 'MB';
  values: { [server: string]: number };
}

/** Memory of our server while it repeatedly refreshes the same sessions, in MB, after each tenth of the run. */
export interface Soak {
  sessions: number;
  refreshes: number;
  /** Heap in use after garbage collection. */
  heap: number[];
  /** Total memory of the process. */
  rss: number[];
}

export interface Results {
  databaseVersion: string;
  comparisons: Comparison[];
  figures: Figure[];
  soak: Soak | null;
}

/**
 * Boots the servers and runs all requested measurements.
 *
 * @param tell is called at every step
 */
export async function runPlan(options: Options, tell: (step: string) => void): Promise<Results> {
  const start = async (kind: Server['kind']) => {
    tell(`booting ${kind}`);
    return boot(kind, await makeDatabase(options.database), options.nodeOptions);
  };
  const fill = async (servers: Server[], sessions: number) => {
    for (const server of servers) {
      tell(`filling ${server.kind} with ${sessions} sessions`);
      await server.ask('fill', sessions);
    }
  };
  const [smallest, ...larger] = options.sessions;
  const extension = await start('extension');
  const builtIn = await start('built-in');
  const stock = await start('stock');
  const comparisons: Comparison[] = [];

  const compare = async (
    name: string,
    sessions: number,
    connections: number,
    sides: [Side, Side]
  ) => {
    const title = `${name}, ${sessions} sessions, ${connections} at a time`;
    if (!title.includes(options.only)) return;
    const found = sides.map((side) => ({ name: side.name, rounds: [] as Round[] }));
    // The first round is a warm-up and does not count.
    for (let n = 0; n <= options.rounds; n += 1) {
      // Each goes first every other time, so that neither always runs after the other.
      const order = n % 2 === 0 ? [1, 0] : [0, 1];
      for (const i of order) {
        const side = sides[i];
        const step = n === 0 ? 'warming up' : `round ${n} of ${options.rounds}`;
        tell(`${title}: ${step}, ${side.name}`);
        const round = await measure(side, connections, options.seconds);
        if (n > 0) found[i].rounds.push(round);
      }
    }
    const [ours, others] = found;
    comparisons.push({ name, sessions, connections, sides: [ours, others] });
  };
  const compareRefreshes = async (sessions: number) => {
    for (const connections of [1, 8, 32]) {
      await compare('refresh', sessions, connections, [refresh(extension), refresh(builtIn)]);
    }
  };

  await fill([extension, builtIn, stock], smallest);
  // Otherwise the server measured first would be warmer than the others.
  for (const server of [extension, builtIn, stock]) {
    tell(`warming up ${server.kind}`);
    await measure(me(server), 8, options.seconds);
  }
  await compareRefreshes(smallest);
  await compare('refresh and a no-op', smallest, 8, [refresh(extension), noOp(extension)]);
  await compare('refresh, then GET /users/me', smallest, 8, [
    refreshAndMe(extension),
    refreshAndMe(builtIn),
  ]);
  await compare('GET /users/me', smallest, 8, [me(extension), me(stock)]);
  // Two at a time keep two cores busy hashing passwords.
  await compare('sign-in', smallest, 2, [signIn(extension), signIn(stock)]);
  await compare('sign-out', smallest, 8, [signOut(extension), signOut(builtIn)]);
  const figures: Figure[] = [];
  if (!options.only) figures.push(await countRows([extension, builtIn], options, tell));

  if (larger.length > 0) {
    const small = await start('extension');
    await fill([small], smallest);
    for (const sessions of larger) {
      await fill([extension, builtIn], sessions);
      await compareRefreshes(sessions);
      await compare('refresh', sessions, 8, [
        refresh(extension),
        { ...refresh(small), name: `itself with ${smallest}` },
      ]);
    }
    await small.stop();
  }

  const servers = [extension, builtIn, stock];
  const databaseVersion = await extension.ask('databaseVersion');
  if (!options.only) {
    figures.push(await weigh(servers));
    figures.push(await timeBoots(servers, options, tell));
  }
  const soak = options.soak > 0 ? await runSoak(options, tell) : null;
  return { databaseVersion, comparisons, figures, soak };
}

/** @throws Error for any answer that is not the expected one */
async function runSoak(options: Options, tell: (step: string) => void): Promise<Soak> {
  tell('booting extension for the soak');
  const server = await boot('extension', await makeDatabase(options.database), options.nodeOptions);
  await server.ask('fill', 1);
  const tokens = await server.ask('open', Math.min(SOAKED_SESSIONS, options.soak));
  const soak: Soak = { sessions: tokens.length, refreshes: options.soak, heap: [], rss: [] };
  const { operation } = refresh(server);
  const agent = new Agent({ keepAlive: true });
  const clients = [...Array(SOAK_WIDTH).keys()];
  const lap = Math.ceil(options.soak / 10);
  for (let done = 0; done < options.soak; done += lap) {
    const refreshNext = limit(lap, (_client: number, index) => {
      const session = tokens[(done + index) % tokens.length];
      return operation({ port: server.port, agent, tokens: session, spare: [] });
    });
    await load(clients, refreshNext);
    const { heap, rss } = await server.ask('memory');
    soak.heap.push(heap / 1e6);
    soak.rss.push(rss / 1e6);
    tell(`soak: ${done + lap} refreshes, ${Math.round(heap / 1e6)} MB in use`);
  }
  agent.destroy();
  const rows = await server.ask('rows');
  if (rows !== tokens.length + 1) throw new Error(`After the soak, there are ${rows} rows.`);
  await server.stop();
  return soak;
}

const SOAKED_SESSIONS = 5000;

const SOAK_WIDTH = 8;

async function countRows(
  servers: Server[],
  { refreshes }: Options,
  tell: (step: string) => void
): Promise<Figure> {
  const values: Figure['values'] = {};
  for (const server of servers) {
    tell(`${refreshes} refreshes of one session: ${server.kind}`);
    await server.ask('trim');
    const before = await server.ask('rows');
    const { operation, ...side } = refresh(server);
    await measure({ ...side, operation: limit(refreshes, operation) }, 1, Infinity);
    values[server.kind] = (await server.ask('rows')) - before;
  }
  return { name: `rows of one session after ${refreshes} refreshes`, unit: 'rows', values };
}

async function weigh(servers: Server[]): Promise<Figure> {
  const values: Figure['values'] = {};
  for (const server of servers) {
    values[server.kind] = (await server.ask('memory')).heap / 1e6;
  }
  return { name: 'memory in use after all that', unit: 'MB', values };
}

/** On the existing databases: the first boot, which creates the tables, happens only once in a project's life. */
async function timeBoots(
  servers: Server[],
  { rounds }: Options,
  tell: (step: string) => void
): Promise<Figure> {
  const times: { [server: string]: number[] } = {};
  for (const server of servers) await server.stop();
  for (let n = 0; n < Math.min(3, rounds); n += 1) {
    for (const { kind, database } of servers) {
      tell(`boot ${n + 1}: ${kind}`);
      const again = await boot(kind, database);
      (times[kind] ??= []).push(again.bootTime);
      await again.stop();
    }
  }
  const values = Object.fromEntries(
    Object.entries(times).map(([kind, found]) => [kind, median(found)])
  );
  return { name: 'boot', unit: 'ms', values };
}

/** The median. */
export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
