// What is copied: the folder and its admin panel as they are in this repository, in the language of the target project.
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { git } from './git.mjs';
import ts from './typescript.mjs';
import { UserError } from './user-error.mjs';

export const FOLDER = 'src/extensions/users-permissions';

/** The part that runs in the browser. Strapi builds it from there only. */
export const PANEL = 'src/admin/refresh-token';

export const isOfPanel = (name) => name.startsWith(`${PANEL}/`);

/** @returns {string} the path within the project of a file that is named within the folder; the panel's are named in full */
export const pathOf = (name) => (isOfPanel(name) ? name : `${FOLDER}/${name}`);

/** @returns {string | null} the name of a path within the project, as in `pathOf`; null for any other file */
export function nameOf(file) {
  if (isOfPanel(file)) return file;
  return file.startsWith(`${FOLDER}/`) ? file.slice(FOLDER.length + 1) : null;
}

/** The part that `--without` leaves out: the panel, and the folder's routes for it. */
export const ADMIN = 'admin';

const isOfAdmin = (name) => isOfPanel(name) || name.startsWith(`${ADMIN}/`);

/** A file that a release can have. Editors, file managers and people leave other files there. */
const NAME =
  /^(?:[a-z0-9][a-z0-9-]*\/)*(?:[a-z0-9][a-z0-9-]*(?:\.d)?\.(?:tsx?|jsx?|json|md)|README\.md|LICENSE)$/;

/**
 * Reads the folder and the panel, and for a project in JavaScript compiles them as you would write them by hand: the folder
 * to CommonJS, with the types in separate files, and the panel to ES modules with JSX.
 *
 * @param {string} repository this repository's root
 * @param {'ts' | 'js'} language the project's
 * @param {string | null} without `ADMIN` to leave it out
 * @returns {Promise<Map<string, string>>} text by name, sorted
 * @throws {UserError} if git cannot say which files belong to this repository, or none does
 */
export async function bundle(repository, language, without) {
  const all =
    trackedNames(repository) ?? [FOLDER, PANEL].flatMap((each) => namesIn(repository, each));
  const names = all.filter((name) => NAME.test(name));
  if (names.length === 0)
    throw new UserError(
      `${path.join(repository, FOLDER)} contains no files of the extension. Check out this repository again.`
    );

  // Git on Windows may have converted the line endings. A copy is the same on every machine.
  const sources = new Map(
    names.map((name) => [name, unix(readFileSync(path.join(repository, pathOf(name)), 'utf8'))])
  );
  if (without === ADMIN) leaveOutAdmin(sources);
  const files = language === 'ts' ? sources : await compileOnce(repository, sources);
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** As an owner would, who deletes its files, and its import and its line in strapi-server. */
function leaveOutAdmin(sources) {
  for (const name of [...sources.keys()].filter(isOfAdmin)) sources.delete(name);
  const server = 'strapi-server.ts';
  const lines = /^import \{ withAdmin \} .*\n|(?:^ *\/\/.*\n)+^ *withAdmin,\n/gm;
  if (sources.has(server)) sources.set(server, sources.get(server).replace(lines, ''));
}

/** @returns {string[] | null} the files that belong to this repository; null without git, as in a downloaded archive */
function trackedNames(repository) {
  const listed = askGit(repository, 'ls-files', '-z');
  const names = listed && new Set(listed.map(nameOf));
  // Git still lists deleted files.
  return names && [...names].filter((name) => isFile(path.join(repository, pathOf(name))));
}

/**
 * @param {string} repository this repository's root
 * @param {string | null} without what is not copied
 * @returns {string[]} what the user should know about the files that are copied; empty if none was edited
 */
export function uncommitted(repository, without) {
  const entries = askGit(repository, 'status', '--porcelain', '-z', '--no-renames', '-uall') ?? [];
  const named = (isUntracked) =>
    entries
      .filter((entry) => entry.startsWith('??') === isUntracked)
      .map((entry) => nameOf(entry.slice(3)))
      .filter((name) => !(without === ADMIN && isOfAdmin(name)))
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
    .map((file) => nameOf(slashes(path.relative(repository, file))));
}

const slashes = (file) => file.split(path.sep).join('/');

/** Text with the line endings that are compared and merged. */
export const unix = (text) => text.replaceAll('\r\n', '\n');

/** Compiling takes ten seconds. Keeps the result, so that `--dry-run` and the copy after it compile only once. */
async function compileOnce(repository, sources) {
  const made = [
    readFileSync(fileURLToPath(import.meta.url)),
    ts.version,
    JSON.stringify([...sources]),
  ];
  const key = createHash('sha256').update(made.join()).digest('hex');
  const kept = path.join(repository, '.tmp/copy-into', `${key}.json`);
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, 'utf8'));

  const files = await inJavaScript(repository, sources);
  try {
    mkdirSync(path.dirname(kept), { recursive: true });
    // Several may run at once: a file that is there is complete.
    writeFileSync(`${kept}.${process.pid}`, JSON.stringify(files));
    renameSync(`${kept}.${process.pid}`, kept);
  } catch {
    // The repository may be read-only. Then the next run compiles again.
  }
  return files;
}

/** @returns {Promise<[name: string, text: string][]>} */
async function inJavaScript(repository, sources) {
  const code = [...sources.keys()].filter((name) => /\.tsx?$/.test(name));
  const names = code.filter((name) => !isOfPanel(name));
  const style = await resolveConfig(path.join(repository, 'package.json'));
  const bases = code.map((name) => path.parse(name).name).join('|');
  const nameOfSource = new RegExp(`\\b(${bases})\\.ts(x?)\\b`, 'g');

  const files = new Map([...sources].filter(([name]) => !code.includes(name)));
  for (const [name, text] of compile(path.join(repository, FOLDER), sources, names)) {
    const module = name.endsWith('.d.ts') ? asTypes(text) : asCommonJs(text);
    if (module) files.set(name, await format(module, { ...style, filepath: name }));
  }
  for (const source of code.filter(isOfPanel)) {
    const name = inJavaScriptName(source);
    files.set(
      name,
      await format(withoutTypes(sources.get(source), source), { ...style, filepath: name })
    );
  }
  // The comments and the README mention files by name.
  return [...files].map(([name, text]) => [name, text.replace(nameOfSource, '$1.js$2')]);
}

/** Replaces empty lines during compilation, because the compiler keeps comments but drops empty lines. */
const EMPTY_LINE = '//EMPTY-LINE';

/** A comment before the first import would be dropped with it, if the import is only of types. */
const HEADER = /^\/\*\*.*?\*\/\n(?=import)/s;

const prepared = (text) => text.replace(HEADER, '').replace(/^$/gm, EMPTY_LINE);
const restored = (source, text) =>
  (HEADER.exec(source)?.[0] ?? '') + text.replace(/^\s*\/\/EMPTY-LINE$/gm, '');

/** Vite accepts JSX only in a file that is named so. */
const inJavaScriptName = (name) => name.replace(/\.ts(x?)$/, '.js$1');

/** @returns {string} an ES module of the panel, with its JSX */
function withoutTypes(source, name) {
  const { outputText } = ts.transpileModule(prepared(source), {
    fileName: name,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      jsx: ts.JsxEmit.Preserve,
      isolatedModules: true,
    },
  });
  return restored(source, outputText);
}

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
    return ts.createSourceFile(file, prepared(source), ...rest);
  };
  const emitted = new Map();
  host.writeFile = (file, text) => {
    const name = slashes(path.relative(folder, file));
    emitted.set(name, restored(sources.get(name.replace(/(\.d\.ts|\.js)$/, '.ts')), text));
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
