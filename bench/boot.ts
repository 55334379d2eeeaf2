/** Boots the servers to measure, each on its own database, and cleans up after them. */
import { fork } from 'child_process';
import { once } from 'events';
import { closeSync, cpSync, mkdirSync, openSync, rmSync, symlinkSync } from 'fs';
import path from 'path';
import { createDatabase } from '../tests/support/database';
import type { Database, DatabaseClient } from '../tests/support/database';
import { askChild } from '../tests/support/ipc';
import type { Ask } from '../tests/support/ipc';
import type { Kind } from './seed';
import type { Answers, Booted } from './server';

const ROOT = path.resolve(__dirname, '../..');
const SCRATCH = path.join(ROOT, '.tmp/bench');

/** A server in its own process. */
export interface Server extends Booted {
  kind: Kind;
  database: Database;
  ask: Ask<Answers>;
  stop(): Promise<void>;
}

/** What must always be cleaned up: servers to stop, databases to drop. */
const undo = new Set<() => Promise<void>>();

/** Stops and drops everything, newest first. */
export async function cleanUp(): Promise<void> {
  const steps = [...undo].reverse();
  undo.clear();
  for (const step of steps) {
    await step().catch((error) => console.error(String(error)));
  }
}

/** An empty database, dropped by `cleanUp`. */
export async function makeDatabase(client: DatabaseClient): Promise<Database> {
  const database = await createDatabase(client);
  undo.add(database.drop);
  return database;
}

let plainApp: string | undefined;
let boots = 0;

/** Copies the compiled project without this repository's extension, once per run. */
function makePlainApp(): string {
  const app = path.join(SCRATCH, `plain-${process.pid}`);
  undo.add(async () => rmSync(app, { recursive: true, force: true }));
  mkdirSync(path.join(app, 'public/uploads'), { recursive: true });
  for (const name of ['config', 'src']) {
    cpSync(path.join(ROOT, 'dist', name), path.join(app, 'dist', name), {
      recursive: true,
      filter: (source) => path.basename(source) !== 'extensions',
    });
  }
  cpSync(path.join(ROOT, 'package.json'), path.join(app, 'package.json'));
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(app, 'node_modules'));
  plainApp = app;
  return app;
}

/** The same for all: production with Strapi's defaults, except for its limit on sign-ins. */
const SETTINGS = {
  NODE_ENV: 'production',
  APP_KEYS: 'one-app-key,another-app-key',
  API_TOKEN_SALT: 'api-token-salt',
  ADMIN_JWT_SECRET: 'admin-jwt-secret',
  TRANSFER_TOKEN_SALT: 'transfer-token-salt',
  ENCRYPTION_KEY: 'encryption-key',
  JWT_SECRET: 'jwt-secret-of-the-benchmark',
  REFRESH_SECRET: 'refresh-secret-of-the-benchmark-only',
  RATE_LIMIT_MAX: '1000000000',
  STRAPI_TELEMETRY_DISABLED: 'true',
};

/**
 * Boots a server and waits until it listens.
 *
 * @param nodeOptions for its process, such as `--cpu-prof`
 * @throws Error if it does not start; requests to it fail after it has exited
 */
export async function boot(
  kind: Kind,
  database: Database,
  nodeOptions: string[] = []
): Promise<Server> {
  const app = kind === 'extension' ? ROOT : (plainApp ?? makePlainApp());
  mkdirSync(SCRATCH, { recursive: true });
  boots += 1;
  const log = path.join(SCRATCH, `${process.pid}-${boots}-${kind}.log`);
  const output = openSync(log, 'w');
  const child = fork(path.join(__dirname, 'server.js'), [kind, app, path.join(app, 'dist')], {
    cwd: app,
    execArgv: ['--expose-gc', ...nodeOptions],
    stdio: ['ignore', output, output, 'ipc'],
    env: { PATH: process.env.PATH, ...SETTINGS, ...database.env },
  });
  closeSync(output);

  const ended = once(child, 'exit');
  const { booted, ask } = askChild<Answers, Booted>(
    child,
    (problem) => `The ${kind} server ${problem}. See its log: ${log}`
  );

  const stop = async () => {
    undo.delete(stop);
    // It may exit before it answers.
    if (child.connected) ask('stop').catch(() => {});
    const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(late);
  };
  undo.add(stop);

  return { kind, ...(await booted), database, ask, stop };
}
