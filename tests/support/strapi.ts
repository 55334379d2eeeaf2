/** A Strapi in its own process, with a settable clock: boots, and runs the tests' requests over IPC. */
import type { AddressInfo } from 'net';
import path from 'path';
import { setTimeout as sleep } from 'timers/promises';
import { createStrapi } from '@strapi/strapi';
import type { Core } from '@strapi/strapi';
import { hashPasswordsQuickly, setEnvironment } from './environment';
import { answerParent } from './ipc';

const ROOT = path.resolve(__dirname, '../../..');
const SESSIONS = 'up_refresh_sessions';

/** The time at which this process's clock is stopped, in milliseconds since the epoch; null to follow the machine's clock. */
let clock: number | null = null;
const MachineDate = Date;
globalThis.Date = class extends MachineDate {
  constructor(...args: any[]) {
    if (args.length > 0) super(...(args as [number]));
    else super(clock ?? MachineDate.now());
  }

  static now() {
    return clock ?? MachineDate.now();
  }
} as DateConstructor;

const log: string[] = [];
process.on('unhandledRejection', (reason) => log.push(`unhandled rejection: ${String(reason)}`));

const createAnswers = (strapi: Core.Strapi) => {
  const { connection } = strapi.db;
  const users = strapi.service('plugin::users-permissions.user') as any;
  const sessions = strapi.service('plugin::users-permissions.refresh-session') as any;
  return {
    setClock: async (at: number) => void (clock = at),

    async user(fields: object) {
      const role = await strapi.db
        .query('plugin::users-permissions.role')
        .findOne({ where: { type: 'authenticated' } });
      const { id } = await users.add({
        provider: 'local',
        confirmed: true,
        role: role.id,
        ...fields,
      });
      return id as number;
    },
    editUser: async ({ id, ...fields }: { id: number; blocked?: boolean; password?: string }) =>
      void (await users.edit(id, fields)),
    removeUser: async (id: number) => void (await users.remove({ id })),

    signIn: (userId: number): Promise<{ jwt: string; refreshToken: string; sid: string }> =>
      sessions.signIn(userId),
    signOut: (which: object): Promise<number> => sessions.signOut(which),
    sids: async (): Promise<string[]> => connection(SESSIONS).orderBy('id').pluck('sid'),
    /** Makes sessions have reached their absolute end a day ago. */
    endDaysAgo: async (sids: string[]) =>
      connection(SESSIONS)
        .whereIn('sid', sids)
        .update({ expires_at: Date.now() - 86_400_000, ends_at: Date.now() - 86_400_000 }),
    async cleanUp() {
      const job = strapi.cron.jobs.find(({ name }) => name === 'refreshSessionCleanup')!;
      await (job.job as any).trigger();
    },

    /** Locks the database for writing, if it allows one writer at a time. */
    hold: async (milliseconds: number) =>
      connection.transaction(async (transaction) => {
        await transaction(SESSIONS).where({ id: 0 }).delete();
        await sleep(milliseconds);
      }),

    backUp: async () =>
      void (await connection.raw(`CREATE TABLE copy AS SELECT * FROM ${SESSIONS}`)),
    async restore() {
      await connection(SESSIONS).delete();
      await connection.raw(`INSERT INTO ${SESSIONS} SELECT * FROM copy`);
    },

    /** Bytes, after garbage collection. */
    async memory() {
      globalThis.gc!();
      return process.memoryUsage().heapUsed;
    },
    log: async () => log,
    /** Closes the database, so that it can be copied. */
    stop: async () => strapi.destroy(),
  };
};

export type Answers = ReturnType<typeof createAnswers>;

async function boot() {
  const { at = null, ...env } = JSON.parse(process.argv[2]);
  clock = at;
  setEnvironment(env);
  const strapi = createStrapi({
    appDir: ROOT,
    distDir: path.join(ROOT, 'dist'),
    serveAdminPanel: false,
  });
  for (const level of ['info', 'http', 'warn', 'error'] as const) {
    strapi.log[level] = ((entry: unknown) => {
      if (level === 'warn' || level === 'error') log.push(`${level}: ${String(entry)}`);
      return strapi.log;
    }) as never;
  }
  await strapi.load();
  hashPasswordsQuickly(strapi);
  strapi.server.mount();
  await new Promise<void>((resolve) => {
    strapi.server.httpServer.listen(0, '127.0.0.1', resolve);
  });

  const { port } = strapi.server.httpServer.address() as AddressInfo;
  return { answers: createAnswers(strapi), booted: port };
}

void answerParent(boot);
