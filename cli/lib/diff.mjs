// What a run would change, as a unified diff.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readOwners } from './files.mjs';
import { git } from './git.mjs';
import { FOLDER } from './names.mjs';
import { STAMP } from './stamp.mjs';
import { UserError } from './user-error.mjs';

/** The stamp repeats everything, and .env contains secrets. */
export const LEFT_OUT = [`${FOLDER}/${STAMP}`, '.env'];

/**
 * @param {string} root the project's
 * @param {import('./files.mjs').Change[]} changes
 * @param {boolean} inColor
 * @returns {string} with paths within the project, so that `git apply` accepts it there
 * @throws {UserError} without git
 */
export function diffOf(root, changes, inColor) {
  const folder = mkdtempSync(path.join(tmpdir(), 'refresh-token-diff-'));
  const write = (side, name, text) => {
    if (text === null) return;
    const file = path.join(folder, side, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  };
  try {
    for (const side of ['a', 'b']) mkdirSync(path.join(folder, side));
    for (const { path: name, text } of changes.filter(
      ({ path: each }) => !LEFT_OUT.includes(each)
    )) {
      write('a', name, readOwners(root, name));
      write('b', name, text);
    }
    const options = ['--no-index', '--no-ext-diff', '--no-textconv', '--no-prefix', '-M'];
    const color = `--color=${inColor ? 'always' : 'never'}`;
    const { status, stdout, stderr, error } = git(folder, 'diff', ...options, color, 'a', 'b');
    if (status === 0 || status === 1) return stdout;
    throw new UserError(
      `Git is required to compare files, but it could not be run: ${error?.message ?? stderr}`
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
