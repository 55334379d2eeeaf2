import { createServer, request as send } from 'http';
import type { IncomingMessage, ServerResponse } from 'http';
import type { AddressInfo } from 'net';

/** An address for Strapi that stays the same, records what is asked, and can fail. */
export interface Gateway {
  url: string;
  /** Method, path and status of every completed request, such as `POST /api/token/refresh 200`. */
  asked: string[];
  /** Those that no page made: without the header that a browser adds. */
  askedByServers: string[];
  /** @param next a status to answer instead of Strapi; `dropped` to close connections; null to ask Strapi */
  fail(next: number | 'dropped' | null): void;
  /** Until the returned function is called, responses to requests of this path wait. Strapi has already answered them. */
  hold(path: string): { reached: Promise<void>; release(): void };
  /** After a test, also one that failed: undoes `fail` and `hold`. */
  reset(): void;
  stop(): Promise<void>;
}

/**
 * @param target the address of Strapi
 * @param stubs what answers in its place, by path. These requests are not recorded
 */
export async function createGateway(
  target: string,
  stubs: Record<string, (response: ServerResponse) => unknown> = {}
): Promise<Gateway> {
  const asked: string[] = [];
  const askedByServers: string[] = [];
  const holds = new Map<string, { reached(): void; release(): void; released: Promise<void> }>();
  let failure: number | 'dropped' | null = null;

  const server = createServer((incoming, outgoing) => {
    const path = incoming.url!.split('?')[0]!;
    if (stubs[path]) {
      stubs[path](outgoing);
      return;
    }
    if (failure === 'dropped') {
      incoming.socket.destroy();
      return;
    }
    if (failure) {
      asked.push(`${incoming.method} ${path} ${failure}`);
      outgoing.writeHead(failure, { 'content-type': 'application/json' }).end('{}');
      return;
    }
    const { method, headers } = incoming;
    const passOn = send(target + incoming.url, { method, headers }, (answer: IncomingMessage) => {
      const line = `${method} ${path} ${answer.statusCode}`;
      asked.push(line);
      if (!headers['sec-fetch-site']) askedByServers.push(line);
      const held = holds.get(path);
      held?.reached();
      void Promise.resolve(held?.released).then(() => {
        outgoing.writeHead(answer.statusCode!, answer.rawHeaders);
        answer.pipe(outgoing);
      });
    });
    passOn.on('error', () => incoming.socket.destroy());
    incoming.pipe(passOn);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    askedByServers,
    fail: (next) => (failure = next),
    reset() {
      failure = null;
      for (const { release } of holds.values()) release();
      holds.clear();
    },
    hold(path) {
      let release!: () => void;
      const released = new Promise<void>((resolve) => (release = resolve));
      const reached = new Promise<void>((resolve) => {
        holds.set(path, { reached: resolve, release, released });
      });
      return {
        reached,
        release() {
          holds.delete(path);
          release();
        },
      };
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
