// The stamp of a copy: the version that was delivered last and all its files, which the next upgrade merges with. The
// package delivers its files in the same format. See docs/decisions/plain-stamp.md.
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { readText } from './files.mjs';
import { ADMIN, FOLDER, nameOf, pathOf, unix } from './names.mjs';
import { UserError } from './user-error.mjs';
import { isVersion } from './versions.mjs';

/**
 * @typedef {object} Stamp
 * @property {string} version
 * @property {string | null} without what the owner left out: `ADMIN`, or nothing
 * @property {Map<string, string>} files text by name, as in `pathOf`
 * @property {boolean} [isOld] whether it has the format of 2.1.0 and earlier
 */

/** Neither Strapi nor TypeScript loads a file of this name. */
export const STAMP = 'refresh-token.stamp';

/** The folder uses a fiftieth of it. */
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_FILES = 1000;
const LONGEST_NAME = 200;

/**
 * Reads the stamp, whose names are safe to read, write and delete within the folder. It comes with the project, so
 * something other than this command may have written it.
 *
 * @param {string} root the project's
 * @returns {Stamp | null} null if there is no copy
 * @throws {UserError} if it cannot be read, or if it contains a path that must not be a file in the folder
 */
export function readStamp(root) {
  const name = `${FOLDER}/${STAMP}`;
  const text = readText(root, name);
  if (text === null) return null;

  let stamp;
  try {
    stamp = text.startsWith('{') ? parseOldStamp(text) : parseStamp(unix(text));
  } catch (error) {
    throw new UserError(
      `${name} is damaged (${error.message}). Nothing was changed. Restore the file from your repository.`
    );
  }
  // The command never copies this file, but a checkout on which somebody tried it has one.
  stamp.files.delete(STAMP);
  const problem = problemOf([...stamp.files.keys()]);
  if (problem) {
    throw new UserError(
      `${name} was not written by this command: ${problem}. Nothing was changed. Restore the file from your repository.`
    );
  }
  return stamp;
}

const ABOUT = `# What was copied in, so that the next upgrade can merge with your edits. Commit this file. Nothing loads it.
# To list the files that you edited: sha256sum --check --quiet ${FOLDER}/${STAMP}
`;

const HEAD = /^(?:#.*\n)*version (\S+)\n(?:without (\S+)\n)?\n((?:[0-9a-f]{64} {2}.+\n)+)/;

const titleOf = (file) => `\n==> ${file} <==\n`;

const hashOf = (text) => createHash('sha256').update(text).digest('hex');

/**
 * @param {Stamp} stamp what is delivered
 * @returns {string} the version, a list that `sha256sum --check` understands, and the text of each file below its path
 */
export function formatStamp({ version, without, files }) {
  const entries = [...files].map(([name, text]) => [pathOf(name), text]);
  return [
    `${ABOUT}version ${version}\n${without ? `without ${without}\n` : ''}\n`,
    ...entries.map(([file, text]) => `${hashOf(text)}  ${file}\n`),
    ...entries.map(([file, text]) => titleOf(file) + text),
  ].join('');
}

/**
 * @param {string} text as `formatStamp` returns it
 * @returns {Stamp} whose names may be anything
 * @throws {Error} if it was changed
 */
export function parseStamp(text) {
  const [head, version, without = null, list] = HEAD.exec(text) ?? [];
  if (!head || !isVersion(version)) throw new Error('it has no version and no list of files');
  if (![null, ADMIN].includes(without)) throw new Error('it leaves out an unknown part');
  const entries = list.split('\n').slice(0, -1);
  if (entries.length > MAX_FILES) throw new Error('it contains too many files');

  const files = new Map();
  let rest = text.slice(head.length);
  for (const [index, entry] of entries.entries()) {
    const [hash, file] = [entry.slice(0, 64), entry.slice(66)];
    const title = titleOf(file);
    const next = entries[index + 1]?.slice(66);
    const end = next === undefined ? rest.length : rest.indexOf(titleOf(next), title.length);
    const content = rest.slice(title.length, end);
    if (!rest.startsWith(title) || end < 0 || hashOf(content) !== hash) {
      throw new Error(`the text of ${JSON.stringify(file)} does not have the hash that is listed`);
    }
    const name = nameOf(file);
    if (name === null) throw new Error(`${JSON.stringify(file)} is not a file of a copy`);
    if (files.has(name)) throw new Error('it contains a file twice');
    files.set(name, content);
    rest = rest.slice(end);
  }
  return { version, without, files };
}

/** Up to 2.1.0, the stamp was JSON with compressed files. */
function parseOldStamp(text) {
  const { version, without = null, files } = JSON.parse(text);
  if (!isVersion(version)) throw new Error('it has no version');
  if (![null, ADMIN].includes(without)) throw new Error('it leaves out an unknown part');
  const packed = Buffer.from(files.join(''), 'base64');
  const entries = JSON.parse(gunzipSync(packed, { maxOutputLength: MAX_BYTES }).toString());
  if (entries.length > MAX_FILES) throw new Error('it contains too many files');
  for (const entry of entries) {
    const isFile = Array.isArray(entry) && entry.length === 2;
    if (!isFile || entry.some((each) => typeof each !== 'string')) {
      throw new Error('it contains something other than files');
    }
  }
  const byName = new Map(entries.map(([name, content]) => [name, unix(content)]));
  if (byName.size < entries.length) throw new Error('it contains a file twice');
  return { version, without, files: byName, isOld: true };
}

/**
 * Allows more names than a release has: 1.0.0 and 2.0.0 delivered and recorded everything in their folder, such as a
 * .DS_Store.
 *
 * @returns {string | null} what is wrong with paths that must each be a separate file within the folder, on any file system
 */
function problemOf(names) {
  const files = new Set();
  for (const name of names) {
    const shown = JSON.stringify(name.slice(0, LONGEST_NAME));
    if (!isWithinFolder(name)) return `${shown} is not a file in this folder`;
    // Some file systems ignore case and Unicode normalization.
    const key = name.normalize().toLowerCase();
    if (files.has(key)) return `${shown} appears twice`;
    files.add(key);
  }
  const isFolderToo = (name) => [...files].some((other) => other.startsWith(`${name}/`));
  const both = [...files].find(isFolderToo);
  return both === undefined ? null : `${JSON.stringify(both)} is both a file and a folder`;
}

/** Nothing that has a meaning to a file system (Windows drops trailing dots and spaces), to git or to a terminal. */
function isWithinFolder(name) {
  const parts = name.split('/');
  const folders = parts.slice(0, -1);
  return (
    name.length <= LONGEST_NAME &&
    parts.every((part) => /^[^\\:*?"<>|\p{C}]*[^\\:*?"<>|\p{C}. ]$/u.test(part)) &&
    !parts.some((part) => /^(?:\.git|git~\d)$/i.test(part)) &&
    !folders.some((part) => part.startsWith('.'))
  );
}
