// The copied folder: what is in it, and how it comes together with what is delivered now.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { FOLDER, unix } from './bundle.mjs';
import { hasFile, readText } from './files.mjs';
import { git } from './git.mjs';
import { adaptImports, movesOf } from './renames.mjs';
import { STAMP, writeStamp } from './stamp.mjs';
import { UserError } from './user-error.mjs';

/** A file that could not be merged has the new one beside it, until its owner has merged them and deleted this one. */
export const CONFLICT_SUFFIX = '.new';

const SERVER = ['strapi-server.ts', 'strapi-server.js', 'strapi-server.mjs', 'strapi-server.cjs'];

const at = (name) => `${FOLDER}/${name}`;

/**
 * What has to be changed in the folder so that it holds what is delivered, and whatever its owner edited.
 *
 * @param {string} root the project's
 * @param {{ version: string, files: Map<string, string> } | null} stamp
 * @param {string} version of what is delivered
 * @param {Map<string, string>} delivered
 * @param {boolean} combine whether a strapi-server of the owner's is to be composed with ours
 * @returns {{ changes: import('./files.mjs').Change[], remarks: string[], moves: Map<string, string> }}
 * @throws {UserError} if files of the owner's are in the way
 */
export function planFolder(root, stamp, version, delivered, combine) {
  const read = (name) => readText(root, at(name));
  const changes = [];
  const occupied = [];
  const remarks = [];
  const put = (name, text, why) => changes.push({ path: at(name), text, why });

  if (stamp) refuseUnmerged(root, stamp, delivered);
  const composed = stamp === null ? composeServers(read, delivered, combine, put) : null;
  const before = stamp?.files ?? new Map();
  const moves = movesOf(before, delivered);
  const oldNames = new Map([...moves].map(([old, name]) => [name, old]));
  const names = [...before.keys()].map((name) => moves.get(name) ?? name);

  for (const name of new Set([...names, ...delivered.keys()])) {
    if (name === composed) continue;
    const old = oldNames.get(name) ?? name;
    // Where the owner's text is: an interrupted run may have moved it already.
    const from = read(old) === null ? name : old;
    const adapt = (text, place) =>
      text === null ? null : adaptImports(text, at(place), at(name), moves);
    const [there, next] = [read(name), delivered.get(name) ?? null];
    const mine = adapt(read(from), from);
    const base = adapt(before.get(old) ?? null, old);
    const { text, why, remark, isConflict } = reconcile(mine, base, next);

    const shown = old === name ? name : `${name} (was ${old})`;
    if (remark) remarks.push(`${shown} ${remark}`);
    if (from !== name && there !== null && !same(there, text)) refuseInTheWay(old, name);
    if (isConflict && stamp === null) occupied.push(name);
    else if (isConflict && !same(read(name + CONFLICT_SUFFIX), next)) {
      const todo = `${shown} is yours: merge the two, then delete this one`;
      put(name + CONFLICT_SUFFIX, next, todo);
    }
    if (text !== there && !same(text, there)) put(name, text, why);
    if (from !== name) changes.push({ path: at(old), text: null, why: 'moved', to: at(name) });
  }

  refuseOccupied(occupied);
  if (!sameFiles(stamp?.files, delivered) || stamp.version !== version) {
    put(STAMP, writeStamp(version, delivered), `records version ${version}`);
  }
  return { changes, remarks, moves };
}

const REPLACED = 'replaced: not edited by you';
const KEPT = 'yours: only import paths are updated';

/**
 * @param {string | null} mine the owner's text, null where there is none
 * @param {string | null} base what was delivered last
 * @param {string | null} next what is delivered now
 * @returns {{ text: string | null, why?: string, remark?: string, isConflict?: boolean }} what the file is to hold
 */
function reconcile(mine, base, next) {
  if (mine === null) {
    if (base === null) return { text: next, why: 'new' };
    if (next === null || next === base) return { text: null };
    return { text: null, remark: 'has changed since you deleted it, and stays deleted.' };
  }
  if (same(mine, next)) return { text: mine, why: REPLACED };
  if (same(base, next)) return { text: mine, why: KEPT };
  if (same(mine, base)) {
    if (next !== null) return { text: endedAs(mine, next), why: REPLACED };
    return { text: null, why: 'deleted: no longer part of it, and not edited by you' };
  }
  if (next === null) {
    const remark = 'is no longer part of it, and stays because you edited it.';
    return { text: mine, why: KEPT, remark };
  }
  const merged = base === null ? null : merge(mine, base, next);
  if (merged === null) return { text: mine, why: KEPT, isConflict: true };
  return { text: merged, why: 'merged with your edits: look at it' };
}

/**
 * How the copy stands to what was delivered.
 *
 * @returns {{ edited: string[], deleted: string[], beside: string[] }} names within the folder
 */
export function compare(root, { files }) {
  const state = { edited: [], deleted: [], beside: [] };
  for (const [name, base] of files) {
    const mine = readText(root, at(name));
    if (mine === null) state.deleted.push(name);
    else if (!same(mine, base)) state.edited.push(name);
    if (hasFile(root, at(name) + CONFLICT_SUFFIX)) state.beside.push(name);
  }
  return state;
}

/** A checkout may have turned line ends into the machine's. */
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
    const { status, stdout, error } = git(folder, 'merge-file', '-p', ...files);
    if (error) throw new UserError(`Merging your edits needs git: ${error.message}`);
    return status === 0 ? endedAs(mine, stdout) : null;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The next version would take an edit that lacks this one's changes for one that has them. */
function refuseUnmerged(root, stamp, delivered) {
  if (sameFiles(stamp.files, delivered)) return;
  // One that is of the next version already was put there by a run that was interrupted.
  const unmerged = compare(root, stamp).beside.filter((name) => {
    const beside = readText(root, at(name) + CONFLICT_SUFFIX);
    return !same(beside, delivered.get(name) ?? null);
  });
  if (unmerged.length === 0) return;
  throw new UserError(
    `There is a newer version, but the last one is not merged yet. In ${FOLDER}, merge each of these with the file of the same name and ${CONFLICT_SUFFIX}, and delete the latter: ${unmerged.join(', ')}`
  );
}

/** On a first copy, what is there and is not what is delivered is somebody else's. */
function refuseOccupied(names) {
  if (names.length === 0) return;
  throw new UserError(
    `These files are there already, and are not those that would be copied:\n${names
      .map((name) => `  ${FOLDER}/${name}`)
      .join(
        '\n'
      )}\nMove them away, or if they are a copy of this extension that you made by hand, delete the ones that you did not edit.`
  );
}

/** Both may hold edits that their owner needs, and only one can be there. */
function refuseInTheWay(old, name) {
  throw new UserError(
    `${at(old)} moves to ${at(name)}, where another file is already. Nothing was changed. Move that file away, then run this again.`
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

  if (path.extname(theirs) !== path.extname(ours)) {
    throw new UserError(`${FOLDER}/${theirs} is there, in another language than the project's.`);
  }

  const renamed = theirs.replace('strapi-server', 'mine');
  const [text, kept] = [read(theirs), read(renamed)];
  const [last] = /^(export default|module\.exports =) withRefreshTokens;$/m.exec(
    delivered.get(ours)
  );
  const compose = (own) => delivered.get(ours).replace(last, compositionOf(ours, own).join('\n'));

  // A run that was interrupted has done it, or the first half of it.
  if (kept !== null && same(text, compose(kept))) return ours;
  if (!combine || (kept !== null && !same(kept, text))) {
    throw new UserError(
      `${FOLDER}/${theirs} is yours, and is not overwritten. To have both, yours first:
  1. rename it to ${renamed}${kept === null ? '' : ' (which is there too: choose another name)'}
  2. run this again
  3. in the new ${ours}, put in place of the last line, "${last}":
${compositionOf(ours, text)
  .map((line) => `       ${line}`)
  .join('\n')}
With --combine this does so for you.`
    );
  }
  if (kept === null) put(renamed, text, `your ${theirs}, under another name`);
  put(ours, compose(text), 'applies yours, then this');
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
