import { execFile, spawn } from 'child_process';
import type { ChildProcess } from 'child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'fs';
import { tmpdir } from 'os';
import path from 'path';
import { setTimeout as sleep } from 'timers/promises';
import { promisify } from 'util';

const ROOT = path.resolve(__dirname, '../..');

const ENVIRONMENT = {
  PATH: process.env.PATH,
  HOME: process.env.HOME,
  CI: 'true',
  NEXT_TELEMETRY_DISABLED: '1',
  NUXT_TELEMETRY_DISABLED: '1',
  EXPO_NO_TELEMETRY: '1',
};

/** A server that an example has started. */
export interface Running {
  /** Everything that it has printed. */
  log(): string;
  stop(): Promise<void>;
}

/** A copy of an example, with its packages and the client's files. */
export interface Example {
  folder: string;
  /** Runs a command to its end. @returns its output. @throws Error with its output, if it fails */
  run(command: string, options?: string[], env?: Record<string, string>): Promise<string>;
  /**
   * Starts a server, and waits until `url` answers, whatever it answers.
   *
   * @throws Error with its output, if it ends
   */
  start(
    url: string,
    command: string,
    options?: string[],
    env?: Record<string, string>
  ): Promise<Running>;
  /** Stops everything that it started, and deletes it. */
  remove(): Promise<void>;
}

/**
 * Copies an example into a new folder, adds the client as `client/`, and installs its packages.
 *
 * @param name its folder in `examples/`
 * @param clientFiles which files of the client it uses besides `session*.ts`, such as `react.ts`
 */
export async function createExample(name: string, clientFiles: string[] = []): Promise<Example> {
  const folder = mkdtempSync(path.join(tmpdir(), 'refresh-token-example-'));
  const servers = new Set<ChildProcess>();

  const run: Example['run'] = async (command, options = [], env = {}) => {
    const settings = { cwd: folder, env: { ...ENVIRONMENT, ...env }, maxBuffer: 1e8 };
    const { stdout, stderr } = await promisify(execFile)(command, options, settings).catch(
      ({ message, stdout: output }) => {
        throw new Error(`${message}\n${output}`);
      }
    );
    return stdout + stderr;
  };

  const stop = async (server: ChildProcess) => {
    if (!servers.delete(server)) return;
    // npm, which ends first, and the server that it started, which still writes files then.
    signal(server, 'SIGTERM');
    for (let turn = 0; turn < 100 && signal(server, 0); turn += 1) await sleep(100);
    signal(server, 'SIGKILL');
  };

  const example: Example = {
    folder,
    run,
    async start(url, command, options = [], env = {}) {
      const settings = { cwd: folder, detached: true, env: { ...ENVIRONMENT, ...env } };
      const server = spawn(command, options, settings);
      servers.add(server);
      let said = '';
      server.stdout.on('data', (text) => (said += text));
      server.stderr.on('data', (text) => (said += text));
      while (!(await fetch(url, { redirect: 'manual' }).catch(() => null))) {
        if (hasEnded(server)) throw new Error(`${command} ${options.join(' ')} ended:\n${said}`);
        await sleep(200);
      }
      return { log: () => said, stop: () => stop(server) };
    },
    async remove() {
      await Promise.all([...servers].map(stop));
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };

  try {
    cpSync(path.join(ROOT, 'examples', name), folder, {
      recursive: true,
      // What someone who ran it in the repository has left there.
      filter: (source) => !/[/\\](node_modules|client|\.next|\.nuxt|\.output|dist)$/.test(source),
    });
    const client = path.join(ROOT, 'client');
    for (const file of readdirSync(client)) {
      if (/^session.*\.ts$/.test(file) || clientFiles.includes(file)) {
        cpSync(path.join(client, file), path.join(folder, 'client', file));
      }
    }
    await run('npm', [
      'install',
      '--no-audit',
      '--no-fund',
      '--prefer-offline',
      '--no-package-lock',
    ]);
    return example;
  } catch (error) {
    await example.remove();
    throw error;
  }
}

const hasEnded = (server: ChildProcess) => server.exitCode !== null || server.signalCode !== null;

/** Signals a server and all that it started. @returns false if they have ended */
function signal(server: ChildProcess, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-server.pid!, name);
  } catch {
    return false;
  }
}
