import { Agent, request } from 'http';
import { createHistogram, performance } from 'perf_hooks';
import type { RecordableHistogram } from 'perf_hooks';
import type { Tokens } from './seed';
import type { Server } from './boot';

/** One client, which makes one request after another. It has its own sessions and always uses their newest tokens. */
export interface Connection {
  port: number;
  agent: Agent;
  tokens: Tokens;
  /** Sessions opened in advance for operations that use one up; shared by all connections. */
  spare: Tokens[];
}

/** The results of one round. Times are in microseconds. */
export interface Round {
  operations: number;
  perSecond: number;
  p50: number;
  p99: number;
  /** CPU time of the server process per operation. */
  cpu: number;
}

/** What is measured, on one server. An operation returns false if there is nothing left to do. */
export interface Side {
  name: string;
  server: Server;
  operation(connection: Connection): Promise<boolean | void>;
  /** How many sessions one round uses up. */
  spare?: number;
}

/** What `load` measured. */
export interface Load {
  /** Microseconds. */
  latency: RecordableHistogram;
  /** Seconds. */
  elapsed: number;
}

/**
 * Runs an operation in all clients concurrently and repeatedly, until the time is up or the operation returns false. Waits
 * for and counts operations that have started: an aborted refresh would leave its connection with an old token, which
 * ordinary load generators ignore.
 */
export async function load<Client>(
  clients: Client[],
  operation: (client: Client) => Promise<boolean | void>,
  seconds = Infinity
): Promise<Load> {
  const latency = createHistogram();
  const start = performance.now();
  const end = start + seconds * 1000;
  await Promise.all(
    clients.map(async (client) => {
      for (let began = start; began < end;) {
        if ((await operation(client)) === false) break;
        const now = performance.now();
        latency.record(Math.max(1, Math.round((now - began) * 1000)));
        began = now;
      }
    })
  );
  return { latency, elapsed: (performance.now() - start) / 1000 };
}

/** Limits an operation to `count` runs across all clients. It gets the number of the run, from 0. */
export function limit<Client>(
  count: number,
  operation: (client: Client, index: number) => Promise<unknown>
): (client: Client) => Promise<boolean> {
  let next = 0;
  return async (client) => {
    if (next === count) return false;
    const index = next;
    next += 1;
    await operation(client, index);
    return true;
  };
}

/**
 * One round on one server.
 *
 * @throws Error for any unexpected response
 */
export async function measure(
  { server, operation, spare: used = 0 }: Side,
  width: number,
  seconds: number
): Promise<Round> {
  await server.ask('trim');
  const opened = await server.ask('open', width + used);
  const agent = new Agent({ keepAlive: true });
  const spare = opened.splice(width);
  const connections = opened.map((tokens) => ({ port: server.port, agent, tokens, spare }));

  const cpuBefore = await server.ask('cpu');
  const { latency, elapsed } = await load(connections, operation, seconds);
  const cpu = (await server.ask('cpu')) - cpuBefore;
  agent.destroy();

  return {
    operations: latency.count,
    perSecond: latency.count / elapsed,
    p50: latency.percentile(50),
    p99: latency.percentile(99),
    cpu: cpu / latency.count,
  };
}

/**
 * One HTTP call.
 *
 * @returns the JSON of the response
 * @throws Error if the status is not 200, with the response
 */
export async function call(
  { port, agent }: Connection,
  method: 'GET' | 'POST',
  path: string,
  { body, token }: { body?: object; token?: string }
): Promise<any> {
  const json = body && JSON.stringify(body);
  const headers = {
    ...(json && { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(json) }),
    ...(token && { Authorization: `Bearer ${token}` }),
  };
  const { status, text } = await new Promise<{ status?: number; text: string }>(
    (resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, agent, method, path, headers }, (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk) => (text += chunk));
        answer.on('end', () => resolve({ status: answer.statusCode, text }));
        answer.on('error', reject);
      });
      sent.on('error', reject);
      sent.end(json);
    }
  );
  if (status !== 200) throw new Error(`${method} ${path} returned ${status}: ${text}`);
  return JSON.parse(text);
}
