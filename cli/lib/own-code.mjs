// Finds the project's own code that touches what the extension wraps. The code is only read, never run or changed.
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { chainsOf } from './chains.mjs';
import { readOwners, reasonOf } from './files.mjs';
import { FOLDER, nameOf } from './names.mjs';
import { movedImports } from './renames.mjs';
import { propertiesOf, tokenize } from './tokens.mjs';

/** Where server code is. The admin panel's code runs in the browser. */
const PLACES = ['src', 'config'];
const SKIPPED = ['node_modules', 'dist', 'build', '.tmp', '.cache', '.strapi', 'src/admin'];
const CODE = /(?<!\.d)\.[cm]?[jt]s$/;

const MAX_FILES = 5000;
const MAX_BYTES = 512 * 1024;
const MAX_NOTES = 30;
const MAX_LINES = 5;

/**
 * What to look for, by its spelling (see chains.mjs) and its use, and what happens there now. The first match counts. `$1`
 * is the first group of the expression.
 */
const RULES = [
  [
    /^(?:running|extension)\.services\.jwt\.issue$|jwt[\w$]*\.issue$/i,
    'call',
    'calls issue() of the jwt service: a token without a sid has no session, so signing out does not revoke it, and JWT_REQUIRE_SESSION=true rejects it. To open a session, call signIn() of the refresh-session service.',
  ],
  [
    /^(?:running|extension)\.services\.jwt\.verify$|jwt_?service[\w$]*\.verify$/i,
    'call',
    'calls verify() of the jwt service: it now also rejects a token whose session has ended.',
  ],
  [
    /^running\.services\.jwt$/,
    'use',
    'uses the jwt service: its issue() creates tokens without a session unless they carry a sid, and its verify() now also rejects a token whose session has ended.',
  ],
  [
    /^running\.services\.jwt(?:\.|$)|\bservices\.(?:extend|set)\.plugin::users-permissions\.jwt$/,
    'assign',
    'replaces the jwt service or a part of it at run time: this also replaces the session check, unless yours calls the previous function. Keep the sid in the tokens that it issues.',
  ],
  [
    /^extension\.services\.jwt$/,
    'assign',
    'replaces the jwt service: yours is called, and the session is checked as well. Keep the sid in the tokens that it issues, or signing out does not revoke them.',
  ],
  [
    /^extension\.services\.user$/,
    'assign',
    'replaces the user service: yours is called, and a password that it changes still ends the sessions of the user.',
  ],
  [
    /^extension\.controllers\.auth$/,
    'assign',
    'replaces the auth controller: yours is called, and a session is opened when it returns a jwt. Its refresh, logout, getSessions and revokeSession are not called, because this extension has its own.',
  ],
  [
    /^extension\.((?:services\.jwt|controllers\.auth)\.[\w$]+)$/,
    'assign',
    'assigns $1. If that is a property of a function, as in Strapi 5.54, Strapi ignores the assignment: wrap the function instead.',
  ],
  [
    /^running\.controllers\.auth(?:\.|$)|\bcontrollers\.(?:extend|set)\.plugin::users-permissions\.auth$/,
    'assign',
    'replaces the auth controller or an action of it at run time: a session is opened only if yours calls the previous function.',
  ],
  [
    /^running\.controllers\.auth\.(callback|register|changePassword|resetPassword)$/,
    'call',
    'calls $1() of the auth controller: it opens a session when it signs a user in.',
  ],
  [
    /^(?:running|extension)\.routes\.content-api(?:\.|$)/,
    null,
    'uses the list of routes of users-permissions: it can be read, pushed to and replaced as before. At run time it starts with the routes of this extension, so look up routes by path, not by position.',
  ],
  [
    /^jsonwebtoken\.sign$/,
    'call',
    'signs a token with jsonwebtoken itself: if it is an access token, it has no session, and signing out does not revoke it.',
  ],
  [
    /^jsonwebtoken\.verify$/,
    'call',
    'verifies a token with jsonwebtoken itself: if it is an access token, it is accepted even after its session has ended. verify() of the jwt service checks the session.',
  ],
  [
    /\blifecycles\.disable$/,
    'call',
    'turns database hooks off: changing a password or blocking a user meanwhile ends no sessions. Call signOut() of the refresh-session service afterwards.',
  ],
];

const OF_TABLE =
  "names the table up_users: changing a password or blocking a user there bypasses Strapi's database layer and ends no sessions. Call signOut() of the refresh-session service afterwards.";

const OF_MIDDLEWARE =
  'looks like an authentication middleware, and runs as before. If it reads access tokens: they now expire after JWT_SECRET_EXPIRES, and only verify() of the jwt service knows whether their session has ended.';

/** Packages that handle the same requests, with refresh tokens that this extension does not know. */
const OTHER_PACKAGES = [
  'strapi-plugin-refresh-token',
  '@redon2inc/strapi-plugin-refresh-token',
  'strapi-plugin-refreshing',
  'strapi-plugin-rrefresher',
  'strapi-plugin-jwt',
];
const ofPackage = (name) =>
  `${name} is installed, and handles the same requests with its own refresh tokens. Uninstall it: this extension has the routes that its front ends call.`;

const MIDDLEWARE = /(?:^|\/)middlewares\/.*(?:auth(?!ors?\b)|jwt|token|session|login)/i;

/** Paths that are likely to issue or revoke tokens. */
const TOKEN_ROUTE =
  /refresh[-_/]?tokens?|tokens?[-_/]refresh|\/auth\/.*refresh|\/(?:auth|tokens?)\/(?:revoke|token)|\/logout$/i;

/** No other files can contain any of the above. */
const WORTH_PARSING =
  /plugin|permissions|content-api|up_users|lifecycles|jwt|token|refresh|auth|logout/i;

/**
 * @param {string} root the project's
 * @param {Record<string, any>} manifest its package.json
 * @param {Map<string, string>} delivered the extension's own files, which are skipped
 * @param {import('./files.mjs').Change[]} changes that are about to be made, and may rename the owner's code
 * @param {Map<string, string>} moves the new path of each file of the extension that moves, by its old one
 * @returns {string[]} a note for each finding, with file and line, and one for what could not be checked
 */
export function reviewOwnCode(root, manifest, delivered, changes, moves) {
  const routes = routesOf(delivered);
  const changed = new Map(changes.map(({ path: name, text }) => [name, text]));
  const isOurs = (name) => changed.get(name) === null || delivered.has(nameOf(name));
  const { files, unread } = codeFiles(root, [...changed.keys()]);

  const found = [];
  const imports = [];
  for (const file of files.filter((name) => !isOurs(name))) {
    const count = found.length;
    const add = (line, sentence) => found.push({ file, line, sentence });
    try {
      const text = changed.get(file) ?? readSmall(path.join(root, file));
      for (const { line, specifier } of movedImports(text, file, moves)) {
        const sentence = `imports a file that has moved. Change the path to ${specifier}`;
        imports.push({ file, line, sentence });
      }
      if (WORTH_PARSING.test(text)) review(file, text, routes, add);
    } catch (error) {
      // Reading an expression is recursive. Nobody writes code that is nested this deeply.
      const reason = error instanceof RangeError ? 'nested too deeply' : reasonOf(error);
      unread.push(`${file} (${reason})`);
    }
    if (found.length === count && MIDDLEWARE.test(file)) add(1, OF_MIDDLEWARE);
  }
  found.push(...otherPackages(root, manifest));
  return [
    ...inWords(imports),
    ...inWords(found),
    ...(found.length > 0 ? [`More on these: "From your own code" in ${FOLDER}/README.md`] : []),
    ...(unread.length > 0 ? [`Not checked: ${unread.join(', ')}`] : []),
  ];
}

function otherPackages(root, { dependencies, devDependencies }) {
  const lines = readOwners(root, 'package.json').split('\n');
  return OTHER_PACKAGES.filter((name) => dependencies?.[name] ?? devDependencies?.[name]).map(
    (name) => ({
      file: 'package.json',
      line: lines.findIndex((line) => line.includes(`"${name}"`)) + 1,
      sentence: ofPackage(name),
    })
  );
}

/** One note for each file and message. */
function inWords(found) {
  const notes = new Map();
  for (const { file, line, sentence } of found) {
    const key = JSON.stringify([file, sentence]);
    if (!notes.has(key)) notes.set(key, { file, sentence, lines: new Set() });
    notes.get(key).lines.add(line);
  }
  const all = [...notes.values()].map(({ file, sentence, lines }) => {
    const shown = [...lines].slice(0, MAX_LINES).join(', ');
    const more = lines.size > MAX_LINES ? ' and more' : '';
    return `${file.replace(/\p{Cc}/gu, '?')}:${shown}${more} ${sentence}`;
  });
  const rest = all.length - MAX_NOTES;
  return rest > 0 ? [...all.slice(0, MAX_NOTES), `… and ${rest} more like these`] : all;
}

/** @returns {{ files: string[], unread: string[] }} the code in the usual places, without following links */
function codeFiles(root, others) {
  const folders = PLACES.filter((name) => isFolder(path.join(root, name)));
  const files = new Set(others.filter((name) => CODE.test(name)));
  const unread = [];
  for (const folder of folders) {
    let entries = [];
    try {
      entries = readdirSync(path.join(root, folder), { withFileTypes: true });
    } catch (error) {
      unread.push(`${folder} (${reasonOf(error)})`);
    }
    for (const entry of entries) {
      const name = `${folder}/${entry.name}`;
      if (SKIPPED.includes(entry.name) || SKIPPED.includes(name)) continue;
      if (entry.isDirectory()) folders.push(name);
      else if (entry.isFile() && CODE.test(name)) files.add(name);
    }
  }
  if (files.size > MAX_FILES) unread.push(`${files.size - MAX_FILES} more files`);
  return { files: [...files].sort().slice(0, MAX_FILES), unread };
}

const isFolder = (folder) => lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() ?? false;

function readSmall(file) {
  if (statSync(file).size > MAX_BYTES) throw new Error('too large');
  return readFileSync(file, 'utf8');
}

/** A row of a table of routes: a method and a path, which may start with another one that is a constant. */
const ROW = /\['(GET|POST|PUT|PATCH|DELETE)', (?:'(\/[^']*)'|PATH|`\$\{PATH\}(\/[^`]*)`),/g;

/** @returns {Set<string>} the extension's routes, such as "POST /token/refresh", from its route tables */
function routesOf(delivered) {
  const tables = ['routes', 'controllers/compatibility', 'admin/routes'];
  const texts = tables.map((name) => delivered.get(`${name}.ts`) ?? delivered.get(`${name}.js`));
  const rows = texts.join('\n').matchAll(ROW);
  return new Set(
    [...rows].map(([, method, whole, below = '']) => `${method} ${whole ?? ADMIN_PATH + below}`)
  );
}

/** `PATH` in admin/routes. It is not below /api. */
const ADMIN_PATH = '/users-permissions/sessions';

function review(file, text, routes, add) {
  const tokens = tokenize(text);
  for (const [index, token] of tokens.entries()) {
    if (token.kind === 'string' && token.text === 'up_users') add(token.line, OF_TABLE);
    if (token.kind === 'mark' && token.text === '{') {
      const sentence = ofRoute(file, tokens, index, routes);
      if (sentence) add(token.line, sentence);
    }
  }
  const isExtension = file.startsWith(`${FOLDER}/`);
  let within = null;
  for (const use of chainsOf(tokens, isExtension, text.includes('users-permissions'))) {
    if (within && use.first >= within.end) within = null;
    // What a service does with itself while it is replaced needs no separate note.
    const isOwnPart = within && use.chain.startsWith(`${within.chain}.`);
    const sentence = isOwnPart ? null : ofChain(use.chain, use.role);
    if (sentence) add(tokens[use.first].line, sentence);
    if (use.role === 'assign' && REPLACED.test(use.chain)) {
      within = { chain: use.chain, end: endOf(tokens, use.next) };
    }
  }
}

/** What an extension replaces as a whole. */
const REPLACED = /^extension\.(?:services|controllers)\.[\w-]+$/;

/** @returns {number} index of the token after a statement, which ends at a semicolon or at a line that starts with a name */
function endOf(tokens, start) {
  let at = start;
  for (; at < tokens.length; at = (tokens[at].close ?? at) + 1) {
    const [{ kind, text, line, parent }, last] = [tokens[at], tokens[at - 1]];
    if (parent !== tokens[start].parent || (kind === 'mark' && text === ';')) break;
    const isNewLine = at > start && kind === 'name' && line > last.line;
    if (isNewLine && (last.kind !== 'mark' || /^[)\]}]$/.test(last.text))) break;
  }
  return at;
}

function ofChain(chain, role) {
  for (const [pattern, wanted, sentence] of RULES) {
    // What is assigned to a variable is noted where the variable is used; `extend` and `set` of a registry replace.
    const isExtend = wanted === 'assign' && role === 'use' && /\.(?:extend|set)\./.test(chain);
    const fits = wanted === null ? role !== 'variable' : wanted === role || isExtend;
    const found = fits && pattern.exec(chain);
    if (found) return sentence.replace('$1', found[1]);
  }
  return null;
}

/** @returns {string | null} what happens to the route that an object declares, if it declares one */
function ofRoute(file, tokens, index, routes) {
  const [method, route, prefix] = ['method', 'path', 'prefix'].map((key) =>
    textOf(tokens, index, key)
  );
  if (!method || !route?.startsWith('/')) return null;
  const isOfPlugin = file.startsWith('src/plugins/');
  const isOfApi = file.startsWith('src/api/');
  // With a prefix, it is a different path. A plugin's routes are under its name unless they say otherwise.
  if (prefix || (isOfPlugin && prefix !== '')) return null;

  const name = `${method.toUpperCase()} ${route}`;
  if (!routes.has(name) || (isOfApi && route.startsWith(ADMIN_PATH))) {
    if (!TOKEN_ROUTE.test(route)) return null;
    return `declares ${name}, which looks like your own route for tokens. It still works as before: make sure that it issues no tokens without a session.`;
  }
  const answers = file.startsWith(`${FOLDER}/`)
    ? "this extension's replaces yours"
    : isOfApi
      ? 'yours comes first and is used'
      : 'only one of them is used';
  return `declares ${name}, which is also a route of this extension: ${answers}. Rename yours, or remove it.`;
}

/** @returns {string | undefined} the text of a property, or of one in its `config` */
function textOf(tokens, index, key) {
  const properties = propertiesOf(tokens, index);
  const value = properties.get(key);
  if (value && value.first === value.last && tokens[value.first].kind === 'string') {
    return tokens[value.first].text;
  }
  const config = properties.get('config');
  const isObject = config && tokens[config.first].text === '{';
  return isObject ? textOf(tokens, config.first, key) : undefined;
}
