import { fork } from 'child_process';
import type { ChildProcess } from 'child_process';
import { randomBytes } from 'crypto';
import { once } from 'events';
import type { Database } from '../support/database';
import { askChild } from '../support/ipc';
import type { Ask } from '../support/ipc';
import type { Answers } from '../support/strapi';
import { copyTemplate, STRAPI_SCRIPT } from '../support/template';

/** Whether to run all rounds, for a release, which takes an hour, or few, for a change, which takes minutes. */
export const FULL = process.env.TEST_FAULTS === 'full';

export const PASSWORD = 'correct horse 1';

export interface Settings {
  /** Variables of the extension, the time zone, a different address of the database. */
  env?: Record<string, string>;
  /** The time at which its clock is stopped, in milliseconds since the epoch; otherwise it follows the machine's clock. */
  at?: number;
}

/** A Strapi in its own process. */
export interface Process {
  url: string;
  ask: Ask<Answers>;
  /** `kill -9`. */
  kill(): Promise<void>;
}

/** A database and the processes that use it. */
export interface Site {
  database: Database;
  start(settings?: Settings): Promise<Process>;
  /** Stops everything that was started. */
  end(): Promise<void>;
}

/** A database of the kind that this run of the suite is for, and no process yet. */
export async function createSite(): Promise<Site> {
  const database = await copyTemplate();
  const secret = randomBytes(32).toString('hex');
  const children = new Set<ChildProcess>();

  return {
    database,
    async start({ env = {}, at } = {}) {
      const settings = { ...database.env, REFRESH_SECRET: secret, ...env, at };
      const child = fork(STRAPI_SCRIPT, [JSON.stringify(settings)], {
        execArgv: ['--expose-gc'],
        // Node reads the time zone before a script can set it.
        env: { ...process.env, ...(env.TZ && { TZ: env.TZ }) },
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      children.add(child);
      const exit = once(child, 'exit').then(() => children.delete(child));
      const { booted, ask } = askChild<Answers, number>(
        child,
        (problem) => `The process ${problem}.`
      );
      return {
        url: `http://127.0.0.1:${await booted}`,
        ask,
        async kill() {
          child.kill('SIGKILL');
          await exit;
        },
      };
    },
    async end() {
      await Promise.all(
        [...children].map(async (child) => {
          const exit = once(child, 'exit');
          child.kill('SIGKILL');
          await exit;
        })
      );
      await database.drop();
    },
  };
}

/** The outcome: a status with its stable code, or `dropped` if the connection was lost. */
export interface Answer {
  outcome: string;
  status: number;
  body: any;
  cookies: string[];
}

/** Sends a request. A lost connection is also an outcome. */
export async function send(
  { url }: Pick<Process, 'url'>,
  method: string,
  route: string,
  { body, ...headers }: { body?: object; authorization?: string; cookie?: string } = {}
): Promise<Answer> {
  try {
    const response = await fetch(url + route, {
      method,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(60_000),
    });
    const json: any = await response.json();
    const { status } = response;
    return {
      outcome: [status, json?.error?.details?.code].filter(Boolean).join(' '),
      status,
      body: json,
      cookies: response.headers.getSetCookie(),
    };
  } catch (error) {
    // What fetch throws for a lost connection. A server that does not respond at all is a different case.
    if ((error as Error).name !== 'TypeError') throw error;
    return { outcome: 'dropped', status: 0, body: null, cookies: [] };
  }
}

/** A front end with a body token. It stores the new refresh token before it uses the new access token. */
export class Client {
  /** Every refresh token that it ever received, newest last. */
  readonly refreshTokens: string[] = [];
  readonly accessTokens: string[] = [];

  constructor(tokens: { jwt: string; refreshToken: string }) {
    this.keep(tokens);
  }

  get newest(): string {
    return this.refreshTokens[this.refreshTokens.length - 1];
  }

  /** Refreshes with its newest token or another one. */
  async refresh(process: Pick<Process, 'url'>, refreshToken = this.newest): Promise<Answer> {
    const answer = await send(process, 'POST', '/api/token/refresh', { body: { refreshToken } });
    if (answer.status === 200) this.keep(answer.body);
    return answer;
  }

  /** Uses its newest access token or another one. */
  async me(
    process: Pick<Process, 'url'>,
    jwt = this.accessTokens[this.accessTokens.length - 1]
  ): Promise<Answer> {
    return send(process, 'GET', '/api/users/me', { authorization: `Bearer ${jwt}` });
  }

  private keep({ jwt, refreshToken }: { jwt: string; refreshToken: string }): void {
    this.refreshTokens.push(refreshToken);
    this.accessTokens.push(jwt);
  }
}

/**
 * Retries a change of a user until it succeeds: it is Strapi's own transaction, which can lose against another process and
 * then returns an error.
 */
export async function insist<Q extends 'user' | 'editUser' | 'removeUser'>(
  process: Process,
  question: Q,
  ...argument: Parameters<Answers[Q]>
): Promise<Awaited<ReturnType<Answers[Q]>>> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await process.ask(question, ...argument);
    } catch (error) {
      const lost = /database is locked|Deadlock found/.test((error as Error).message);
      if (!lost || attempt === 50) throw error;
    }
  }
}

let users = 0;

/** Creates a user in a process. @returns the user's id and name */
export async function createUser(process: Process): Promise<{ id: number; username: string }> {
  users += 1;
  const username = `user-${users}-${randomBytes(3).toString('hex')}`;
  const id = await insist(process, 'user', {
    username,
    email: `${username}@test.local`,
    password: PASSWORD,
  });
  return { id, username };
}

/** A client that has just signed in, and the session's id. */
export async function signIn(process: Process, userId: number) {
  const { sid, ...tokens } = await process.ask('signIn', userId);
  return { sid, client: new Client(tokens) };
}

/** Runs `count` tasks concurrently. */
export const times = <T>(count: number, task: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => task(index)));
