// Where copied files have moved, so that an owner's edits move with them.
import path from 'node:path';
import { nameOf, pathOf } from './names.mjs';

/**
 * The new name of each moved file by its old one, without the file extension. An entry applies
 * once a release has the new path and no longer the old one. A file that moves again gets another entry; entries must never
 * form a cycle.
 */
export const RENAMES = new Map([
  ['access-token-keys', 'config/jwt-keys'],
  ['boot', 'bootstrap'],
  ['cleanup', 'cron/cleanup'],
  ['config', 'config/read'],
  ['controllers/answer', 'http/response'],
  ['decide', 'sessions/refresh-outcome'],
  ['prepared', 'sessions/statements'],
  ['provider-sign-in', 'http/provider-sign-in'],
  ['refresh-token', 'sessions/refresh-token'],
  ['release', 'config/release'],
  ['services/access-token', 'services/jwt'],
  ['services/checked-password', 'services/user'],
  ['services/sessions', 'sessions/manager'],
  ['session-model', 'register'],
  ['store', 'sessions/repository'],
  ['strapi-settings', 'config/strapi-settings'],
  ['transport', 'http/request'],
  ['user-watch', 'lifecycles/user'],
]);

/**
 * @param {Map<string, string>} before what was delivered last, by name
 * @param {Map<string, string>} delivered what is delivered now
 * @returns {Map<string, string>} the new path of each file that moves, by its old one
 */
export function movesOf(before, delivered) {
  const moves = new Map();
  for (const name of before.keys()) {
    const [, stem, extension] = /^(.+?)((?:\.d)?\.[jt]sx?)$/.exec(name) ?? [];
    let next = delivered.has(name) ? undefined : RENAMES.get(stem);
    while (next && !delivered.has(next + extension)) next = RENAMES.get(next);
    if (next && !before.has(next + extension)) moves.set(name, next + extension);
  }
  return moves;
}

const RELATIVE_IMPORT = /(\b(?:from|import|import\(|require\()\s*['"])(\.[^'"\n]*)(?=['"])/g;

/** @returns {string[]} what a file imports by relative paths, as paths within the project, as they are written */
export const importsOf = (text, file) =>
  [...text.matchAll(RELATIVE_IMPORT)].map(([, , specifier]) =>
    path.posix.join(path.posix.dirname(file), specifier)
  );

/**
 * Updates the imports of a file for the new paths, including its own, as an editor does when it moves a file.
 *
 * @param {string} text of the file
 * @param {string} from the file's path within the project
 * @param {string} to its new path, or the same
 * @param {Map<string, string>} moves as `movesOf` returns them
 * @returns {string}
 */
export function adaptImports(text, from, to, moves) {
  return text.replace(
    RELATIVE_IMPORT,
    (_, before, specifier) => before + adaptSpecifier(specifier, from, to, moves)
  );
}

/** @returns {{ line: number, specifier: string }[]} the imports that `adaptImports` would change in a file that stays */
export function movedImports(text, file, moves) {
  return [...text.matchAll(RELATIVE_IMPORT)]
    .map(({ index, 2: was }) => ({
      line: text.slice(0, index).split('\n').length,
      was,
      specifier: adaptSpecifier(was, file, file, moves),
    }))
    .filter(({ was, specifier }) => was !== specifier);
}

function adaptSpecifier(specifier, from, to, moves) {
  const folder = path.posix.dirname(to);
  const target = path.posix.join(path.posix.dirname(from), specifier);
  const moved = ['', '.ts', '.js', '.tsx', '.jsx']
    .map((extension) => moves.get(nameOf(target + extension)))
    .find(Boolean);
  if (!moved && folder === path.posix.dirname(from)) return specifier;

  const now = moved ? pathOf(moved).replace(/\.[jt]sx?$/, '') : target;
  const adapted = path.posix.relative(folder, now);
  return adapted.startsWith('.') ? adapted : `./${adapted}`;
}
