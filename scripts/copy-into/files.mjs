// Reads and writes files of the project: never through a link, and never half of them.
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
 * @property {string | null} text what the file will hold; null deletes it
 * @property {string} why
 * @property {string} [to] where another change puts the text of a file that this one deletes
 */

/** No file that the command reads or writes comes near it. */
const MOST_BYTES = 16 * 1024 * 1024;

/**
 * Looks for a file, part by part of its path. The root itself may be reached through a link.
 *
 * @param {string} root the project's
 * @param {string} name path within the project, with forward slashes
 * @returns {boolean} whether the file is there
 * @throws {UserError} if a link is on the way, a folder is in place of the file, or a file in place of a folder
 */
export function hasFile(root, name) {
  const parts = name.split('/');
  for (let count = 1; count <= parts.length; count += 1) {
    const part = parts.slice(0, count).join('/');
    const found = lstatSync(path.join(root, part), { throwIfNoEntry: false });
    if (!found) return false;
    if (found.isSymbolicLink()) {
      throw new UserError(
        `${part} is a link, and this command does not follow links. Nothing was changed. Replace the link with what it points to, then run this again.`
      );
    }
    const isLast = count === parts.length;
    if (isLast ? !found.isFile() : !found.isDirectory()) {
      throw new UserError(
        `${part} is not a ${isLast ? 'file' : 'folder'}, but this command needs one there. Nothing was changed. Move it away, then run this again.`
      );
    }
  }
  return true;
}

/**
 * @param {string} root the project's
 * @param {string} name path within the project, with forward slashes
 * @returns {string | null} null if there is no such file
 * @throws {UserError} as `hasFile`, or if the file is too large to be one of ours
 */
export function readText(root, name) {
  return hasFile(root, name) ? readBounded(root, name) : null;
}

/**
 * Reads a file that only the project owns, and that it may keep behind a link.
 *
 * @param {string} root the project's
 * @param {string} name path within the project, with forward slashes
 * @returns {string | null} null if there is no such file: a dangling link, a folder and a pipe are none
 */
export function readOwners(root, name) {
  const isFile = statSync(path.join(root, name), { throwIfNoEntry: false })?.isFile();
  return isFile ? readBounded(root, name) : null;
}

function readBounded(root, name) {
  const file = path.join(root, name);
  if (statSync(file).size > MOST_BYTES) {
    throw new UserError(`${name} is larger than 16 MB. Check what it is, and move it away.`);
  }
  const bytes = readFileSync(file);
  // Written back as UTF-8, anything else would be damaged for good: git does not have .env.
  if (isUtf8(bytes)) return bytes.toString('utf8');
  throw new UserError(
    `${name} is not UTF-8, and writing to it would damage it. Save it as UTF-8, then run this again.`
  );
}

/**
 * Makes the changes in their order. Everything is written beside its place first, so that a full disk or a missing permission
 * changes nothing. What can fail after that leaves whole files, and a second run completes them: the stamp is the last change.
 *
 * @param {string} root the project's
 * @param {Change[]} changes
 * @throws {UserError} which says what failed, and what is done already
 */
export function applyChanges(root, changes) {
  const steps = changes.map((change) => ({ ...change, file: path.join(root, change.path) }));
  const newFolders = [];
  const done = [];
  let current;
  // All of this is synchronous: with a listener, Ctrl-C waits for its end.
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

/** Writes the new text beside the file, with the file's mode and owner, and checks what the last step needs. */
function prepare(step, newFolders) {
  const { file, text } = step;
  const old = lstatSync(file, { throwIfNoEntry: false });
  // Renaming and deleting would not ask for it.
  if (old) accessSync(file, constants.W_OK);
  if (text === null) return old && accessSync(path.dirname(file), constants.W_OK);

  makeFolder(path.dirname(file), newFolders);
  step.temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  const mode = path.basename(file) === '.env' ? 0o600 : 0o666;
  writeFileSync(step.temporary, text, { flag: 'wx', mode: old ? 0o600 : mode, flush: true });
  if (!old) return undefined;
  // Only root can give a file away.
  if (process.getuid?.() === 0) chownSync(step.temporary, old.uid, old.gid);
  return chmodSync(step.temporary, old.mode & 0o7777);
}

function makeFolder(folder, newFolders) {
  if (existsSync(folder)) return;
  makeFolder(path.dirname(folder), newFolders);
  // Another run may make it at this moment.
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

/** Removes the folder and those above it, up to the first that holds anything: the project's root does. */
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
      ? 'Nothing was changed. Remove the cause, then run this again.'
      : `Only this was changed: ${done.join(', ')}. Remove the cause, then run this again: it does the rest.`,
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
