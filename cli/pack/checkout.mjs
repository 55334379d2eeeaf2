// Reads what is copied from a checkout of the repository. The package does not contain this folder, but its result.
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { git } from '../lib/git.mjs';
import { FOLDER, nameOf, PANEL, pathOf, unix } from '../lib/names.mjs';
import { UserError } from '../lib/user-error.mjs';

/** A file that a release can have. Editors, file managers and people leave other files there. */
const NAME =
  /^(?:[a-z0-9][a-z0-9-]*\/)*(?:[a-z0-9][a-z0-9-]*(?:\.d)?\.(?:tsx?|jsx?|json|md)|README\.md|LICENSE)$/;

/**
 * @param {string} repository the checkout's root
 * @param {'ts' | 'js'} language
 * @returns {Promise<{ files: Map<string, string>, remarks: string[] }>} as `deliver`
 * @throws {UserError} if git cannot say which files belong to the repository, or none does, or if the compiler is not
 *   installed
 */
export async function deliverFrom(repository, language) {
  const all =
    trackedNames(repository) ?? [FOLDER, PANEL].flatMap((each) => namesIn(repository, each));
  const names = all.filter((name) => NAME.test(name));
  if (names.length === 0) {
    throw new UserError(
      `${path.join(repository, FOLDER)} contains no files of the extension. Check out this repository again.`
    );
  }

  // Git on Windows may have converted the line endings. A copy is the same on every machine.
  const sources = new Map(
    names.map((name) => [name, unix(readFileSync(path.join(repository, pathOf(name)), 'utf8'))])
  );
  const files = language === 'ts' ? sources : await inJavaScript(repository, sources);
  return {
    files: new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1))),
    remarks: uncommitted(repository),
  };
}

async function inJavaScript(repository, sources) {
  try {
    const compiler = await import('./javascript.mjs');
    return await compiler.inJavaScript(repository, sources);
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' && error.code !== 'MODULE_NOT_FOUND') throw error;
    const cli = path.join(repository, 'cli');
    throw new UserError(
      `This project is in JavaScript, and the compiler is not installed. Run this first: npm install --prefix ${cli}`
    );
  }
}

/** @returns {string[] | null} the files that belong to the repository; null without git, as in a downloaded archive */
function trackedNames(repository) {
  const listed = askGit(repository, 'ls-files', '-z');
  const names = listed && new Set(listed.map(nameOf));
  // Git still lists deleted files.
  return names && [...names].filter((name) => isFile(path.join(repository, pathOf(name))));
}

/** @returns {string[]} what the user should know about the files that are copied; empty if none was edited */
function uncommitted(repository) {
  const entries = askGit(repository, 'status', '--porcelain', '-z', '--no-renames', '-uall') ?? [];
  const named = (isUntracked) =>
    entries
      .filter((entry) => entry.startsWith('??') === isUntracked)
      .map((entry) => nameOf(entry.slice(3)))
      .join(', ');
  const [edited, untracked] = [named(false), named(true)];
  return [
    ...(edited ? [`Copied with uncommitted changes from this repository: ${edited}`] : []),
    ...(untracked ? [`Not copied, because this repository does not track them: ${untracked}`] : []),
  ];
}

/** @returns {string[] | null} what git says about what is copied, one entry per file; null if this is not a git checkout */
function askGit(repository, ...options) {
  if (!existsSync(path.join(repository, '.git'))) return null;
  // Whoever owns the folder: this script is part of the same repository.
  const trusted = ['-c', 'safe.directory=*'];
  const { status, stdout, stderr, error } = git(
    repository,
    ...trusted,
    ...options,
    '--',
    FOLDER,
    PANEL
  );
  if (status !== 0) {
    throw new UserError(
      `git cannot list the files of ${repository}: ${error?.message ?? stderr.trim()}\nIf you remove .git there, this command copies what is on disk.`
    );
  }
  return stdout.split('\0').filter(Boolean);
}

const isFile = (file) => lstatSync(file, { throwIfNoEntry: false })?.isFile() ?? false;

function namesIn(repository, folder) {
  if (!existsSync(path.join(repository, folder))) return [];
  return readdirSync(path.join(repository, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    .map((file) => nameOf(path.relative(repository, file).split(path.sep).join('/')));
}
