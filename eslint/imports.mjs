// Two rules about the imports between files. Both count imports of types: readers of a file have to follow those, too.
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const isFile = (file) => statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;

/** @returns {string | undefined} the path of an imported file, if it is in this project */
function resolve(importer, specifier) {
  if (!specifier.startsWith('.')) return undefined;
  const target = path.resolve(path.dirname(importer), specifier);
  return ['', '.ts', '.tsx', '.mjs', '/index.ts'].map((ending) => target + ending).find(isFile);
}

/** What each file imports, and when it was written: an editor keeps ESLint running for hours. */
const cache = new Map();

/** @returns {string[]} the paths of the files that a file imports */
function importsOf(file) {
  if (!/\.(tsx?|mjs)$/.test(file)) return [];
  const { mtimeMs } = statSync(file);
  const cached = cache.get(file);
  if (cached?.mtimeMs === mtimeMs) return cached.imports;
  const imports = ts
    .preProcessFile(readFileSync(file, 'utf8'))
    .importedFiles.map(({ fileName }) => resolve(file, fileName))
    .filter(Boolean);
  cache.set(file, { mtimeMs, imports });
  return imports;
}

/** @returns {string[] | undefined} the shortest chain of imports from one file to another, both included */
function findChain(from, to) {
  const reached = new Set([from]);
  const chains = [[from]];
  // Grows during the loop: files one import away come before those two imports away.
  for (const chain of chains) {
    const last = chain.at(-1);
    if (last === to) return chain;
    for (const file of importsOf(last)) {
      if (reached.has(file)) continue;
      reached.add(file);
      chains.push([...chain, file]);
    }
  }
  return undefined;
}

/** Calls a function with every import of the linted file and the path of the imported file. */
const eachImport = (context, check) => ({
  'ImportDeclaration, ExportNamedDeclaration, ExportAllDeclaration, ImportExpression, TSImportType'({
    source,
  }) {
    const target = source?.value && resolve(context.filename, source.value);
    if (target) check(source, target);
  },
});

const noCycle = {
  meta: { type: 'problem', schema: [] },
  create: (context) =>
    eachImport(context, (node, target) => {
      const chain = findChain(target, context.filename);
      if (!chain) return;
      const names = [context.filename, ...chain].map((file) => path.relative(context.cwd, file));
      context.report({ node, message: `Import cycle: ${names.join(' → ')}.` });
    }),
};

const layerOrder = {
  meta: {
    type: 'problem',
    schema: [
      {
        type: 'object',
        properties: {
          root: { type: 'string' },
          layers: { type: 'array', items: { type: 'array', items: { type: 'string' } } },
        },
        required: ['root', 'layers'],
        additionalProperties: false,
      },
    ],
  },
  create(context) {
    const [{ root, layers }] = context.options;
    const nameOf = (file) => path.relative(root, file).replace(/\.ts$/, '');
    const layerOf = (file) =>
      layers.findIndex((entries) =>
        entries.some((entry) =>
          entry.endsWith('/') ? nameOf(file).startsWith(entry) : nameOf(file) === entry
        )
      );
    const own = layerOf(context.filename);
    return {
      Program(node) {
        if (own === -1)
          context.report({ node, message: 'Add this file to the layers in eslint.config.mjs.' });
      },
      ...eachImport(context, (node, target) => {
        if (layerOf(target) >= own) return;
        const names = [context.filename, target].map(nameOf);
        context.report({
          node,
          message: `${names.join(' must not import ')}, which is not in a lower layer.`,
        });
      }),
    };
  },
};

export default { rules: { 'no-cycle': noCycle, 'layer-order': layerOrder } };
