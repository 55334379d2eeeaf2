import { execFile, execFileSync, spawn } from 'child_process';
import type { ChildProcess } from 'child_process';
import { once } from 'events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'fs';
import path from 'path';
import { promisify } from 'util';
import { ROOT } from '../support/copied';
import { freePort } from '../support/port';

const ENVIRONMENT = {
  PATH: process.env.PATH,
  HOME: process.env.HOME,
  STRAPI_TELEMETRY_DISABLED: 'true',
};

/**
 * Installs a project's packages as its owner would, except that SQLite's are this repository's version and binary: where none
 * can be downloaded, npm would compile another version for over a minute.
 *
 * @throws Error with npm's output, if it fails
 */
export async function install(project: string): Promise<void> {
  const sqlite = path.join(ROOT, 'node_modules/better-sqlite3');
  const { version } = JSON.parse(readFileSync(path.join(sqlite, 'package.json'), 'utf8'));
  const manifest = path.join(project, 'package.json');
  const written = JSON.parse(readFileSync(manifest, 'utf8'));
  expect(written.dependencies).toHaveProperty('better-sqlite3');
  written.dependencies['better-sqlite3'] = version;
  writeFileSync(manifest, `${JSON.stringify(written, null, 2)}\n`);

  const prebuilds = path.join(project, '../prebuilds');
  const { platform, arch, versions } = process;
  const archive = `better-sqlite3-v${version}-node-v${versions.modules}-${platform}-${arch}.tar.gz`;
  const binary = 'build/Release/better_sqlite3.node';
  mkdirSync(prebuilds);
  execFileSync('tar', ['-czf', path.join(prebuilds, archive), '-C', sqlite, binary]);
  const command = ['npm', 'install', '--no-audit', '--no-fund', '--prefer-offline'];
  await run(project, 'env', `npm_config_better_sqlite3_local_prebuilds=${prebuilds}`, ...command);
}

/** Runs a command in a project, as its owner would. @throws Error with its output, if it fails */
export async function run(project: string, command: string, ...options: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, options, {
    cwd: project,
    env: ENVIRONMENT,
    maxBuffer: 1e8,
  });
  return stdout;
}

/**
 * Packs the copy command, and installs the package.
 *
 * @param folder an empty folder
 * @returns the path of the command
 */
export async function installPackage(folder: string): Promise<string> {
  await run(path.join(ROOT, 'cli'), 'npm', 'pack', '--pack-destination', folder);
  const [file] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  await run(folder, 'npm', 'install', '--offline', '--no-audit', '--no-fund', `./${file}`);
  return path.join(folder, 'node_modules/.bin/strapi-refresh-token');
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
