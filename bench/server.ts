/** One of the servers that are measured, in a process of its own; it answers the benchmark's questions over IPC. */
import type { AddressInfo } from 'net';
import { performance } from 'perf_hooks';
import { createStrapi } from '@strapi/strapi';
import type { Core } from '@strapi/strapi';
import { open, seed, TABLES, trim } from './sessions';
import type { Kind } from './sessions';

/** What the benchmark may ask. */
const questions = (strapi: Core.Strapi, kind: Kind) => ({
  /** CPU time of this process so far, in microseconds. */
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
  /** Memory in bytes, after a collection of garbage. */
  memory: () => {
    global.gc!();
    const { rss, heapUsed } = process.memoryUsage();
    return { rss, heapUsed };
  },
  seed: (count: number) => seed(strapi, kind, count),
  trim: () => trim(strapi, kind),
  open: (count: number) => open(strapi, kind, count),
  rows: async () => {
    const { table } = TABLES[kind];
    const [{ count }] = await strapi.db.connection(table).count({ count: '*' });
    return Number(count);
  },
  database: async () => {
    const version = await strapi.db.connection.raw(VERSION[strapi.db.dialect.client]);
    const [row] = version.rows ?? (Array.isArray(version[0]) ? version[0] : version);
    return String(Object.values(row)[0]);
  },
});

export type Questions = ReturnType<typeof questions>;

const VERSION: Record<string, string> = {
  sqlite: "SELECT 'SQLite ' || sqlite_version() AS version",
  postgres: 'SELECT version()',
  mysql: 'SELECT version()',
};

async function main(): Promise<void> {
  const [kind, appDir, distDir] = process.argv.slice(2) as [Kind, string, string];
  const started = performance.now();
  const strapi = createStrapi({ appDir, distDir, serveAdminPanel: false });

  const bootstrap = strapi.bootstrap.bind(strapi);
  strapi.bootstrap = async () => {
    if (kind === 'built-in') {
      strapi.config.set('plugin::users-permissions.jwtManagement', 'refresh');
    }
    // What every request to Strapi costs: the same middlewares, the same composed endpoint, a parsed body.
    strapi.server.routes({
      type: 'content-api',
      routes: [
        {
          method: 'POST',
          path: '/no-op',
          handler: (ctx: any) => ctx.send({ ok: Boolean(ctx.request.body) }),
          info: { type: 'content-api' },
          config: { auth: false },
        },
      ],
    } as any);
    return bootstrap();
  };
  await strapi.load();
  strapi.server.mount();
  await new Promise<void>((resolve) => {
    strapi.server.httpServer.listen(0, '127.0.0.1', resolve);
  });
  const bootTime = performance.now() - started;

  const answers = questions(strapi, kind) as Record<string, (argument: any) => unknown>;
  process.on('message', async ({ id, question, argument }: any) => {
    if (question === 'stop') {
      await strapi.destroy().finally(() => process.exit());
      return;
    }
    try {
      process.send!({ id, answer: await answers[question](argument) });
    } catch (error) {
      process.send!({ id, error: String(error) });
    }
  });
  const { port } = strapi.server.httpServer.address() as AddressInfo;
  process.send!({ id: 0, answer: { port, bootTime } });
}

// Ctrl-C reaches the whole group; the benchmark tells its servers when to stop.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit());

main().catch((error) => {
  console.error(error);
  process.send!({ id: 0, error: String(error) }, () => process.exit(1));
});
