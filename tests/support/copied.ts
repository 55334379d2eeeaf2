import { execFileSync, spawnSync } from 'child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'fs';
import { tmpdir } from 'os';
import path from 'path';

export const ROOT = path.resolve(__dirname, '../..');
export const FOLDER = 'src/extensions/users-permissions';
export const PANEL = 'src/admin/refresh-token';

/** The files of the command. */
const CLI = ['copy-into.mjs', 'lib', 'pack', 'package.json'].map((name) => `cli/${name}`);

/** A new folder for a test. */
export const scratch = (): string => mkdtempSync(path.join(tmpdir(), 'refresh-token-copy-'));

/**
 * Creates a project with `create-strapi`, without installing it.
 *
 * @param folder the path of the project; its parent exists
 */
export function createProject(folder: string, language: 'typescript' | 'javascript'): void {
  const create = path.join(ROOT, 'node_modules/create-strapi/bin/index.js');
  const options = `--${language} --use-npm --dbclient sqlite --dbfile .tmp/data.db --skip-cloud --no-example --no-install --no-git-init`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [create, path.basename(folder), ...options.split(' '), '--non-interactive'],
    {
      cwd: path.dirname(folder),
      encoding: 'utf8',
      env: { PATH: process.env.PATH, HOME: folder, STRAPI_TELEMETRY_DISABLED: 'true' },
    }
  );
  if (status !== 0) throw new Error(`create-strapi failed:\n${stdout}${stderr}`);
  // It asks the registry for its latest version and stores the answer there.
  rmSync(path.join(folder, 'node_modules'), { recursive: true, force: true });
}

/**
 * Quickly creates the minimum that the command accepts as a TypeScript project.
 *
 * @param folder the path of the project
 */
export function bareProject(folder: string): void {
  for (const name of ['config', 'src']) mkdirSync(path.join(folder, name), { recursive: true });
  const strapi = { '@strapi/plugin-users-permissions': '5.54.0', '@strapi/strapi': '5.54.0' };
  const files = {
    'package.json': `${JSON.stringify({ name: 'bare', dependencies: strapi }, null, 2)}\n`,
    'tsconfig.json': '{}\n',
    'src/index.ts': 'export default {};\n',
    '.env': 'APP_KEYS=a\n',
    '.env.example': 'APP_KEYS=a\n',
    '.gitignore': '.env\nnode_modules\n',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
}

/** Commits everything in a folder as a separate repository. */
export function commit(folder: string): void {
  const author = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com'];
  for (const options of [
    ['init', '-q'],
    ['add', '-A'],
    [...author, 'commit', '-qm', 'All'],
  ]) {
    execFileSync('git', options, { cwd: folder });
  }
}

interface Outcome {
  status: number | null;
  /** Its whole output. */
  said: string;
  stdout: string;
}

/**
 * Runs the copy command.
 *
 * @param repository this repository, a newer one, or what `unpacked` returned
 */
export const copyInto = (repository: string, ...options: string[]): Outcome =>
  copyIntoUnder([], repository, ...options);

/** A limit on file size that every file but the stamp fits into. */
export const SMALL_FILES = ['bash', '-c', 'ulimit -f 40; exec "$@"', 'bash'];

/** Permissions also apply to root. */
export const NO_PRIVILEGES = process.getuid!() === 0 ? ['setpriv', '--bounding-set=-all'] : [];

/** The same, started through another command. */
export function copyIntoUnder(
  command: string[],
  repository: string,
  ...options: string[]
): Outcome {
  const script = path.join(repository, 'cli/copy-into.mjs');
  const [program, ...rest] = [...command, process.execPath, script, ...options];
  const { status, stdout, stderr } = spawnSync(program, rest, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
  return { status, said: stdout + stderr, stdout };
}

/**
 * This repository in another version.
 *
 * @param edit changes the copied files, by their names in the folder; the panel's are paths within the project
 */
export function otherRepository(
  folder: string,
  version: string,
  edit: (name: string, text: string) => string | null
): void {
  for (const name of [...CLI, FOLDER, PANEL, '.env.example', '.prettierrc.json']) {
    cpSync(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  const manifest = path.join(folder, 'cli/package.json');
  const written = JSON.parse(readFileSync(manifest, 'utf8'));
  writeFileSync(manifest, JSON.stringify({ ...written, version }));
  for (const [part, prefix] of [
    [FOLDER, ''],
    [PANEL, `${PANEL}/`],
  ] as const) {
    for (const [name, text] of Object.entries(contents(path.join(folder, part)))) {
      const edited = edit(prefix + name, text);
      const file = path.join(folder, part, name);
      if (edited === null) rmSync(file);
      else writeFileSync(file, edited);
    }
  }
}

/**
 * What the package of a repository contains. It copies in an instant: a repository first compiles for JavaScript.
 *
 * @param folder the path of the new folder
 * @returns the same path, for `copyInto`
 */
export function unpacked(repository: string, folder: string): string {
  execFileSync(process.execPath, [path.join(repository, 'cli/pack/index.mjs')], {
    stdio: 'ignore',
  });
  for (const name of ['copy-into.mjs', 'lib', 'delivery', 'package.json']) {
    cpSync(path.join(repository, 'cli', name), path.join(folder, 'cli', name), { recursive: true });
  }
  return folder;
}

/** @returns the text of every file in a folder, by path */
export function contents(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(folder, path.join(entry.parentPath ?? entry.path, entry.name)))
      .sort()
      .map((name) => [name, readFileSync(path.join(folder, name), 'utf8')])
  );
}
