/**
 * `npm run bench:scale`: what docs/scale.md builds on. One process and two on one PostgreSQL; what the database does for a
 * refresh; what refreshes of random sessions of a large table cost it, by fillfactor.
 */
import { Agent } from 'http';
import { performance } from 'perf_hooks';
import { parseArgs } from 'util';
import Table from 'cli-table3';
import { Client } from 'pg';
import { boot, cleanUp, makeDatabase } from './boot';
import type { Server } from './boot';
import { refresh } from './operations';

const TABLE = 'up_refresh_sessions';

const USER_AGENT =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36';

const whole = (value: number) => Math.round(value).toLocaleString('en');
const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MB`;
const tell = (step: string) => process.stderr.write(`${step}\n`);

function print(head: string[], rows: string[][]): void {
  const table = new Table({ head, style: { head: [], border: [], compact: true } });
  table.push(...rows);
  console.log(table.toString());
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      sessions: { type: 'string', default: '1000000' },
      refreshes: { type: 'string', default: '100000' },
      seconds: { type: 'string', default: '10' },
    },
  });
  const [sessions, refreshes, seconds] = [values.sessions, values.refreshes, values.seconds].map(
    Number
  );

  const database = await makeDatabase('postgres');
  const first = await boot('extension', database);
  tell(`filling the table with ${sessions} sessions`);
  await first.ask('fill', sessions);
  const second = await boot('extension', database);
  const { DATABASE_HOST, DATABASE_PORT, DATABASE_USERNAME, DATABASE_PASSWORD, DATABASE_NAME } =
    database.env;
  const connect = async () => {
    const client = new Client({
      host: DATABASE_HOST,
      port: Number(DATABASE_PORT),
      user: DATABASE_USERNAME,
      password: DATABASE_PASSWORD,
      database: DATABASE_NAME,
    });
    await client.connect();
    return client;
  };
  const client = await connect();
  const [{ version }] = (await client.query('SELECT version()')).rows;
  console.log(version.split(' on ')[0]);

  tell('one process, then two');
  const alone = await load([first], 16, seconds);
  const both = await load([first, second], 8, seconds);
  print(
    ['processes', 'refreshes a second', 'CPU ms of the process for one'],
    [alone, both].map(({ perSecond, cpu }, index) => [
      String(index + 1),
      whole(perSecond),
      cpu.toFixed(2),
    ])
  );

  const statement = await statementOf(client);
  await first.stop();
  await second.stop();
  // As wide as a browser makes them.
  await client.query(
    `UPDATE ${TABLE} SET transport = 'cookie', user_agent = '${USER_AGENT}', ip = '203.0.113.7'`
  );
  await client.query(`VACUUM FULL ANALYZE ${TABLE}`);
  await client.query(`PREPARE refresh AS ${statement}`);
  console.log(await explain(client));
  print(['relation', 'size'], await sizes(client));

  const clients = await Promise.all(Array.from({ length: 8 }, connect));
  const rows: string[][] = [];
  for (const fillfactor of [100, 90, 70]) {
    tell(`fillfactor ${fillfactor}: ${refreshes} refreshes of random sessions`);
    await client.query(`ALTER TABLE ${TABLE} SET (fillfactor = ${fillfactor})`);
    await client.query(`VACUUM FULL ANALYZE ${TABLE}`);
    rows.push([String(fillfactor), ...(await wear(client, clients, statement, refreshes))]);
  }
  print(
    [
      'fillfactor',
      'statements a second',
      'p50 ms',
      'p99 ms',
      'WAL bytes, just after a checkpoint',
      'WAL bytes, later',
      'in place (HOT)',
      'table before',
      'table after',
    ],
    rows
  );
  await Promise.all([client, ...clients].map((one) => one.end()));
}

/** Refreshes at some processes at once, over `width` connections to each. */
async function load(servers: Server[], width: number, seconds: number) {
  const agent = new Agent({ keepAlive: true });
  const connections: [Server, any][] = [];
  for (const server of servers) {
    // The same users for all of them, whom the first made.
    const opened = await servers[0].ask('open', width);
    connections.push(
      ...opened.map((tokens): [Server, any] => [
        server,
        { port: server.port, agent, tokens, spare: [] },
      ])
    );
  }
  const cpu = async () =>
    (await Promise.all(servers.map((server) => server.ask('cpu')))).reduce((a, b) => a + b);

  const before = await cpu();
  const began = performance.now();
  let done = 0;
  await Promise.all(
    connections.map(async ([server, connection]) => {
      const { operation } = refresh(server);
      while (performance.now() - began < seconds * 1000) {
        await operation(connection);
        done += 1;
      }
    })
  );
  const elapsed = (performance.now() - began) / 1000;
  agent.destroy();
  return { perSecond: done / elapsed, cpu: ((await cpu()) - before) / 1000 / done };
}

/** The refresh's statement, as the server got it. */
async function statementOf(client: Client): Promise<string> {
  const { rows } = await client.query(
    `SELECT query FROM pg_stat_activity WHERE query LIKE 'UPDATE "${TABLE}"%' LIMIT 1`
  );
  return rows[0].query;
}

/** The values of a refresh now, in the order of their numbers in the statement. */
const valuesFor = (sid: string, generation: number): (string | number)[] => {
  const now = Date.now();
  return [now, now + 172_800_000, 'cookie', USER_AGENT, '203.0.113.7', sid, generation];
};

const literal = (value: string | number) => (typeof value === 'number' ? value : `'${value}'`);

async function explain(client: Client): Promise<string> {
  const { rows } = await client.query(
    `SELECT sid, generation FROM ${TABLE} ORDER BY random() LIMIT 3`
  );
  let plan: string[] = [];
  // The first ones read what is not in memory yet.
  for (const { sid, generation } of rows) {
    const values = valuesFor(sid, generation).map(literal);
    const result = await client.query(
      `EXPLAIN (ANALYZE, BUFFERS, WAL) EXECUTE refresh(${values.join(', ')})`
    );
    plan = result.rows.map((row) => row['QUERY PLAN']);
  }
  return plan.join('\n');
}

async function sizes(client: Client): Promise<string[][]> {
  const { rows } = await client.query(
    `SELECT c.relname AS name, pg_relation_size(c.oid) AS bytes FROM pg_class c
     LEFT JOIN pg_index i ON i.indexrelid = c.oid
     WHERE c.relname = '${TABLE}' OR i.indrelid = '${TABLE}'::regclass ORDER BY 2 DESC`
  );
  return rows.map(({ name, bytes }) => [name, megabytes(Number(bytes))]);
}

/** Refreshes random sessions, twice as many as asked for: in the first half every page is new since the checkpoint. */
async function wear(
  client: Client,
  clients: Client[],
  statement: string,
  refreshes: number
): Promise<string[]> {
  const { rows: drawn } = await client.query(
    `SELECT sid, generation FROM ${TABLE} ORDER BY random() LIMIT ${2 * refreshes}`
  );
  await client.query('CHECKPOINT');
  const read = async () => {
    await client.query('SELECT pg_stat_clear_snapshot()');
    const [row] = (
      await client.query(
        `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS wal, n_tup_upd AS updates,
           n_tup_hot_upd AS hot, pg_relation_size(relid) AS bytes
         FROM pg_stat_user_tables WHERE relname = '${TABLE}'`
      )
    ).rows;
    return { wal: +row.wal, updates: +row.updates, hot: +row.hot, bytes: +row.bytes };
  };

  const latencies: number[] = [];
  const run = async (sessions: typeof drawn) => {
    const began = performance.now();
    await Promise.all(
      clients.map(async (one, index) => {
        for (let n = index; n < sessions.length; n += clients.length) {
          const from = performance.now();
          const { rowCount } = await one.query({
            name: 'refresh',
            text: statement,
            values: valuesFor(sessions[n].sid, sessions[n].generation),
          });
          if (rowCount !== 1) throw new Error('A refresh found no session.');
          latencies.push(performance.now() - from);
        }
      })
    );
    return (performance.now() - began) / 1000;
  };

  const before = await read();
  const elapsed = await run(drawn.slice(0, refreshes));
  const middle = await read();
  const later = await run(drawn.slice(refreshes));
  // The servers' processes tell of their updates a second late at most.
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const after = await read();
  latencies.sort((a, b) => a - b);
  const share = (after.hot - before.hot) / (after.updates - before.updates);
  return [
    whole((2 * refreshes) / (elapsed + later)),
    latencies[latencies.length >> 1].toFixed(2),
    latencies[Math.floor(latencies.length * 0.99)].toFixed(2),
    whole((middle.wal - before.wal) / refreshes),
    whole((after.wal - middle.wal) / refreshes),
    `${(100 * share).toFixed(0)} %`,
    megabytes(before.bytes),
    megabytes(after.bytes),
  ];
}

main()
  .catch((error: Error) => {
    console.error(error.message);
    process.exitCode = 1;
  })
  .finally(() => void cleanUp());
