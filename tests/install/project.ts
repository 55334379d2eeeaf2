import { execFile, spawn } from 'child_process';
import type { ChildProcess } from 'child_process';
import { once } from 'events';
import { promisify } from 'util';
import { freePort } from '../support/port';

const ENVIRONMENT = {
  PATH: process.env.PATH,
  HOME: process.env.HOME,
  STRAPI_TELEMETRY_DISABLED: 'true',
};

/** Runs a command in a project, as its owner would. @throws Error with its output, if it fails */
export async function run(project: string, command: string, ...options: string[]): Promise<void> {
  await promisify(execFile)(command, options, {
    cwd: project,
    env: ENVIRONMENT,
    maxBuffer: 1e8,
  });
}

/**
 * Starts the project as in production for as long as the function runs.
 *
 * @param use the function, which gets the project's address
 */
export async function whileUp(project: string, use: (url: string) => Promise<void>): Promise<void> {
  const port = await freePort();
  const child = spawn('npm', ['run', 'start'], {
    cwd: project,
    detached: true,
    env: { ...ENVIRONMENT, NODE_ENV: 'production', HOST: '127.0.0.1', PORT: String(port) },
  });
  let said = '';
  child.stdout.on('data', (text) => (said += text));
  child.stderr.on('data', (text) => (said += text));
  try {
    await listening(child, `http://127.0.0.1:${port}`, () => said);
    await use(`http://127.0.0.1:${port}`);
  } finally {
    if (child.exitCode === null) {
      const exited = once(child, 'exit');
      // npm, and the Strapi that it started.
      process.kill(-child.pid!, 'SIGTERM');
      await exited;
    }
  }
}

async function listening(child: ChildProcess, url: string, said: () => string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`Strapi did not start:\n${said()}`);
    const answer = await fetch(`${url}/_health`).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
