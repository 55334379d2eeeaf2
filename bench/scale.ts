/**
 * `npm run bench:scale`: the measurements behind docs/scale.md. One process and two on one PostgreSQL; what the database
 * does for a refresh; the cost of sign-ins, and of refreshing random sessions in a large table, by fillfactor and number of
 * indexes.
 */
import { randomBytes } from 'crypto';
import { Agent } from 'http';
import { parseArgs } from 'util';
import Table from 'cli-table3';
import { Client } from 'pg';
import { boot, cleanUp, makeDatabase } from './boot';
import type { Server } from './boot';
import { limit, load } from './load';
import type { Connection } from './load';
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
    // After a failure, the database is dropped while these are still connected.
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  const client = await connect();
  const [{ version }] = (await client.query('SELECT version()')).rows;
  console.log(version.split(' on ')[0]);

  tell('one process, then two');
  const alone = await refreshAt([first], 16, seconds);
  const both = await refreshAt([first, second], 8, seconds);
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
  // As wide as with a real browser.
  await client.query(
    `UPDATE ${TABLE} SET transport = 'cookie', user_agent = '${USER_AGENT}', ip = '203.0.113.7'`
  );
  await client.query(`VACUUM FULL ANALYZE ${TABLE}`);
  await client.query(`PREPARE refresh AS ${statement}`);
  console.log(await explain(client));
  print(['relation', 'size'], await sizes(client));

  const clients = await Promise.all(Array.from({ length: 8 }, connect));
  const rows: string[][] = [];
  const added: string[][] = [];
  const stress = async (indexes: number, fillfactor: number) => {
    tell(`${indexes} indexes, fillfactor ${fillfactor}: ${refreshes} refreshes of random sessions`);
    await client.query(`ALTER TABLE ${TABLE} SET (fillfactor = ${fillfactor})`);
    await client.query(`VACUUM FULL ANALYZE ${TABLE}`);
    const name = [String(indexes), String(fillfactor)];
    rows.push([...name, ...(await wear(client, clients, statement, refreshes))]);
    if (fillfactor === 100) added.push([...name, ...(await grow(client, clients, refreshes))]);
  };
  for (const fillfactor of [100, 90, 70]) await stress(3, fillfactor);
  for (const change of CONTENT_TYPE) await client.query(change);
  await client.query(`ALTER TABLE ${TABLE} SET (fillfactor = 100)`);
  await client.query(`VACUUM FULL ANALYZE ${TABLE}`);
  print(['relation, in 1.0.0', 'size'], await sizes(client));
  await stress(6, 100);
  print(['indexes', 'fillfactor', 'rows of sign-ins a second', 'WAL bytes for one'], added);
  print(
    [
      'indexes',
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

/** Refreshes against several processes at once, over `width` connections to each. */
async function refreshAt(servers: Server[], width: number, seconds: number) {
  const agent = new Agent({ keepAlive: true });
  const connections: Connection[] = [];
  for (const { port } of servers) {
    // The first one created the users for all of them.
    const opened = await servers[0].ask('open', width);
    connections.push(...opened.map((tokens) => ({ port, agent, tokens, spare: [] })));
  }
  const cpu = async () =>
    (await Promise.all(servers.map((server) => server.ask('cpu')))).reduce((a, b) => a + b);

  const before = await cpu();
  // They are all the same kind of server, and a connection knows its port.
  const { latency, elapsed } = await load(connections, refresh(servers[0]).operation, seconds);
  agent.destroy();
  return {
    perSecond: latency.count / elapsed,
    cpu: ((await cpu()) - before) / 1000 / latency.count,
  };
}

/** The statement of a refresh, as the server received it. */
async function statementOf(client: Client): Promise<string> {
  const { rows } = await client.query(
    `SELECT query FROM pg_stat_activity WHERE query LIKE 'UPDATE "${TABLE}"%' LIMIT 1`
  );
  return rows[0].query;
}

/** What Strapi adds for a content type, which sessions were in 1.0.0: columns, a value in the first, three indexes. */
const CONTENT_TYPE = [
  `ALTER TABLE ${TABLE} ADD document_id varchar(255), ADD locale varchar(255),
     ADD published_at timestamp(6), ADD created_by_id integer, ADD updated_by_id integer`,
  `UPDATE ${TABLE} SET document_id = left(sid, 24)`,
  `CREATE INDEX up_refresh_sessions_documents_idx ON ${TABLE} (document_id, locale, published_at)`,
  `CREATE INDEX up_refresh_sessions_created_by_id_fk ON ${TABLE} (created_by_id)`,
  `CREATE INDEX up_refresh_sessions_updated_by_id_fk ON ${TABLE} (updated_by_id)`,
];

/** A session picked from the table. PostgreSQL returns a bigint as text. */
interface Drawn {
  sid: string;
  generation: number;
  user_id: number;
  ends_at: string;
}

const draw = (count: number) =>
  `SELECT sid, generation, user_id, ends_at FROM ${TABLE} ORDER BY random() LIMIT ${count}`;

/** The values of a refresh now, in the order of the statement's parameters. */
const valuesFor = ({ sid, generation, user_id: userId, ends_at }: Drawn): (string | number)[] => {
  const now = Date.now();
  const endsAt = Number(ends_at);
  const written = [generation + 1, generation, now, now + 172_800_000];
  const device = ['cookie', USER_AGENT, '203.0.113.7'];
  return [...written, ...device, sid, userId, endsAt, endsAt + 1000];
};

const literal = (value: string | number) => (typeof value === 'number' ? value : `'${value}'`);

async function explain(client: Client): Promise<string> {
  const { rows } = await client.query(draw(3));
  let plan: string[] = [];
  // The first ones read pages that are not yet in memory.
  for (const row of rows) {
    const values = valuesFor(row).map(literal);
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

/** Adds the rows of `count` sign-ins, copied from others, one statement each, and deletes them again. */
async function grow(client: Client, clients: Client[], count: number): Promise<string[]> {
  const { rows } = await client.query(`SELECT * FROM ${TABLE} LIMIT 1`);
  const [{ newest }] = (await client.query(`SELECT max(id) AS newest FROM ${TABLE}`)).rows;
  const copied = Object.keys(rows[0]).filter((column) => column !== 'id' && column !== 'sid');
  const columns = copied.join(', ');
  const insert = `INSERT INTO ${TABLE} (${columns}, sid) SELECT ${columns}, $1 FROM ${TABLE} WHERE id = $2`;
  const written = async () =>
    +(await client.query(`SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS wal`)).rows[0].wal;

  const before = await written();
  const add = limit(count, (one: Client) => {
    const values = [randomBytes(16).toString('hex'), rows[0].id];
    return one.query({ name: `${copied.length} columns`, text: insert, values });
  });
  const { elapsed } = await load(clients, add);
  const wal = (await written()) - before;
  await client.query(`DELETE FROM ${TABLE} WHERE id > ${newest}`);
  return [whole(count / elapsed), whole(wal / count)];
}

/** Refreshes random sessions, twice as many as requested: in the first half, no page has been written since the checkpoint. */
async function wear(
  client: Client,
  clients: Client[],
  statement: string,
  refreshes: number
): Promise<string[]> {
  const { rows: drawn } = await client.query(draw(2 * refreshes));
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

  const run = (sessions: typeof drawn) =>
    load(
      clients,
      limit(sessions.length, async (one: Client, index) => {
        const values = valuesFor(sessions[index]);
        const { rowCount } = await one.query({ name: 'refresh', text: statement, values });
        if (rowCount !== 1) throw new Error('A refresh matched no session.');
      })
    );

  const before = await read();
  const { latency, elapsed } = await run(drawn.slice(0, refreshes));
  const middle = await read();
  const later = await run(drawn.slice(refreshes));
  latency.add(later.latency);
  // The server processes report their updates at most one second late.
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const after = await read();
  const share = (after.hot - before.hot) / (after.updates - before.updates);
  return [
    whole((2 * refreshes) / (elapsed + later.elapsed)),
    (latency.percentile(50) / 1000).toFixed(2),
    (latency.percentile(99) / 1000).toFixed(2),
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
