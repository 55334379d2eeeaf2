/** Boots the servers that are measured, on databases of their own, and sees to it that nothing of them stays. */
import { fork } from 'child_process';
import { closeSync, cpSync, mkdirSync, openSync, rmSync, symlinkSync } from 'fs';
import path from 'path';
import { createDatabase } from '../tests/support/database';
import type { Database, DatabaseClient } from '../tests/support/database';
import type { Kind } from './seed';
import type { Answers } from './server';

const ROOT = path.resolve(__dirname, '../..');
const SCRATCH = path.join(ROOT, '.tmp/bench');

/** A server in a process of its own. */
export interface Server {
  kind: Kind;
  port: number;
  /** Milliseconds from `createStrapi` until it listens. */
  bootTime: number;
  database: Database;
  ask<Q extends keyof Answers>(
    question: Q,
    ...argument: Parameters<Answers[Q]>
  ): Promise<Awaited<ReturnType<Answers[Q]>>>;
  stop(): Promise<void>;
}

/** What has to be undone in any case: servers to stop, databases to drop. */
const undo = new Set<() => Promise<void>>();

/** Stops what runs and drops what was made, the latest first. */
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

/** Copies the compiled project without this repository's extension, once a run. */
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

/** The same for all: production, as Strapi is by default, but for its limit on sign-ins. */
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
 * @param nodeOptions of its process, such as `--cpu-prof`
 * @throws Error if it does not come up; questions fail once it has ended
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

  const asked = new Map<number, { resolve(answer: any): void; reject(error: Error): void }>();
  const answerTo = (id: number) =>
    new Promise<any>((resolve, reject) => asked.set(id, { resolve, reject }));
  child.on('message', ({ id, answer, error }: any) => {
    const { resolve, reject } = asked.get(id)!;
    asked.delete(id);
    if (error) reject(new Error(`The ${kind} server failed: ${error}. Its log is ${log}.`));
    else resolve(answer);
  });
  const ended = new Promise<void>((resolve) => {
    child.on('exit', (code, signal) => {
      const error = new Error(`The ${kind} server ended (${signal ?? code}). Its log is ${log}.`);
      asked.forEach(({ reject }) => reject(error));
      resolve();
    });
  });

  const stop = async () => {
    undo.delete(stop);
    if (child.connected) child.send({ question: 'stop' });
    const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(late);
  };
  undo.add(stop);

  const { port, bootTime } = await answerTo(0);
  let questions = 0;
  return {
    kind,
    port,
    bootTime,
    database,
    ask(question, ...[argument]) {
      questions += 1;
      const id = questions;
      const answer = answerTo(id);
      // Of a process that has ended already, no exit will tell.
      child.send({ id, question, argument }, (error) => error && asked.get(id)?.reject(error));
      return answer;
    },
    stop,
  };
}
