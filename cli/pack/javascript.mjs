// Compiles what is copied for projects in JavaScript. Needs only TypeScript and Prettier.
import { createRequire } from 'node:module';
import path from 'node:path';
import { format, resolveConfig } from 'prettier';
import { FOLDER, isOfPanel } from '../lib/names.mjs';

/** Not imported: Node would search its nine megabytes for names to export, which takes longer than compiling. */
const ts = createRequire(import.meta.url)('typescript');

const slashes = (file) => file.split(path.sep).join('/');

/**
 * @param {string} repository the checkout's root
 * @param {Map<string, string>} sources TypeScript and other files, by name, as in `pathOf`
 * @returns {Promise<[name: string, text: string][]>} the folder in CommonJS, with the types in separate files, and the panel
 *   in ES modules with JSX, as you would write them by hand
 */
export async function inJavaScript(repository, sources) {
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

/**
 * Without any package that the files import, so that none needs to be installed: exports whose types come from one are
 * declared explicitly.
 *
 * @returns {Map<string, string>} ES modules and their declarations, by path
 */
function compile(folder, sources, names) {
  const options = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Node10,
    esModuleInterop: true,
    declaration: true,
    noCheck: true,
    strict: true,
    types: [],
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
  host.resolveModuleNameLiterals = (literals, file) =>
    literals.map(({ text }) =>
      text.startsWith('.')
        ? ts.resolveModuleName(text, file, options, host)
        : { resolvedModule: undefined }
    );
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
