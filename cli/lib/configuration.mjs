// Reads a project's config files without running them, and finds what must be changed there and what is questionable.
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import ts from './typescript.mjs';
import { readOwners } from './files.mjs';

/** Front ends of Strapi's own refresh mode send it; the stock preflight does not allow it. */
const HEADER = 'x-strapi-refresh-cookie';

const LINES = `      {
        name: 'strapi::cors',
        config: {
          origin: ['https://www.example.com'], // your front ends
          headers: ['Content-Type', 'Authorization', 'Origin', 'Accept', '${HEADER}'],
        },
      },`;

/**
 * @param {string} root the project's
 * @returns {string[]} where Strapi's own refresh mode is enabled, with which the extension refuses to boot
 */
export function findRefreshMode(root) {
  const found = [];
  for (const { name, source } of configFiles(root, 'plugins')) {
    visit(source, (node) => {
      if (ts.isPropertyAssignment(node) && keyOf(node) === 'jwtManagement') {
        if (!ts.isStringLiteral(node.initializer) || node.initializer.text !== 'refresh') return;
        const { line } = source.getLineAndCharacterOfPosition(node.getStart());
        found.push(`${name}, line ${line + 1}: delete ${node.getText()}`);
      }
    });
  }
  return found;
}

/**
 * @param {string} root the project's
 * @returns {string[]} what would block a front end on a different origin, with the lines to paste; empty if nothing would
 */
export function reviewCors(root) {
  return configFiles(root, 'middlewares').flatMap(({ name, source }) => {
    const entry = findCors(source);
    const doubts = entry === null ? ['strapi::cors is missing'] : doubtsOf(entry);
    if (doubts.length === 0) return [];
    return [
      `${name}, if your front end is on a different origin than the API:\n${doubts
        .map((doubt) => `    - ${doubt}`)
        .join('\n')}\n    ${entry === null ? 'Add' : 'Replace it with'}:\n${LINES}`,
    ];
  });
}

function doubtsOf(entry) {
  const config = ts.isObjectLiteralExpression(entry) ? valueOf(entry, 'config') : null;
  const set = (name) =>
    config && ts.isObjectLiteralExpression(config) ? valueOf(config, name) : null;
  const doubts = [];

  const origin = set('origin');
  if (origin === null || /^\[?\s*['"]\*['"]\s*,?\s*\]?$/.test(origin.getText())) {
    doubts.push('origin allows every site, so scripts on any site can read what your visitors can');
  }
  if (set('credentials')?.kind === ts.SyntaxKind.FalseKeyword) {
    doubts.push('credentials is false, so browsers neither store nor send the cookie');
  }
  const headers = set('headers');
  if (headers === null || !headers.getText().toLowerCase().includes(HEADER)) {
    doubts.push(
      `headers lacks ${HEADER}, which only front ends written for Strapi's own refresh mode send`
    );
  }
  return doubts;
}

/** @returns the entry of the list: a string, or an object with a configuration; null if there is none */
function findCors(source) {
  let entry = null;
  visit(source, (node) => {
    if (!ts.isStringLiteral(node) || node.text !== 'strapi::cors') return;
    entry = ts.isPropertyAssignment(node.parent) ? node.parent.parent : node;
  });
  return entry;
}

/** config/NAME and config/env/…/NAME, in either language. */
function configFiles(root, name) {
  const environments = path.join(root, 'config/env');
  const folders = statSync(environments, { throwIfNoEntry: false })?.isDirectory()
    ? readdirSync(environments).map((environment) => `config/env/${environment}`)
    : [];
  return ['config', ...folders]
    .flatMap((folder) => ['ts', 'js'].map((extension) => `${folder}/${name}.${extension}`))
    .map((file) => ({ name: file, text: readOwners(root, file) }))
    .filter(({ text }) => text !== null)
    .map(({ name: file, text }) => ({
      name: file,
      source: ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true),
    }));
}

function visit(node, look) {
  look(node);
  ts.forEachChild(node, (child) => visit(child, look));
}

const keyOf = ({ name }) => (ts.isStringLiteral(name) ? name.text : name.getText());

const valueOf = (object, key) =>
  object.properties.find((property) => ts.isPropertyAssignment(property) && keyOf(property) === key)
    ?.initializer ?? null;
