// The copied folder: what is in it, what it was delivered as, and how the two come together with what is delivered now.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { FOLDER } from './bundle.mjs';
import { UserError } from './project.mjs';

/** By a name that neither Strapi nor TypeScript loads. */
const STAMP = 'refresh-token.stamp';

/** A file that could not be merged has the new one beside it, until its owner has merged them and deleted this one. */
export const CONFLICT_SUFFIX = '.new';

const SERVER = ['strapi-server.ts', 'strapi-server.js', 'strapi-server.mjs', 'strapi-server.cjs'];

/**
 * @typedef {object} Change
 * @property {string} path within the project
 * @property {string | null} text what it will hold; null deletes it
 * @property {string} why
 */

/**
 * Reads the stamp of a copy: which version was delivered last, and each file of it.
 *
 * @returns {{ version: string, files: Map<string, string> } | null} null where there is no copy
 */
export function readStamp(root) {
  const file = path.join(root, FOLDER, STAMP);
  if (!existsSync(file)) return null;
  try {
    const { version, files } = JSON.parse(readFileSync(file, 'utf8'));
    const unpacked = gunzipSync(Buffer.from(files.join(''), 'base64')).toString();
    return { version, files: new Map(JSON.parse(unpacked)) };
  } catch (error) {
    throw new UserError(
      `${file} is damaged (${error.message}). Take it back from your repository.`
    );
  }
}

/** @returns {string} the stamp's text, in lines that a diff can show */
function writeStamp(version, delivered) {
  const packed = gzipSync(JSON.stringify([...delivered]), { level: 9 }).toString('base64');
  const about =
    'What was copied in, for the next upgrade to merge with. Keep it in your repository; nothing loads it.';
  return `${JSON.stringify({ about, version, files: packed.match(/.{1,120}/g) }, null, 2)}\n`;
}

/**
 * What has to be changed in the folder so that it holds what is delivered, and whatever its owner edited.
 *
 * @param {string} root the project's
 * @param {{ version: string, files: Map<string, string> } | null} stamp
 * @param {string} version of what is delivered
 * @param {Map<string, string>} delivered
 * @param {boolean} combine whether a strapi-server of the owner's is to be composed with ours
 * @returns {{ changes: Change[], remarks: string[] }}
 * @throws {UserError} if files of the owner's are in the way
 */
export function planFolder(root, stamp, version, delivered, combine) {
  const read = (name) => {
    const file = path.join(root, FOLDER, name);
    return existsSync(file) ? readFileSync(file, 'utf8') : null;
  };
  const changes = [];
  const remarks = [];
  const put = (name, text, why) => changes.push({ path: `${FOLDER}/${name}`, text, why });

  if (stamp) refuseUnmerged(root, stamp, delivered);
  const composed = stamp === null ? composeServers(read, delivered, combine, put) : null;

  for (const name of new Set([...(stamp?.files.keys() ?? []), ...delivered.keys()])) {
    const base = stamp?.files.get(name) ?? null;
    const next = delivered.get(name) ?? null;
    const mine = read(name);
    if (name === composed) continue;

    if (mine === null) {
      if (base === null) put(name, next, 'new');
      else if (next !== null && next !== base) {
        remarks.push(`${name} has changed since you deleted it, and stays deleted.`);
      }
    } else if (same(mine, next) || same(base, next)) {
      continue;
    } else if (next === null) {
      if (same(mine, base)) put(name, null, 'no longer part of it');
      else remarks.push(`${name} is no longer part of it, and stays since you edited it.`);
    } else if (same(mine, base)) {
      put(name, endedAs(mine, next), 'replaced: not edited by you');
    } else {
      const merged = base === null ? null : merge(mine, base, next);
      if (merged !== null) put(name, merged, 'merged with your edits: look at it');
      else
        put(name + CONFLICT_SUFFIX, next, `${name} is yours: merge the two, then delete this one`);
    }
  }

  if (stamp === null) refuseOccupied(changes);
  if (!sameFiles(stamp?.files, delivered) || stamp.version !== version) {
    put(STAMP, writeStamp(version, delivered), `records version ${version}`);
  }
  return { changes, remarks };
}

/**
 * How the copy stands to what was delivered.
 *
 * @returns {{ edited: string[], deleted: string[], beside: string[] }} names within the folder
 */
export function compare(root, { files }) {
  const state = { edited: [], deleted: [], beside: [] };
  for (const [name, base] of files) {
    const file = path.join(root, FOLDER, name);
    if (!existsSync(file)) state.deleted.push(name);
    else if (!same(readFileSync(file, 'utf8'), base)) state.edited.push(name);
    if (existsSync(file + CONFLICT_SUFFIX)) state.beside.push(name);
  }
  return state;
}

/** A checkout may have turned line ends into the machine's. */
const unix = (text) => text.replaceAll('\r\n', '\n');
const same = (a, b) => a !== null && b !== null && unix(a) === unix(b);
const endedAs = (mine, text) => (mine.includes('\r\n') ? text.replaceAll('\n', '\r\n') : text);

const sameFiles = (a, b) => JSON.stringify([...(a ?? [])]) === JSON.stringify([...b]);

/** @returns {string | null} both sides' changes in one text, or null where they conflict */
function merge(mine, base, next) {
  const folder = mkdtempSync(path.join(tmpdir(), 'refresh-token-merge-'));
  try {
    const files = [mine, base, next].map((text, index) => {
      const file = path.join(folder, String(index));
      writeFileSync(file, unix(text));
      return file;
    });
    const { status, stdout, error } = spawnSync('git', ['merge-file', '-p', ...files], {
      encoding: 'utf8',
    });
    if (error) throw new UserError(`Merging your edits needs git: ${error.message}`);
    return status === 0 ? endedAs(mine, stdout) : null;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The next version would take an edit that lacks this one's changes for one that has them. */
function refuseUnmerged(root, stamp, delivered) {
  const { beside } = compare(root, stamp);
  if (beside.length === 0 || sameFiles(stamp.files, delivered)) return;
  throw new UserError(
    `There is a newer version, but the last one is not merged yet. In ${FOLDER}, merge each of these with the file of the same name and ${CONFLICT_SUFFIX}, and delete the latter: ${beside.join(', ')}`
  );
}

/** On a first copy, what is there and is not what is delivered is somebody else's. */
function refuseOccupied(changes) {
  const occupied = changes.filter(({ path: name }) => name.endsWith(CONFLICT_SUFFIX));
  if (occupied.length === 0) return;
  const names = occupied.map(({ path: name }) => `  ${name.slice(0, -CONFLICT_SUFFIX.length)}`);
  throw new UserError(
    `These files are there already, and are not those that would be copied:\n${names.join('\n')}\nMove them away, or if they are a copy of this extension that you made by hand, delete the ones that you did not edit.`
  );
}

/**
 * Two extensions of one plugin: theirs is applied first, and ours wraps what it returns.
 *
 * @returns {string | null} the name of the file that is composed here, if one is
 */
function composeServers(read, delivered, combine, put) {
  const ours = SERVER.find((name) => delivered.has(name));
  const theirs = SERVER.find(
    (name) => read(name) !== null && !same(read(name), delivered.get(name))
  );
  if (!theirs) return null;

  const renamed = theirs.replace('strapi-server', 'mine');
  const text = read(theirs);
  const lines = compositionOf(ours, text);
  const [last] = /^(export default|module\.exports =) withRefreshTokens;$/m.exec(
    delivered.get(ours)
  );

  if (path.extname(theirs) !== path.extname(ours)) {
    throw new UserError(`${FOLDER}/${theirs} is there, in another language than the project's.`);
  }
  if (!combine || read(renamed) !== null) {
    throw new UserError(
      `${FOLDER}/${theirs} is yours, and is not overwritten. To have both, yours first:
  1. rename it to ${renamed}${read(renamed) === null ? '' : ' (which is there too: choose another name)'}
  2. run this again
  3. in the new ${ours}, put in place of the last line, "${last}":
${lines.map((line) => `       ${line}`).join('\n')}
With --combine this does so for you.`
    );
  }
  put(renamed, text, `your ${theirs}, under another name`);
  if (theirs !== ours) put(theirs, null, `now ${renamed}`);
  put(ours, delivered.get(ours).replace(last, lines.join('\n')), 'applies yours, then this');
  return ours;
}

function compositionOf(ours, theirText) {
  if (ours.endsWith('.ts') && /^export default\b|^export \{.*\bdefault\b/m.test(theirText)) {
    return [
      "import mine from './mine';",
      'export default async (plugin: any) => withRefreshTokens((await (mine as any)(plugin)) ?? plugin);',
    ];
  }
  return ours.endsWith('.ts')
    ? [
        "const mine: any = require('./mine');",
        'export default async (plugin: any) => withRefreshTokens((await mine(plugin)) ?? plugin);',
      ]
    : [
        "const mine = require('./mine');",
        'module.exports = async (plugin) => withRefreshTokens((await (mine.default ?? mine)(plugin)) ?? plugin);',
      ];
}
