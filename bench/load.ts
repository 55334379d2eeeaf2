import { Agent, request } from 'http';
import { createHistogram, performance } from 'perf_hooks';
import type { Tokens } from './sessions';

/** One connection, that does one thing after another. It owns a session, and always uses its newest token. */
export interface Connection {
  port: number;
  agent: Agent;
  tokens: Tokens;
}

/** What one round found; times are microseconds. */
export interface Round {
  operations: number;
  perSecond: number;
  p50: number;
  p99: number;
}

/** @returns false if there is nothing left to do */
export type Operation = (connection: Connection) => Promise<boolean | void>;

/**
 * Runs an operation on every connection, again and again, for some time. What has begun is waited for: a refresh that is cut
 * off would leave its connection with an old token.
 */
export async function measure(
  operation: Operation,
  connections: Connection[],
  seconds: number
): Promise<Round> {
  const histogram = createHistogram();
  const start = performance.now();
  const end = start + seconds * 1000;
  await Promise.all(
    connections.map(async (connection) => {
      let now = performance.now();
      do {
        const began = now;
        if ((await operation(connection)) === false) break;
        now = performance.now();
        histogram.record(Math.max(1, Math.round((now - began) * 1000)));
      } while (now < end);
    })
  );
  const elapsed = (performance.now() - start) / 1000;
  return {
    operations: histogram.count,
    perSecond: histogram.count / elapsed,
    p50: histogram.percentile(50),
    p99: histogram.percentile(99),
  };
}

/**
 * @returns the body of a 200
 * @throws Error for anything else
 */
export async function call(
  { port, agent }: Connection,
  method: 'GET' | 'POST',
  path: string,
  { body, token }: { body?: object; token?: string } = {}
): Promise<any> {
  const json = body && JSON.stringify(body);
  const { status, text } = await new Promise<{ status?: number; text: string }>(
    (resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port,
          agent,
          method,
          path,
          headers: {
            ...(json && {
              'Content-Type': 'application/json',
              'Content-Length': Buffer.byteLength(json),
            }),
            ...(token && { Authorization: `Bearer ${token}` }),
          },
        },
        (response) => {
          let received = '';
          response.setEncoding('utf8');
          response.on('data', (chunk) => (received += chunk));
          response.on('end', () => resolve({ status: response.statusCode, text: received }));
          response.on('error', reject);
        }
      );
      sent.on('error', reject);
      sent.end(json);
    }
  );
  if (status !== 200) throw new Error(`${method} ${path} answered ${status}: ${text}`);
  return JSON.parse(text);
}
