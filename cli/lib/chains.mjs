// Resolves expressions such as `strapi.plugin('users-permissions').service('jwt').issue` to one spelling, without running
// anything: "running.services.jwt.issue". Anything too dynamic for that is not found.

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

/** Names in one import, about. */
const MAX_IMPORTED = 1000;

const METHOD = /^(?:(?:running|extension)\.(?:services|controllers)\.[\w-]+|jsonwebtoken)\.[^.]+$/;
const KNOWN = /^(?:running|extension|jsonwebtoken)(?:\.|$)/;

const ASSIGNMENT = /^(?:=|\*\*=|&&=|\|\|=|\?\?=|<<=|>>>?=|[-+*/%&|^]=)$/;

/**
 * @typedef {object} Use
 * @property {string} chain
 * @property {'call' | 'assign' | 'variable' | 'use'} role how the expression is used
 * @property {number} first index of its first token
 * @property {number} next index of the token after it
 */

/**
 * @param {import('./tokens.mjs').Token[]} tokens of a file
 * @param {boolean} isExtension whether the file extends users-permissions, by a parameter that may have any name
 * @param {boolean} mentionsPlugin whether the file names users-permissions
 * @returns {Use[]} in the order of the file
 */
export function chainsOf(tokens, isExtension, mentionsPlugin) {
  /** What each variable contains, by name. Scopes are ignored. */
  const variables = new Map();
  /** The first token of what is assigned to a new variable. */
  const initializers = new Set();
  const found = [];

  const is = (at, ...marks) => tokens[at]?.kind === 'mark' && marks.includes(tokens[at].text);
  const isName = (at, ...names) =>
    tokens[at]?.kind === 'name' && (names.length === 0 || names.includes(tokens[at].text));

  const rules = [
    ...SPELLINGS,
    ...(isExtension || mentionsPlugin ? [HELPER] : []),
    ...(isExtension ? [PARAMETER] : []),
  ];
  const spell = (text) => rules.reduce((result, [from, to]) => result.replace(from, to), text);
  const join = (base, ...names) => {
    const text = base === null ? null : [base, ...names].join('.');
    return text === null || text.length > LONGEST ? null : spell(text);
  };

  /**
   * Reads the expression that starts at a token.
   *
   * @param {(chain: string | null, next: number) => void} onCall gets everything that it calls
   * @returns {{ chain: string | null, next: number, isAlone: boolean } | null} null if it is not a chain
   */
  const read = (at, onCall) => {
    let chain;
    let next;
    let isAlone = false;
    if (is(at, '(')) {
      const inner = read(at + 1, () => {});
      if (!inner || afterCast(inner.next) !== tokens[at].close) return null;
      [chain, next] = [inner.chain, tokens[at].close + 1];
    } else if (isName(at, 'await')) {
      return read(at + 1, onCall);
    } else if (isName(at)) {
      const { text } = tokens[at];
      [chain, next, isAlone] = [variables.get(text) ?? text, at + 1, true];
    } else return null;

    for (;;) {
      const start = is(next, '!') && is(next + 1, '.', '[', '(') ? next + 1 : next;
      const called = is(start, '?.') && is(start + 1, '(', '[') ? start + 1 : start;
      if (is(start, '.', '?.') && isName(start + 1)) {
        [chain, next] = [join(chain, tokens[start + 1].text), start + 2];
      } else if (is(called, '[')) {
        const { close } = tokens[called];
        const isText = close === called + 2 && tokens[called + 1].kind === 'string';
        [chain, next] = [join(chain, isText ? tokens[called + 1].text : '[]'), close + 1];
      } else if (is(called, '(')) {
        onCall(chain, called);
        // What a method returns is a different thing.
        const isMethod = chain === null || METHOD.test(chain);
        chain = isMethod ? null : join(chain, ...textsIn(called));
        next = tokens[called].close + 1;
      } else return { chain, next, isAlone };
      isAlone = false;
    }
  };

  /** The arguments of a call that are strings. */
  const textsIn = (open) => {
    const texts = [];
    for (let at = open + 1; at < tokens[open].close; at = (tokens[at].close ?? at) + 1) {
      const isArgument = is(at - 1, '(', ',') && (is(at + 1, ',') || at + 1 === tokens[open].close);
      if (isArgument && tokens[at].kind === 'string') texts.push(tokens[at].text);
    }
    return texts;
  };

  /** After `!`, `as …` and `satisfies …`. */
  const afterCast = (at) => {
    let next = is(at, '!') ? at + 1 : at;
    if (!isName(next, 'as', 'satisfies')) return next;
    while (next < tokens.length && !is(next, ')', ']', '}', ',', ';', '=')) {
      next = (tokens[next].close ?? next) + 1;
    }
    return next;
  };

  /** @returns {Use['role'] | null} null if the expression is a part of a longer one, which is read separately */
  const roleOf = (first, next, isAlone) => {
    let [start, after] = [first, afterCast(next)];
    while (
      isName(start - 1, 'await') ||
      (is(start - 1, '(') && tokens[start - 1].close === after)
    ) {
      const isCall = is(start - 1, '(') && (isName(start - 2) || is(start - 2, ')', ']'));
      if (isCall && !isName(start - 2, 'await', 'return')) break;
      after = is(start - 1, '(') ? afterCast(after + 1) : after;
      start -= 1;
    }
    if (is(after, '(')) return 'call';
    if (isAlone || is(after, '.', '?.', '[')) return null;
    if (tokens[after]?.kind === 'mark' && ASSIGNMENT.test(tokens[after].text)) return 'assign';
    return initializers.has(start) ? 'variable' : 'use';
  };

  const note = (name, chain) => {
    if (chain !== null && KNOWN.test(chain)) variables.set(name, chain);
  };
  /** `{ one, two: three }` or, in an import, `{ one, two as three }`. */
  const noteElements = (open, base) => {
    for (let at = open + 1; at < tokens[open].close; at += 1) {
      if (!isName(at) || !is(at - 1, '{', ',')) continue;
      const renames = (is(at + 1, ':') || isName(at + 1, 'as')) && isName(at + 2);
      note(tokens[renames ? at + 2 : at].text, join(base, tokens[at].text));
    }
  };
  const noteDeclaration = (at) => {
    const pattern = is(at, '{');
    let equals = pattern ? tokens[at].close + 1 : at + 1;
    // A type may be in between.
    while (is(equals, ':') || (equals > at + 1 && !is(equals, '=', ';', ')'))) {
      if (equals >= tokens.length) return;
      equals = (tokens[equals].close ?? equals) + 1;
    }
    if (!is(equals, '=')) return;
    initializers.add(equals + 1);
    const value = read(equals + 1, () => {});
    if (!value) return;
    if (pattern) noteElements(at, value.chain);
    else if (isName(at)) note(tokens[at].text, value.chain);
  };
  const noteImport = (at) => {
    let from = at + 1;
    const most = Math.min(tokens.length, at + MAX_IMPORTED);
    while (from < most && tokens[from].kind !== 'string' && !is(from, ';', '(')) {
      from = (tokens[from].close ?? from) + 1;
    }
    if (tokens[from]?.kind !== 'string') return;
    const base = spell(`require.${tokens[from].text}`);
    for (let each = at + 1; each < from; each = (tokens[each].close ?? each) + 1) {
      if (is(each, '{')) noteElements(each, base);
      else if (isName(each) && !isName(each, 'from', 'as', 'type')) note(tokens[each].text, base);
    }
  };

  for (let at = 0; at < tokens.length; at += 1) {
    if (isName(at, 'import')) noteImport(at);
    if (isName(at, 'const', 'let', 'var')) noteDeclaration(at + 1);
    const isStart = (isName(at) && !is(at - 1, '.', '?.') && !isName(at, 'await')) || is(at, '(');
    if (!isStart) continue;
    const add = (chain, role, next) => {
      if (chain !== null && role) found.push({ chain, role, first: at, next });
    };
    const expression = read(at, (chain, next) => add(chain, 'call', next));
    if (!expression) continue;
    const { chain, next, isAlone } = expression;
    // Of a parenthesis, only what follows it: the rest is read at its own start.
    const isWrapped = is(at, '(') && next === tokens[at].close + 1;
    const role = isWrapped ? null : roleOf(at, next, isAlone);
    if (role !== 'call') add(chain, role, afterCast(next));
  }
  return found;
}
