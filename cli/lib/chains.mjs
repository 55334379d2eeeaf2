// Resolves expressions such as `strapi.plugin('users-permissions').service('jwt').issue` to one spelling, without running
// anything: "running.services.jwt.issue". Anything too dynamic for that is not found.
import ts from './typescript.mjs';

const isWrapper = (node) =>
  ts.isParenthesizedExpression(node) ||
  ts.isAsExpression(node) ||
  ts.isSatisfiesExpression(node) ||
  ts.isTypeAssertionExpression(node) ||
  ts.isNonNullExpression(node) ||
  ts.isAwaitExpression(node);

/** Spellings of the same thing, one after the other. */
const SPELLINGS = [
  [/^require\.jsonwebtoken(\.default)?/, 'jsonwebtoken'],
  [/^(?:.*\.)?plugins?\.users-permissions(?=\.|$)/, 'running'],
  [/^(?:.*\.)?(service|controller)s?(?:\.get)?\.plugin::users-permissions\./, 'running.$1s.'],
  [/^running\.(service|controller)\./, 'running.$1s.'],
];

/** Strapi's own plugins get their services through a helper of this name. */
const HELPER = [/^getService\./, 'running.services.'];

/** The parameter of an extension: `(plugin) => { plugin.services… }`. */
const PARAMETER = [
  /^(?!strapi\.|running\.)[\w$]+\.(?=(?:services|controllers|routes)(?:\.|$))/,
  'extension.',
];

/** None of the chains that are looked for is half as long. */
const LONGEST = 200;

const METHOD = /^(?:(?:running|extension)\.(?:services|controllers)\.[\w-]+|jsonwebtoken)\.[^.]+$/;
const KNOWN = /^(?:running|extension|jsonwebtoken)(?:\.|$)/;

/**
 * @param {boolean} isExtension whether the file extends users-permissions, by a parameter that may have any name
 * @param {boolean} mentionsPlugin whether the file names users-permissions
 */
export function createResolver(isExtension, mentionsPlugin) {
  /** What each variable contains, by name. Scopes are ignored. */
  const variables = new Map();

  const spell = (text) => {
    const rules = [
      ...SPELLINGS,
      ...(isExtension || mentionsPlugin ? [HELPER] : []),
      ...(isExtension ? [PARAMETER] : []),
    ];
    return rules.reduce((result, [from, to]) => result.replace(from, to), text);
  };

  /** @returns {string | null} the spelling of an expression */
  const resolve = (node) => {
    if (isWrapper(node)) return resolve(node.expression);
    if (ts.isIdentifier(node)) return variables.get(node.text) ?? node.text;
    if (node.kind === ts.SyntaxKind.ThisKeyword) return 'this';
    if (ts.isPropertyAccessExpression(node)) return join(resolve(node.expression), node.name.text);
    if (ts.isElementAccessExpression(node)) {
      const key = node.argumentExpression;
      return join(resolve(node.expression), ts.isStringLiteralLike(key) ? key.text : '[]');
    }
    if (!ts.isCallExpression(node)) return null;
    const called = resolve(node.expression);
    // What a method returns is a different thing.
    if (called === null || METHOD.test(called)) return null;
    const names = node.arguments.filter(ts.isStringLiteralLike).map(({ text }) => text);
    return join(called, ...names);
  };
  const join = (base, ...names) => {
    const text = base === null ? null : [base, ...names].join('.');
    return text === null || text.length > LONGEST ? null : spell(text);
  };

  /** Records what a declaration or an import assigns to variables. */
  const remember = (node) => {
    if (ts.isImportDeclaration(node) && node.importClause) {
      const { name, namedBindings } = node.importClause;
      const base = spell(`require.${node.moduleSpecifier.text}`);
      if (name) note(name, base);
      if (namedBindings && ts.isNamespaceImport(namedBindings)) note(namedBindings.name, base);
      if (namedBindings && ts.isNamedImports(namedBindings)) noteElements(namedBindings, base);
    }
    if (ts.isVariableDeclaration(node) && node.initializer) {
      const base = resolve(node.initializer);
      if (ts.isIdentifier(node.name)) note(node.name, base);
      if (ts.isObjectBindingPattern(node.name)) noteElements(node.name, base);
    }
  };
  const note = (name, chain) => {
    if (chain !== null && KNOWN.test(chain)) variables.set(name.text, chain);
  };
  const noteElements = ({ elements }, base) => {
    for (const { name, propertyName } of elements) {
      if (ts.isIdentifier(name)) note(name, join(base, (propertyName ?? name).text));
    }
  };

  return { resolve, remember };
}

/**
 * @returns {'call' | 'assign' | 'variable' | 'use' | null} how an expression is used; null if it is part of a longer chain
 */
export function roleOf(node) {
  const isLink = ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node);
  if (!isLink && !ts.isCallExpression(node) && !ts.isIdentifier(node)) return null;
  let [child, parent] = [node, node.parent];
  while (parent && isWrapper(parent)) [child, parent] = [parent, parent.parent];

  if (ts.isCallExpression(parent) && parent.expression === child) return 'call';
  // A name alone is usually a declaration.
  if (ts.isIdentifier(node)) return null;
  if (ts.isPropertyAccessExpression(parent)) return null;
  if (ts.isElementAccessExpression(parent) && parent.expression === child) return null;
  if (ts.isBinaryExpression(parent) && parent.left === child) {
    const { kind } = parent.operatorToken;
    const { FirstAssignment, LastAssignment } = ts.SyntaxKind;
    return kind >= FirstAssignment && kind <= LastAssignment ? 'assign' : 'use';
  }
  return ts.isVariableDeclaration(parent) ? 'variable' : 'use';
}
