// Reads and writes files of the project, never through a link and never partially.
import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { getSystemErrorMap } from 'node:util';
import { UserError } from './user-error.mjs';

/**
 * @typedef {object} Change
 * @property {string} path within the project, with forward slashes
 * @property {string | null} text the new contents of the file; null deletes it
 * @property {string} why
 * @property {string} [to] the path to which another change moves the text that this one deletes
 */

/** No file that the command reads or writes comes close. */
const MAX_BYTES = 16 * 1024 * 1024;

/**
 * Looks for a file, checking each part of its path. The root itself may be reached through a link.
 *
 * @param {string} root the project's
 * @param {string} name path within the project, with forward slashes
 * @returns {boolean} whether the file is there
 * @throws {UserError} if a part of the path is a link, if a folder is where the file should be, or a file where a folder
 *   should be
 */
export function hasFile(root, name) {
  const parts = name.split('/');
  for (let count = 1; count <= parts.length; count += 1) {
    const part = parts.slice(0, count).join('/');
    const found = lstatSync(path.join(root, part), { throwIfNoEntry: false });
    if (!found) return false;
    if (found.isSymbolicLink()) {
      throw new UserError(
        `${part} is a link, and this command does not follow links. Nothing was changed. Replace the link with its target, then run this again.`
      );
    }
    const isLast = count === parts.length;
    if (isLast ? !found.isFile() : !found.isDirectory()) {
      throw new UserError(
        `${part} is not a ${isLast ? 'file' : 'folder'}, but this command needs one there. Nothing was changed. Move it somewhere else, then run this again.`
      );
    }
  }
  return true;
}

/**
 * @param {string} root the project's
 * @param {string} name path within the project, with forward slashes
 * @returns {string | null} null if there is no such file
 * @throws {UserError} as `hasFile`, or if the file is too large to be ours
 */
export function readText(root, name) {
  return hasFile(root, name) ? readBounded(root, name) : null;
}

/**
 * Reads a file that only the project owns, and that it may keep behind a link.
 *
 * @param {string} root the project's
 * @param {string} name path within the project, with forward slashes
 * @returns {string | null} null if there is no such file: a dangling link, a folder and a pipe do not count
 */
export function readOwners(root, name) {
  const isFile = statSync(path.join(root, name), { throwIfNoEntry: false })?.isFile();
  return isFile ? readBounded(root, name) : null;
}

function readBounded(root, name) {
  const file = path.join(root, name);
  if (statSync(file).size > MAX_BYTES) {
    throw new UserError(
      `${name} is larger than 16 MB. Check what it is, and move it somewhere else.`
    );
  }
  const bytes = readFileSync(file);
  // Written back as UTF-8, any other encoding would be damaged for good: git does not have .env.
  if (isUtf8(bytes)) return bytes.toString('utf8');
  throw new UserError(
    `${name} is not UTF-8, and writing to it would damage it. Save it as UTF-8, then run this again.`
  );
}

/**
 * Makes the changes in order. Everything is first written to temporary files, so that a full disk or a missing permission
 * changes nothing. A failure after that leaves complete files, and a second run does the rest: the stamp is the last
 * change.
 *
 * @param {string} root the project's
 * @param {Change[]} changes
 * @throws {UserError} which says what failed and what was already done
 */
export function applyChanges(root, changes) {
  const steps = changes.map((change) => ({ ...change, file: path.join(root, change.path) }));
  const newFolders = [];
  const done = [];
  let current;
  // All of this is synchronous: with a listener, Ctrl-C waits until it is done.
  const wait = () => {};
  for (const signal of SIGNALS) process.on(signal, wait);
  try {
    for (current of steps) prepare(current, newFolders);
    for (current of steps) {
      commit(current);
      done.push(current.path);
    }
  } catch (error) {
    const left = cleanUp(steps, done.length === 0 ? newFolders : []);
    if (!error.code) throw error;
    throw new UserError(failureOf(current, error, done, left));
  } finally {
    for (const signal of SIGNALS) process.off(signal, wait);
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Writes the new text to a temporary file with the mode and owner of the original, and checks what the last step needs. */
function prepare(step, newFolders) {
  const { file, text } = step;
  const old = lstatSync(file, { throwIfNoEntry: false });
  // Renaming and deleting do not require it.
  if (old) accessSync(file, constants.W_OK);
  if (text === null) return old && accessSync(path.dirname(file), constants.W_OK);

  makeFolder(path.dirname(file), newFolders);
  step.temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  const mode = path.basename(file) === '.env' ? 0o600 : 0o666;
  writeFileSync(step.temporary, text, { flag: 'wx', mode: old ? 0o600 : mode, flush: true });
  if (!old) return undefined;
  // Only root can change the owner of a file.
  if (process.getuid?.() === 0) chownSync(step.temporary, old.uid, old.gid);
  return chmodSync(step.temporary, old.mode & 0o7777);
}

function makeFolder(folder, newFolders) {
  if (existsSync(folder)) return;
  makeFolder(path.dirname(folder), newFolders);
  // Another run may be creating it right now.
  mkdirSync(folder, { recursive: true });
  newFolders.push(folder);
}

function commit(step) {
  if (step.text === null) {
    rmSync(step.file, { force: true });
    return removeEmpty(path.dirname(step.file));
  }
  renameSync(step.temporary, step.file);
  step.temporary = undefined;
  return undefined;
}

/** Removes the folder and its parents, up to the first that is not empty; the project's root never is. */
function removeEmpty(folder) {
  try {
    for (let each = folder; ; each = path.dirname(each)) rmdirSync(each);
  } catch {
    // It holds something, or may not be removed. An empty folder does no harm.
  }
}

/** @returns {string[]} temporary files that could not be removed */
function cleanUp(steps, newFolders) {
  const left = [];
  for (const { temporary } of steps.filter((step) => step.temporary)) {
    try {
      rmSync(temporary, { force: true });
    } catch {
      left.push(temporary);
    }
  }
  for (const folder of newFolders.reverse()) {
    try {
      rmdirSync(folder);
    } catch {
      // Somebody has put something into it.
    }
  }
  return left;
}

function failureOf({ path: name, text }, error, done, left) {
  return [
    `${name} could not be ${text === null ? 'deleted' : 'written'}: ${reasonOf(error)}.`,
    done.length === 0
      ? 'Nothing was changed. Fix the problem, then run this again.'
      : `Only these files were changed: ${done.join(', ')}. Fix the problem, then run this again to do the rest.`,
    ...(left.length > 0 ? [`Delete ${left.join(', ')}.`] : []),
  ].join(' ');
}

/**
 * @param {NodeJS.ErrnoException} error of a system call
 * @returns {string} such as "permission denied (EACCES)"
 */
export function reasonOf({ code, errno, message }) {
  const [, meaning] = getSystemErrorMap().get(errno) ?? [];
  return meaning ? `${meaning} (${code})` : message;
}
