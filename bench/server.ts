/** One of the measured servers, in its own process: boots, and answers the benchmark's requests over IPC. */
import type { AddressInfo } from 'net';
import { performance } from 'perf_hooks';
import { createStrapi } from '@strapi/strapi';
import type { Core } from '@strapi/strapi';
import { createReads } from '../src/extensions/users-permissions/admin/queries';
import { answerParent } from '../tests/support/ipc';
import { Seed } from './seed';
import type { Kind } from './seed';

/** The benchmark's requests, each with at most one argument. */
const createAnswers = (strapi: Core.Strapi, seed: Seed) => ({
  fill: (count: number) => seed.fill(count),
  trim: () => seed.trim(),
  open: (count: number) => seed.open(count),
  rows: () => seed.rows(),
  spread: () => seed.spread(),

  /** Milliseconds for an admin's page of sessions, without HTTP. */
  async read(filter: Parameters<ReturnType<typeof createReads>['sessions']>[0]) {
    const reads = createReads(strapi);
    const start = performance.now();
    await reads.sessions(filter, Date.now());
    return performance.now() - start;
  },

  /** CPU time of this process so far, in microseconds. */
  cpu() {
    const { user, system } = process.cpuUsage();
    return user + system;
  },

  /** Bytes: the heap in use after garbage collection, and the total memory of the process. */
  memory() {
    global.gc!();
    const { heapUsed: heap, rss } = process.memoryUsage();
    return { heap, rss };
  },

  async databaseVersion(): Promise<string> {
    const { client } = strapi.db.dialect;
    const version = client === 'sqlite' ? 'sqlite_version()' : 'version()';
    const query = strapi.db.connection.select(strapi.db.connection.raw(`${version} as version`));
    const [row] = (await query) as { version: string }[];
    // Some also include where they were compiled.
    return `${client} ${row.version.match(/\d\S*/)![0]}`;
  },

  stop: () => void strapi.destroy().finally(() => process.exit()),
});

export type Answers = ReturnType<typeof createAnswers>;

export interface Booted {
  port: number;
  /** Milliseconds from `createStrapi` until it listens. */
  bootTime: number;
}

/** The fixed cost of any Strapi request: the same middlewares and composed endpoint as the refresh route, and a parsed body. */
const NO_OP = {
  type: 'content-api',
  routes: [
    {
      method: 'POST',
      path: '/no-op',
      handler: (ctx: any) => ctx.send({ ok: Boolean(ctx.request.body.refreshToken) }),
      info: { type: 'content-api' },
      config: { auth: false },
    },
  ],
};

async function boot() {
  const [kind, appDir, distDir] = process.argv.slice(2) as [Kind, string, string];
  const began = performance.now();
  const strapi = createStrapi({ appDir, distDir, serveAdminPanel: false });
  const bootstrap = strapi.bootstrap.bind(strapi);
  strapi.bootstrap = () => {
    if (kind === 'built-in') {
      strapi.config.set('plugin::users-permissions.jwtManagement', 'refresh');
    }
    strapi.server.routes(NO_OP as any);
    return bootstrap();
  };
  await strapi.load();
  strapi.server.mount();
  // A process that is busy for seconds would consider its clients idle and reset their connections.
  strapi.server.httpServer.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => {
    strapi.server.httpServer.listen(0, '127.0.0.1', resolve);
  });
  const bootTime = performance.now() - began;

  const { port } = strapi.server.httpServer.address() as AddressInfo;
  const booted: Booted = { port, bootTime };
  return { answers: createAnswers(strapi, new Seed(strapi, kind)), booted };
}

// Ctrl-C reaches the whole process group; the benchmark stops its servers itself.
process.on('SIGINT', () => {});

void answerParent(boot);
