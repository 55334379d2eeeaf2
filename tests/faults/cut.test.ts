import { once } from 'events';
import { connect, createServer } from 'net';
import type { AddressInfo, Socket } from 'net';
import { setTimeout as sleep } from 'timers/promises';
import { runOnServer } from '../support/database';
import { createSite, createUser, FULL, PASSWORD, send, times } from './processes';
import type { Answer, Process, Site } from './processes';

let site: Site;
beforeEach(async () => {
  site = await createSite();
});
afterEach(() => site.end());

/** A browser that follows every change of the refresh cookie, including a clearing. */
class Browser {
  private jar = new Map<string, string>();

  /** All outcomes other than 200. */
  readonly faults: string[] = [];

  async signIn(process: Process, identifier: string): Promise<void> {
    const body = { identifier, password: PASSWORD };
    expect(this.take(await send(process, 'POST', '/api/auth/local', { body }))).toBe('200');
  }

  async refresh(process: Process): Promise<string> {
    const cookie = [...this.jar].map((pair) => pair.join('=')).join('; ');
    return this.take(await send(process, 'POST', '/api/token/refresh', { cookie }));
  }

  private take({ outcome, cookies }: Answer): string {
    if (outcome !== '200') this.faults.push(`${outcome} ${cookies}`.trim());
    for (const cookie of cookies) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie)!;
      if (value) this.jar.set(name, value);
      else this.jar.delete(name);
    }
    return outcome;
  }
}

/**
 * Lets 20 browsers refresh while `disturb` runs, and then each of them once more.
 *
 * @returns the failures meanwhile
 */
async function underLoad(process: Process, disturb: () => Promise<unknown>): Promise<string[]> {
  const { username } = await createUser(process);
  const browsers = await times(20, async () => new Browser());
  for (const browser of browsers) await browser.signIn(process, username);

  let over = false;
  const loads = browsers.map(async (browser) => {
    while (!over) {
      // A request to a server in trouble is retried after a moment.
      if ((await browser.refresh(process)) !== '200') await sleep(50);
    }
  });
  await sleep(300);
  await disturb();
  await sleep(300);
  over = true;
  await Promise.all(loads);

  const faults = browsers.flatMap((browser) => browser.faults.splice(0));
  for (const browser of browsers) expect(await browser.refresh(process)).toBe('200');
  expect(await process.ask('sids')).toHaveLength(browsers.length);
  return faults;
}

/** The allowed outcomes while the database is in trouble: no refusal, and no change of the cookie. */
const TROUBLE = /^(5\d\d|dropped)$/;

/** A proxy between Strapi and the database that can be closed for a while. */
async function createProxy(host: string, port: number) {
  const sockets = new Set<Socket>();
  let open = true;
  const proxy = createServer((incoming) => {
    if (!open) {
      incoming.destroy();
      return;
    }
    const outgoing = connect(port, host);
    for (const [one, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ]) {
      sockets.add(one);
      one.pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');

  return {
    port: (proxy.address() as AddressInfo).port,
    /** Cuts every connection, and refuses new ones for a while. */
    async cut(milliseconds: number) {
      open = false;
      sockets.forEach((socket) => socket.destroy());
      await sleep(milliseconds);
      open = true;
    },
    async close() {
      const closed = once(proxy, 'close');
      proxy.close();
      sockets.forEach((socket) => socket.destroy());
      await closed;
    },
  };
}

/** Makes the database server end the connections of the site's processes. */
async function endConnections({ database: { client, env } }: Site): Promise<void> {
  const name = env.DATABASE_NAME;
  if (client === 'postgres') {
    await runOnServer(
      client,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`
    );
  } else if (client === 'mysql') {
    const found = await runOnServer(
      client,
      `SELECT id FROM information_schema.processlist WHERE db = '${name}'`
    );
    // One may have closed by itself meanwhile.
    for (const { id } of found) await runOnServer(client, `KILL ${id}`).catch(() => {});
  }
}

const { TEST_DATABASE } = globalThis as unknown as { TEST_DATABASE: string };

if (TEST_DATABASE === 'sqlite') {
  test('A database file that another process locks for a while delays refreshes, and no one is signed out', async () => {
    const server = await site.start();
    const other = await site.start();
    const faults = await underLoad(server, async () => {
      for (let round = 0; round < (FULL ? 10 : 2); round += 1) {
        await other.ask('hold', 500);
        await sleep(300);
      }
    });
    expect(faults).toEqual([]);
  });
} else {
  test('Database connections that the server closes during refreshes clear no cookie and end no session', async () => {
    const server = await site.start();
    const faults = await underLoad(server, async () => {
      for (let round = 0; round < (FULL ? 30 : 5); round += 1) {
        await endConnections(site);
        await sleep(100 + Math.random() * 200);
      }
    });
    expect(faults.filter((fault) => !TROUBLE.test(fault))).toEqual([]);
    expect(faults.length).toBeGreaterThan(0);
  });

  test('A database that is unreachable for a while during refreshes clears no cookie and ends no session', async () => {
    const { DATABASE_HOST: host, DATABASE_PORT: port } = site.database.env;
    const proxy = await createProxy(host, Number(port));
    try {
      const server = await site.start({
        env: { DATABASE_HOST: '127.0.0.1', DATABASE_PORT: String(proxy.port) },
      });
      const faults = await underLoad(server, async () => {
        for (let round = 0; round < (FULL ? 10 : 2); round += 1) {
          await proxy.cut(1_000);
          await sleep(500);
        }
      });
      expect(faults.filter((fault) => !TROUBLE.test(fault))).toEqual([]);
      expect(faults.length).toBeGreaterThan(0);
    } finally {
      await proxy.close();
    }
  });
}
