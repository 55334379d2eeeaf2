// The copy: what it contains, and how that is merged with what is delivered now.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { hasFile, readText } from './files.mjs';
import { git } from './git.mjs';
import { FOLDER, isOfAdmin, pathOf, unix } from './names.mjs';
import { adaptImports, importsOf, movesOf } from './renames.mjs';
import { formatStamp, STAMP } from './stamp.mjs';
import { UserError } from './user-error.mjs';

/** The suffix of the new version of a file that could not be merged. Its owner merges the two and deletes this one. */
export const CONFLICT_SUFFIX = '.new';

/** The owner's from the start: delivered once. */
const isPolicy = (name) => /^policy\.[jt]s$/.test(name);
const isPolicyType = (name) => /^policy-types(\.d)?\.ts$/.test(name);

const SERVER = ['strapi-server.ts', 'strapi-server.js', 'strapi-server.mjs', 'strapi-server.cjs'];

/**
 * The changes that give the copy what is delivered and keep what its owner edited.
 *
 * @param {string} root the project's
 * @param {import('./stamp.mjs').Stamp | null} stamp
 * @param {import('./stamp.mjs').Stamp} next what is delivered
 * @param {boolean} combine whether to compose the owner's strapi-server with ours
 * @returns {{ changes: import('./files.mjs').Change[], remarks: string[], moves: Map<string, string> }}
 * @throws {UserError} if the owner's files are in the way
 */
export function planCopy(root, stamp, next, combine) {
  const { files: delivered } = next;
  const read = (name) => readText(root, pathOf(name));
  const changes = [];
  const occupied = [];
  const remarks = [];
  const put = (name, text, why) => changes.push({ path: pathOf(name), text, why });

  if (stamp) refuseUnmerged(root, stamp, delivered);
  const composed = stamp === null ? composeServers(read, delivered, combine, put) : null;
  const before = stamp?.files ?? new Map();
  const moves = movesOf(before, delivered);
  const oldNames = new Map([...moves].map(([old, name]) => [name, old]));
  const names = [...before.keys()].map((name) => moves.get(name) ?? name);

  for (const name of new Set([...names, ...delivered.keys()])) {
    if (name === composed) continue;
    const old = oldNames.get(name) ?? name;
    // Where the owner's text is now: an interrupted run may already have moved it.
    const from = read(old) === null ? name : old;
    const adapt = (text, place) =>
      text === null ? null : adaptImports(text, pathOf(place), pathOf(name), moves);
    const [there, ours] = [read(name), delivered.get(name) ?? null];
    const mine = adapt(read(from), from);
    const base = adapt(before.get(old) ?? null, old);
    const { text, why, remark, isConflict } =
      isPolicy(name) && mine !== null ? { text: mine, why: KEPT } : reconcile(mine, base, ours);

    const shown = old === name ? name : `${name} (was ${old})`;
    if (remark) remarks.push(`${shown} ${remark}`);
    if (from !== name && there !== null && !same(there, text)) refuseInTheWay(old, name);
    if (isConflict && stamp === null) occupied.push(name);
    else if (isConflict && !same(read(name + CONFLICT_SUFFIX), ours)) {
      const todo = `${shown} has your edits: merge the two, then delete this one`;
      put(name + CONFLICT_SUFFIX, ours, todo);
    }
    if (text !== there && !same(text, there)) put(name, text, why);
    if (from !== name)
      changes.push({ path: pathOf(old), text: null, why: 'moved', to: pathOf(name) });
  }

  const imported = keepImported(changes, [...new Set([...names, ...delivered.keys()])], read);
  if (imported.length > 0) {
    remarks.push(
      `Also kept, because other kept files import them: ${imported.join(', ')}. Delete all of these at the same time.`
    );
  }
  const type = [...before.keys()].find(isPolicyType);
  if (type && !same(before.get(type), delivered.get(type) ?? null)) {
    remarks.push(
      `The type of policy.ts has changed: see ${type}. Your policy stays as it is. Check that it still fits.`
    );
  }

  refuseOccupied(occupied);
  const isRecorded =
    stamp?.version === next.version && stamp.without === next.without && !stamp.isOld;
  if (!isRecorded || !sameFiles(stamp.files, delivered)) {
    put(STAMP, formatStamp(next), `records version ${next.version}`);
  }
  return { changes, remarks, moves };
}

/**
 * Keeps the files of the left-out part that are imported by a file that its owner edited, which stays: without them, the build
 * would fail.
 *
 * @param {import('./files.mjs').Change[]} changes
 * @param {string[]} names of all files of the copy
 * @param {(name: string) => string | null} read
 * @returns {string[]} the names of the files that stay
 */
function keepImported(changes, names, read) {
  const kept = [];
  const changeOf = (name) => changes.find((change) => change.path === pathOf(name));
  const isDeleted = (name) => isOfAdmin(name) && changeOf(name)?.text === null;
  const queue = names.filter((name) => !isDeleted(name));
  for (const name of queue) {
    const text = changeOf(name)?.text ?? read(name) ?? '';
    const imported = new Set(importsOf(text, pathOf(name)));
    const found = names.filter(
      (other) =>
        isDeleted(other) && withoutExtension(pathOf(other)).some((each) => imported.has(each))
    );
    for (const other of found) changes.splice(changes.indexOf(changeOf(other)), 1);
    kept.push(...found);
    queue.push(...found);
  }
  return kept;
}

/** @returns {string[]} the ways in which an import can name a file */
const withoutExtension = (file) => {
  const stem = file.replace(/(?:\.d)?\.[jt]sx?$/, '');
  return [file, stem, stem.replace(/\/index$/, '')];
};

const REPLACED = 'replaced (you had not edited them)';
const KEPT = 'your own, with only the import paths updated';

/**
 * @param {string | null} mine the owner's text, null if there is none
 * @param {string | null} base what was delivered last
 * @param {string | null} next what is delivered now
 * @returns {{ text: string | null, why?: string, remark?: string, isConflict?: boolean }} the new contents of the file
 */
function reconcile(mine, base, next) {
  if (mine === null) {
    if (base === null) return { text: next, why: 'new' };
    if (next === null || next === base) return { text: null };
    return { text: null, remark: 'has changed since you deleted it. It stays deleted.' };
  }
  if (same(mine, next)) return { text: mine, why: REPLACED };
  if (same(base, next)) return { text: mine, why: KEPT };
  if (same(mine, base)) {
    if (next !== null) return { text: endedAs(mine, next), why: REPLACED };
    return {
      text: null,
      why: 'deleted (no longer part of the copy, and you had not edited them)',
    };
  }
  if (next === null) {
    const remark =
      'is no longer part of the copy. It was kept because you edited it. Delete it if you do not need it.';
    return { text: mine, why: KEPT, remark };
  }
  const merged = base === null ? null : merge(mine, base, next);
  if (merged === null) return { text: mine, why: KEPT, isConflict: true };
  return { text: merged, why: 'merged with your edits, please review' };
}

/**
 * How the copy differs from what was delivered.
 *
 * @returns {{ edited: string[], deleted: string[], beside: string[] }} names, as in `pathOf`
 */
export function compare(root, { files }) {
  const state = { edited: [], deleted: [], beside: [] };
  for (const [name, base] of files) {
    const mine = readText(root, pathOf(name));
    if (mine === null) state.deleted.push(name);
    else if (!same(mine, base)) state.edited.push(name);
    if (hasFile(root, pathOf(name) + CONFLICT_SUFFIX)) state.beside.push(name);
  }
  return state;
}

/** A checkout may have converted the line endings. */
const same = (a, b) => a !== null && b !== null && unix(a) === unix(b);
const endedAs = (mine, text) => (mine.includes('\r\n') ? text.replaceAll('\n', '\r\n') : text);

const sameFiles = (a, b) => JSON.stringify([...(a ?? [])]) === JSON.stringify([...b]);

/** @returns {string | null} both sides' changes in one text, or null if they conflict */
function merge(mine, base, next) {
  const folder = mkdtempSync(path.join(tmpdir(), 'refresh-token-merge-'));
  try {
    const files = [mine, base, next].map((text, index) => {
      const file = path.join(folder, String(index));
      writeFileSync(file, unix(text));
      return file;
    });
    const { status, stdout, error } = git(folder, 'merge-file', '-p', ...files);
    if (error)
      throw new UserError(
        `Git is required to merge your edits, but it could not be run: ${error.message}`
      );
    return status === 0 ? endedAs(mine, stdout) : null;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Otherwise the next upgrade would assume that the owner's edit already includes this version's changes. */
function refuseUnmerged(root, stamp, delivered) {
  if (sameFiles(stamp.files, delivered)) return;
  // If it is already the next version's, an interrupted run put it there.
  const unmerged = compare(root, stamp).beside.filter((name) => {
    const beside = readText(root, pathOf(name) + CONFLICT_SUFFIX);
    return !same(beside, delivered.get(name) ?? null);
  });
  if (unmerged.length === 0) return;
  throw new UserError(
    `There is a newer version, but the last upgrade is not fully merged. For each of these files, merge the file of the same name that ends in ${CONFLICT_SUFFIX} into it, then delete the ${CONFLICT_SUFFIX} file: ${unmerged.map(pathOf).join(', ')}`
  );
}

/** On a first copy, existing files that differ from what is delivered belong to somebody else. */
function refuseOccupied(names) {
  if (names.length === 0) return;
  throw new UserError(
    `These files already exist, and differ from those that would be copied:\n${names
      .map((name) => `  ${pathOf(name)}`)
      .join(
        '\n'
      )}\nMove them somewhere else. If they are a copy of this extension that you made by hand, delete those that you did not edit.`
  );
}

/** Both may contain edits that their owner needs, but only one can have this name. */
function refuseInTheWay(old, name) {
  throw new UserError(
    `${pathOf(old)} would move to ${pathOf(name)}, where there is already another file. Nothing was changed. Move that file somewhere else, then run this again.`
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
    throw new UserError(
      `${FOLDER}/${theirs} is not in the language of the project. Convert it or move it somewhere else, then run this again.`
    );
  }

  const renamed = theirs.replace('strapi-server', 'mine');
  const [text, kept] = [read(theirs), read(renamed)];
  const [last] = /^(export default|module\.exports =) withRefreshTokens;$/m.exec(
    delivered.get(ours)
  );
  const compose = (own) => delivered.get(ours).replace(last, compositionOf(ours, own).join('\n'));

  // An interrupted run has already done it, or the first half of it.
  if (kept !== null && same(text, compose(kept))) return ours;
  if (!combine || (kept !== null && !same(kept, text))) {
    throw new UserError(
      `${FOLDER}/${theirs} is yours and will not be overwritten. To apply both, yours first:
  1. rename it to ${renamed}${kept === null ? '' : ' (which also exists: choose another name)'}
  2. run this again
  3. in the new ${ours}, replace the last line, "${last}", with:
${compositionOf(ours, text)
  .map((line) => `       ${line}`)
  .join('\n')}
Or run this with --combine, which does it for you.`
    );
  }
  if (kept === null) put(renamed, text, `your ${theirs}, renamed`);
  put(ours, compose(text), 'applies yours first, then the extension');
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
