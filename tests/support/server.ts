import path from 'path';
import { setTimeout as sleep } from 'timers/promises';
import { createStrapi } from '@strapi/strapi';
import type { Core } from '@strapi/strapi';
import request from 'supertest';
import { createDatabase } from './database';
import type { Database } from './database';
import { hashPasswordsQuickly, setEnvironment } from './environment';
import { copyTemplate, databaseClient } from './template';

const ROOT = path.resolve(__dirname, '../..');

/** The moment at which the clock of every test stands still until it is moved. */
const START = Date.UTC(2030, 0, 1, 12);

export const PASSWORD = 'correct horse 1';

export interface Server {
  strapi: Core.Strapi;
  /** A client without cookies. */
  api: ReturnType<typeof request>;
  /** A browser: keeps its cookies. */
  browser(): ReturnType<typeof request.agent>;
  /** Makes a user of this server's own. */
  user(fields?: Record<string, unknown>): Promise<{ id: number; username: string; email: string }>;
  /** All rows of the sessions' table, oldest first. */
  rows(): Promise<Record<string, any>[]>;
  /** What was logged since the boot, without colours. */
  log: string[];
  stop(): Promise<void>;
}

/**
 * Boots a real Strapi with the extension, with its own database and a frozen `Date`.
 *
 * @param env variables besides the secrets
 * @param database one that was made before, and is not dropped; otherwise a new one, with Strapi's tables already in it
 * @param configure changes the configuration as the project's own config files would
 * @param folder a project in JavaScript; this repository otherwise
 */
export async function boot(
  env: Record<string, string> = {},
  configure: (strapi: Core.Strapi) => unknown = () => {},
  database?: Database,
  folder?: string
): Promise<Server> {
  const { env: connection, drop } = database ?? (await copyTemplate());
  setEnvironment({ ...connection, ...env });

  const strapi = createStrapi({
    appDir: folder ?? ROOT,
    distDir: folder ?? path.join(ROOT, 'dist'),
    serveAdminPanel: false,
  });
  const log: string[] = [];
  for (const level of ['info', 'warn', 'error', 'http'] as const) {
    strapi.log[level] = ((entry: unknown) => {
      log.push(`${level}: ${entry instanceof Error ? entry.stack : String(entry)}`);
      return strapi.log;
    }) as never;
  }
  const stop = async () => {
    jest.useRealTimers();
    await settled(strapi);
    await strapi.destroy();
    if (!database) await drop();
  };

  try {
    const bootstrap = strapi.bootstrap.bind(strapi);
    strapi.bootstrap = async () => {
      hashPasswordsQuickly(strapi);
      await configure(strapi);
      return bootstrap();
    };
    await strapi.load();
    strapi.server.mount();
    await new Promise<void>((resolve) => {
      strapi.server.httpServer.listen(0, '127.0.0.1', resolve);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  freeze(START);

  const server = strapi.server.httpServer;
  const role = await strapi.db
    .query('plugin::users-permissions.role')
    .findOne({ where: { type: 'authenticated' } });
  let users = 0;

  return {
    strapi,
    log,
    api: request(server),
    browser: () => request.agent(server),
    async user(fields = {}) {
      users += 1;
      const name = `user-${users}`;
      return strapi.service('plugin::users-permissions.user')!.add({
        username: name,
        email: `${name}@test.local`,
        password: PASSWORD,
        provider: 'local',
        confirmed: true,
        role: role.id,
        ...fields,
      });
    },
    rows: () => strapi.db.connection('up_refresh_sessions').orderBy('id'),
    stop,
  };
}

/** Strapi tells of documents behind the answer's back, with queries that would find the database closed. */
async function settled({ db }: Core.Strapi): Promise<void> {
  const { pool } = db.connection.client;
  for (let idle = 0; pool && idle < 3;) {
    await sleep(10);
    idle = pool.numUsed() + pool.numPendingAcquires() > 0 ? 0 : idle + 1;
  }
}

/** An empty database of the kind that this run of the suite is for. */
export const testDatabase = (): Promise<Database> => createDatabase(databaseClient());

/** Stops the clock at a moment. Only `Date`: sockets and the database's pool go on. */
function freeze(at: number): void {
  jest.useFakeTimers({
    now: at,
    doNotFake: [
      'hrtime',
      'nextTick',
      'performance',
      'queueMicrotask',
      'setImmediate',
      'clearImmediate',
      'setInterval',
      'clearInterval',
      'setTimeout',
      'clearTimeout',
    ],
  });
}

/** Moves the clock, in seconds. */
export function pass(seconds: number): void {
  jest.setSystemTime(Date.now() + seconds * 1000);
}

/** Does something that the database refuses, because a table is missing. Other files may use this Strapi after a failure. */
export async function withoutTable(
  { strapi }: Server,
  table: string,
  work: () => Promise<unknown>
): Promise<void> {
  const { connection } = strapi.db;
  await connection.schema.renameTable(table, 'elsewhere');
  try {
    await work();
  } finally {
    await connection.schema.renameTable('elsewhere', table);
  }
}

export const MINUTE = 60;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
