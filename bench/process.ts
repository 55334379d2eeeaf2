import { fork } from 'child_process';
import { cpSync, mkdirSync, openSync, rmSync, symlinkSync } from 'fs';
import path from 'path';
import { createDatabase } from '../tests/support/database';
import type { Database, DatabaseClient } from '../tests/support/database';
import type { Questions } from './server';
import type { Kind } from './sessions';

const ROOT = path.resolve(__dirname, '../..');
const SCRATCH = path.join(ROOT, '.tmp/bench');

/** A server in a process of its own. */
export interface Server {
  kind: Kind;
  port: number;
  /** Milliseconds from the start of `createStrapi` until it listens. */
  bootTime: number;
  ask<Q extends keyof Questions>(
    question: Q,
    ...argument: Parameters<Questions[Q]>
  ): Promise<Awaited<ReturnType<Questions[Q]>>>;
  stop(): Promise<void>;
}

/** What has to be undone, whatever happens: servers to stop, databases to drop. */
const undo = new Set<() => Promise<unknown>>();

/** Stops what is running and drops what was made, the latest first. */
export async function cleanUp(): Promise<void> {
  for (const step of [...undo].reverse()) {
    await step().catch((error) => console.error(String(error)));
  }
}

/** An empty database, dropped at the end. */
export async function database(client: DatabaseClient): Promise<Database> {
  const made = await createDatabase(client);
  undo.add(made.drop);
  return made;
}

/** The project without this repository's folder: where the others run. */
function plainApp(): string {
  const app = path.join(SCRATCH, 'plain');
  rmSync(app, { recursive: true, force: true });
  mkdirSync(path.join(app, 'public/uploads'), { recursive: true });
  for (const name of ['config', 'src']) {
    cpSync(path.join(ROOT, 'dist', name), path.join(app, 'dist', name), {
      recursive: true,
      filter: (source) => path.basename(source) !== 'extensions',
    });
  }
  cpSync(path.join(ROOT, 'package.json'), path.join(app, 'package.json'));
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(app, 'node_modules'));
  return app;
}

/**
 * Boots a server and waits until it listens.
 *
 * @param execArgv options of its node, such as `--cpu-prof`
 * @throws Error if it does not come up, or ends while it is asked something
 */
export async function boot(kind: Kind, { env }: Database, execArgv: string[]): Promise<Server> {
  const app = kind === 'extension' ? ROOT : plainApp();
  mkdirSync(SCRATCH, { recursive: true });
  const log = path.join(SCRATCH, `${kind}.log`);
  const output = openSync(log, 'w');
  const child = fork(path.join(__dirname, 'server.js'), [kind, app, path.join(app, 'dist')], {
    cwd: app,
    execArgv: ['--expose-gc', ...execArgv],
    stdio: ['ignore', output, output, 'ipc'],
    env: {
      PATH: process.env.PATH,
      NODE_OPTIONS: process.env.NODE_OPTIONS ?? '',
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
      ...env,
    },
  });

  const waiting = new Map<number, { resolve(answer: any): void; reject(error: Error): void }>();
  const answered = (id: number) =>
    new Promise<any>((resolve, reject) => waiting.set(id, { resolve, reject }));
  child.on('message', ({ id, answer, error }: any) => {
    const asker = waiting.get(id);
    waiting.delete(id);
    if (error) asker?.reject(new Error(`The ${kind} server: ${error} (see ${log})`));
    else asker?.resolve(answer);
  });
  const gone = new Promise<void>((resolve) => {
    child.on('exit', (code, signal) => {
      const reason = new Error(`The ${kind} server ended: ${code ?? signal} (see ${log})`);
      for (const { reject } of waiting.values()) reject(reason);
      resolve();
    });
  });

  const stop = async () => {
    undo.delete(stop);
    if (child.connected) child.send({ question: 'stop' });
    const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await gone;
    clearTimeout(late);
  };
  undo.add(stop);

  let questions = 0;
  const { port, bootTime } = await answered(0);
  return {
    kind,
    port,
    bootTime,
    ask(question, ...[argument]) {
      questions += 1;
      child.send({ id: questions, question, argument });
      return answered(questions);
    },
    stop,
  };
}
