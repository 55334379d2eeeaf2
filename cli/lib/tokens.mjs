// Splits JavaScript, TypeScript or JSON into tokens, without running or understanding it. A parser would be a dependency of
// many megabytes, and what is looked for needs none.

/**
 * @typedef {object} Token
 * @property {'name' | 'string' | 'other' | 'mark'} kind `string` has no `${…}`; `mark` is punctuation
 * @property {string} text as written; of a string, its contents
 * @property {number} start offset of its first character
 * @property {number} end offset after its last character
 * @property {number} line from 1
 * @property {number} parent index of the bracket around it, -1 if there is none
 * @property {number} [close] of an opening bracket: index of its closing one, or the number of tokens if that is missing
 */

const TOKEN = new RegExp(
  [
    String.raw`(?<space>\s+|//.*|/\*(?:[^]*?\*/|[^]*))`,
    String.raw`(?<name>[\p{ID_Start}$_#][\p{ID_Continue}$]*)`,
    String.raw`(?<number>\.?\d[\w.]*)`,
    String.raw`(?<string>'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*")`,
    // Assignments are longer than one character, so that each is one token.
    String.raw`(?<mark>\?\.(?!\d)|=>|[=!]==?|(?:\*\*|&&|\|\||\?\?|<<|>>>?|[-+*/%&|^])=|[^])`,
  ].join('|'),
  'uy'
);
const REGEX = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const TEMPLATE = /(?:[^`\\$]|\\[^]|\$(?!\{))*(`|\$\{|$)/y;

/** After these, a slash starts a regular expression. */
const BEFORE_VALUE = /^(?:return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield)$/;

/**
 * @param {string} text
 * @returns {Token[]}
 */
export function tokenize(text) {
  const tokens = [];
  const open = [];
  let [at, line] = [0, 1];

  const push = (kind, start, end, value = text.slice(start, end)) => {
    tokens.push({ kind, text: value, start, end, line, parent: open.at(-1) ?? -1 });
    line += text.slice(start, end).split('\n').length - 1;
    at = end;
  };
  const match = (pattern) => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  /** From after the backtick, or after the bracket that ends an expression within the template. */
  const template = (start) => {
    at = start + 1;
    const [content, end] = match(TEMPLATE);
    const isWhole = text[start] === '`' && end !== '${';
    push(isWhole ? 'string' : 'other', start, at + content.length, unescaped(content, end));
    if (end === '${') {
      open.push(tokens.length - 1);
      tokens.at(-1).close = -1;
    }
  };

  while (at < text.length) {
    const last = tokens.at(-1);
    if (text[at] === '`') {
      template(at);
      continue;
    }
    const isValue =
      last && (last.kind !== 'mark' ? !BEFORE_VALUE.test(last.text) : /^[)\]}]$/.test(last.text));
    const regex = text[at] === '/' && !/^\/[/*]/.test(text.slice(at, at + 2)) && !isValue;
    const expression = regex && match(REGEX);
    if (expression) {
      push('other', at, at + expression[0].length);
      continue;
    }
    const { groups, 0: found } = match(TOKEN);
    const end = at + found.length;
    if (groups.space) {
      line += found.split('\n').length - 1;
      at = end;
    } else if (groups.string) push('string', at, end, unescaped(found.slice(1), found.at(-1)));
    else if (!groups.mark) push(groups.name ? 'name' : 'other', at, end);
    else if (/^[([{]$/.test(found)) {
      push('mark', at, end);
      tokens.at(-1).close = -1;
      open.push(tokens.length - 1);
    } else if (/^[)\]}]$/.test(found) && open.length > 0) {
      const opener = tokens[open.pop()];
      opener.close = tokens.length;
      if (opener.kind === 'other') template(at);
      else push('mark', at, end);
    } else push('mark', at, end);
  }
  for (const index of open) tokens[index].close = tokens.length;
  return tokens;
}

/** @returns {string} the contents of a string, whose escapes are only removed: what is looked for contains none */
const unescaped = (content, end) =>
  (end ? content.slice(0, content.length - end.length) : content).replace(/\\([^])/g, '$1');

/**
 * @param {Token[]} tokens
 * @param {number} index of the brace that opens an object
 * @returns {Map<string, { first: number, last: number, key: number }>} by name, where the key and the value of each property
 *   are; without methods, spreads and computed names
 */
export function propertiesOf(tokens, index) {
  const properties = new Map();
  let name = null;
  let first = index + 1;
  const end = (at) => {
    if (name !== null && at > first) {
      properties.set(name, { key: first - 2, first, last: at - 1 });
    }
    name = null;
    first = at + 1;
  };
  for (let at = index + 1; at < tokens[index].close; at += 1) {
    const { kind, text, close } = tokens[at];
    const isKey = name === null && at === first && (kind === 'name' || kind === 'string');
    if (isKey && tokens[at + 1]?.text === ':') {
      name = text;
      first = at + 2;
      at += 1;
    } else if (kind === 'mark' && text === ',') end(at);
    else if (close !== undefined) at = Math.min(close, tokens[index].close - 1);
  }
  end(tokens[index].close);
  return properties;
}
