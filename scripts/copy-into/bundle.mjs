// What is copied: the folder as it is in this repository, in the language of the target project.
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { format, resolveConfig } from 'prettier';
import { git } from './git.mjs';
import ts from './typescript.mjs';
import { UserError } from './user-error.mjs';

export const FOLDER = 'src/extensions/users-permissions';

/** A file that a release can have. Editors, file managers and people leave other files there. */
const NAME =
  /^(?:[a-z0-9][a-z0-9-]*\/)*(?:[a-z0-9][a-z0-9-]*(?:\.d)?\.(?:ts|js|json|md)|README\.md|LICENSE)$/;

/**
 * Reads the folder, and for a project in JavaScript compiles it: CommonJS as you would write it by hand, with the types in
 * separate files.
 *
 * @param {string} repository this repository's root
 * @param {'ts' | 'js'} language the project's
 * @returns {Promise<Map<string, string>>} text by path within the folder, sorted
 * @throws {UserError} if git cannot say which files belong to this repository, or none does
 */
export async function bundle(repository, language) {
  const folder = path.join(repository, FOLDER);
  const names = (trackedNames(repository) ?? namesIn(folder)).filter((name) => NAME.test(name));
  if (names.length === 0)
    throw new UserError(
      `${folder} contains no files of the extension. Check out this repository again.`
    );

  // Git on Windows may have converted the line endings. A copy is the same on every machine.
  const sources = new Map(
    names.map((name) => [name, unix(readFileSync(path.join(folder, name), 'utf8'))])
  );
  const files = language === 'ts' ? sources : await inJavaScript(repository, sources);
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** @returns {string[] | null} the folder's files that belong to this repository; null without git, as in a downloaded archive */
function trackedNames(repository) {
  const listed = askGit(repository, 'ls-files', '-z');
  const names = listed && new Set(listed.map((name) => name.slice(FOLDER.length + 1)));
  // Git still lists deleted files.
  return names && [...names].filter((name) => isFile(path.join(repository, FOLDER, name)));
}

/**
 * @param {string} repository this repository's root
 * @returns {string[]} what the user should know about the files that are copied; empty if none was edited
 */
export function uncommitted(repository) {
  const entries = askGit(repository, 'status', '--porcelain', '-z', '--no-renames', '-uall') ?? [];
  const named = (isUntracked) =>
    entries
      .filter((entry) => entry.startsWith('??') === isUntracked)
      .map((entry) => entry.slice(3 + FOLDER.length + 1))
      .join(', ');
  const [edited, untracked] = [named(false), named(true)];
  return [
    ...(edited ? [`Copied with uncommitted changes from this repository: ${edited}`] : []),
    ...(untracked ? [`Not copied, because this repository does not track them: ${untracked}`] : []),
  ];
}

/** @returns {string[] | null} what git says about the folder, one entry per file; null if this is not a git checkout */
function askGit(repository, ...options) {
  if (!existsSync(path.join(repository, '.git'))) return null;
  // Whoever owns the folder: this script is part of the same repository.
  const trusted = ['-c', 'safe.directory=*'];
  const { status, stdout, stderr, error } = git(repository, ...trusted, ...options, '--', FOLDER);
  if (status !== 0) {
    throw new UserError(
      `git cannot list the files of ${repository}: ${error?.message ?? stderr.trim()}\nIf you remove .git there, this command copies what is on disk.`
    );
  }
  return stdout.split('\0').filter(Boolean);
}

const isFile = (file) => lstatSync(file, { throwIfNoEntry: false })?.isFile() ?? false;

const namesIn = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    .map((file) => slashes(path.relative(folder, file)));

const slashes = (file) => file.split(path.sep).join('/');

/** Text with the line endings that are compared and merged. */
export const unix = (text) => text.replaceAll('\r\n', '\n');

async function inJavaScript(repository, sources) {
  const names = [...sources.keys()].filter((name) => name.endsWith('.ts'));
  const style = await resolveConfig(path.join(repository, 'package.json'));
  const bases = names.map((name) => path.basename(name, '.ts')).join('|');
  const nameOfSource = new RegExp(`\\b(${bases})\\.ts\\b`, 'g');

  const files = new Map([...sources].filter(([name]) => !names.includes(name)));
  for (const [name, text] of compile(path.join(repository, FOLDER), sources, names)) {
    const module = name.endsWith('.d.ts') ? asTypes(text) : asCommonJs(text);
    if (module) files.set(name, await format(module, { ...style, filepath: name }));
  }
  // The comments and the README mention files by name.
  return [...files].map(([name, text]) => [name, text.replace(nameOfSource, '$1.js')]);
}

/** Replaces empty lines during compilation, because the compiler keeps comments but drops empty lines. */
const EMPTY_LINE = '//EMPTY-LINE';

/** A comment before the first import would be dropped with it, if the import is only of types. */
const HEADER = /^\/\*\*.*?\*\/\n(?=import)/s;

/** @returns {Map<string, string>} ES modules and their declarations, by path */
function compile(folder, sources, names) {
  const options = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Node10,
    esModuleInterop: true,
    skipLibCheck: true,
    declaration: true,
    strict: true,
    rootDir: folder,
    outDir: folder,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (file, ...rest) => {
    const source = sources.get(slashes(path.relative(folder, file)));
    if (source === undefined) return getSourceFile(file, ...rest);
    const text = source.replace(HEADER, '').replace(/^$/gm, EMPTY_LINE);
    return ts.createSourceFile(file, text, ...rest);
  };
  const emitted = new Map();
  host.writeFile = (file, text) => {
    const name = slashes(path.relative(folder, file));
    const [header = ''] = HEADER.exec(sources.get(name.replace(/(\.d\.ts|\.js)$/, '.ts'))) ?? [];
    emitted.set(name, header + text.replace(/^\s*\/\/EMPTY-LINE$/gm, ''));
  };
  ts.createProgram(
    names.map((name) => path.join(folder, name)),
    options,
    host
  ).emit();
  return emitted;
}

/** @returns the module with `require` and `module.exports`; null if it contains only types */
function asCommonJs(text) {
  if (/^export \{\};/m.test(text)) return null;
  const exported = [];
  const body = text
    .replace(/^import \* as (\w+) from ('.*');/gm, 'const $1 = require($2);')
    .replace(/^import (\w+) from ('.*');/gm, 'const $1 = require($2);')
    .replace(/^import (\{[^}]*\}) from ('.*');/gm, (_, bindings, from) => {
      return `const ${bindings.replace(/ as /g, ': ')} = require(${from});`;
    })
    .replace(/^export default (\w+);/m, 'module.exports = $1;')
    .replace(/^export ((?:async )?(?:const|function|class) (\w+))/gm, (_, statement, name) => {
      exported.push(name);
      return statement;
    });
  const end = exported.length > 0 ? `\nmodule.exports = { ${exported.join(', ')} };` : '';
  return `'use strict';\n\n${body}${end}\n`;
}

/** @returns the declarations of a module whose default export is the module */
const asTypes = (text) => text.replace(/^export default (\w+);/m, 'export = $1;');
