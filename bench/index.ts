/**
 * `npm run bench`: this extension beside Strapi's own `jwtManagement: 'refresh'`, and beside Strapi as it is by default, each in a
 * process and on a database of its own. They are measured in alternating rounds, so that a busy machine disturbs both.
 */
import { writeFileSync } from 'fs';
import { Agent } from 'http';
import os from 'os';
import { parseArgs } from 'util';
import Table from 'cli-table3';
import { CLIENTS } from '../tests/support/database';
import { call, measure } from './load';
import type { Connection, Operation, Round } from './load';
import { boot, cleanUp, database } from './process';
import type { Server } from './process';
import { PASSWORD } from './sessions';

interface Options {
  client: (typeof CLIENTS)[number];
  sizes: number[];
  rounds: number;
  seconds: number;
  only: string;
  json?: string;
  serverOptions: string[];
}

/** A round with the server's CPU time, in microseconds an operation. */
type Figures = Round & { cpu: number };

interface Side {
  name: string;
  server: Server;
  operation: Operation;
}

interface Measurement {
  name: string;
  sessions: number;
  connections: number;
  sides: { name: string; rounds: Figures[] }[];
}

const REFRESH = { extension: '/api/token/refresh', 'built-in': '/api/auth/refresh', stock: '' };

async function refresh(connection: Connection, path: string): Promise<void> {
  const body = { refreshToken: connection.tokens.refreshToken };
  const { jwt, refreshToken } = await call(connection, 'POST', path, { body });
  if (!jwt || !refreshToken || refreshToken === body.refreshToken) {
    throw new Error(`POST ${path} answered no new tokens.`);
  }
  Object.assign(connection.tokens, { jwt, refreshToken });
}

async function me(connection: Connection): Promise<void> {
  const { jwt: token, user } = connection.tokens;
  const { username } = await call(connection, 'GET', '/api/users/me', { token });
  if (username !== user) throw new Error(`GET /api/users/me answered ${username}, not ${user}.`);
}

const refreshing = (server: Server): Side => ({
  name: server.kind,
  server,
  operation: (connection) => refresh(connection, REFRESH[server.kind]),
});

const refreshingAndUsing = (server: Server): Side => ({
  name: server.kind,
  server,
  async operation(connection) {
    await refresh(connection, REFRESH[server.kind]);
    await me(connection);
  },
});

const using = (server: Server): Side => ({ name: server.kind, server, operation: me });

const noOp = (server: Server): Side => ({
  name: 'no-op',
  server,
  async operation(connection) {
    const body = { refreshToken: connection.tokens.refreshToken };
    const { ok } = await call(connection, 'POST', '/api/no-op', { body });
    if (ok !== true) throw new Error('POST /api/no-op did not see its body.');
  },
});

const signingIn = (server: Server): Side => ({
  name: server.kind,
  server,
  async operation(connection) {
    const { user: identifier } = connection.tokens;
    const body = {
      identifier,
      password: PASSWORD,
      ...(server.kind === 'extension' && { requestRefresh: true }),
    };
    const { jwt, refreshToken } = await call(connection, 'POST', '/api/auth/local', { body });
    if (!jwt || (server.kind === 'extension' && !refreshToken)) {
      throw new Error('POST /api/auth/local answered no tokens.');
    }
  },
});

/** One round of one side. */
async function round({ server, operation }: Side, width: number, seconds: number) {
  await server.ask('trim');
  const sessions = await server.ask('open', width);
  const agent = new Agent({ keepAlive: true });
  const connections = sessions.map((tokens) => ({ port: server.port, agent, tokens }));
  const before = await server.ask('cpu');
  const result = await measure(operation, connections, seconds);
  const cpu = ((await server.ask('cpu')) - before) / result.operations;
  agent.destroy();
  return { ...result, cpu };
}

/** Measures two sides in turns, after a round to warm up that does not count. */
async function compare(
  name: string,
  sessions: number,
  width: number,
  sides: Side[],
  { rounds, seconds }: Options
): Promise<Measurement> {
  const found = sides.map((side) => ({ name: side.name, rounds: [] as Figures[] }));
  for (let n = 0; n <= rounds; n += 1) {
    for (const [i, side] of sides.entries()) {
      progress(`${name}: ${n === 0 ? 'warming up' : `round ${n} of ${rounds}`}, ${side.name}`);
      const figures = await round(side, width, n === 0 ? seconds / 2 : seconds);
      if (n > 0) found[i].rounds.push(figures);
    }
  }
  return { name, sessions, connections: width, sides: found };
}

function progress(step: string): void {
  const { isTTY, columns } = process.stderr;
  process.stderr.write(isTTY ? `\r\x1b[K${step.slice(0, columns - 1)}` : `${step}\n`);
}

const median = (values: number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      database: { type: 'string', default: 'sqlite' },
      sessions: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '5' },
      only: { type: 'string', default: '' },
      json: { type: 'string' },
      'server-options': { type: 'string', default: '' },
    },
  });
  const client = CLIENTS.find((name) => name === values.database);
  if (!client) throw new Error(`--database ${values.database}: expected ${CLIENTS.join(', ')}.`);
  const positive = (name: string, text: string) => {
    if (!(Number(text) > 0)) throw new Error(`--${name} ${text}: expected a number above 0.`);
    return Number(text);
  };
  return {
    client,
    sizes: values.sessions.split(',').map((text) => positive('sessions', text)),
    rounds: positive('rounds', values.rounds),
    seconds: positive('seconds', values.seconds),
    only: values.only,
    json: values.json,
    serverOptions: values['server-options'].split(' ').filter(Boolean),
  };
}

async function run(options: Options): Promise<void> {
  const { client, sizes, serverOptions } = options;
  const started: Server[] = [];
  for (const kind of ['extension', 'built-in', 'stock'] as const) {
    progress(`Booting: ${kind}`);
    started.push(await boot(kind, await database(client), serverOptions));
  }
  const [extension, builtIn, stock] = started;
  const found: Measurement[] = [];
  for (const size of sizes) {
    for (const server of started) {
      progress(`Opening ${size} sessions: ${server.kind}`);
      await server.ask('seed', size);
    }
    const plan: [string, number, Side[]][] = [
      ['refresh', 1, [refreshing(extension), refreshing(builtIn)]],
      ['refresh', 8, [refreshing(extension), refreshing(builtIn)]],
      ['refresh', 32, [refreshing(extension), refreshing(builtIn)]],
    ];
    if (size === sizes[0]) {
      plan.push(
        ['refresh, no-op', 8, [refreshing(extension), noOp(extension)]],
        [
          'refresh and GET /users/me',
          8,
          [refreshingAndUsing(extension), refreshingAndUsing(builtIn)],
        ],
        ['GET /users/me', 8, [using(extension), using(stock)]],
        ['sign in', 2, [signingIn(extension), signingIn(stock)]]
      );
    }
    for (const [name, width, sides] of plan) {
      const title = `${name} (${size} sessions, ${width} at a time)`;
      if (!title.includes(options.only)) continue;
      found.push(await compare(title, size, width, sides, options));
    }
  }

  const table = new Table({
    style: { head: [], border: [] },
    head: [
      '',
      'op/s',
      'p50 ms',
      'p99 ms',
      'CPU µs/op',
      'than',
      'op/s',
      'p50 ms',
      'p99 ms',
      'CPU µs/op',
      'ratio',
      'spread',
    ],
  });
  const cells = ({ rounds }: { rounds: Figures[] }) => [
    median(rounds.map(({ perSecond }) => perSecond)).toFixed(1),
    (median(rounds.map(({ p50 }) => p50)) / 1000).toFixed(2),
    (median(rounds.map(({ p99 }) => p99)) / 1000).toFixed(2),
    median(rounds.map(({ cpu }) => cpu)).toFixed(0),
  ];
  for (const {
    name,
    sides: [ours, other],
  } of found) {
    const ratios = ours.rounds.map(({ perSecond }, n) => perSecond / other.rounds[n].perSecond);
    table.push([
      name,
      ...cells(ours),
      other.name,
      ...cells(other),
      median(ratios).toFixed(2),
      `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`,
    ]);
  }
  progress('');
  console.log(table.toString());
  if (options.json) {
    const [{ model }] = os.cpus();
    const machine = {
      cpu: model,
      cores: os.cpus().length,
      node: process.version,
      database: await extension.ask('database'),
    };
    writeFileSync(options.json, JSON.stringify({ machine, options, found }, null, 2));
  }
}

async function main(): Promise<void> {
  process.once('SIGINT', () => void cleanUp().finally(() => process.exit(130)));
  try {
    await run(readOptions());
  } finally {
    await cleanUp();
  }
}

main().catch((error) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
