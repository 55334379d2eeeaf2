// Reads a project's config files without running them, and finds what must be changed there and what is questionable.
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { readOwners } from './files.mjs';
import { propertiesOf, tokenize } from './tokens.mjs';

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
  return configFiles(root, 'plugins').flatMap(({ name, text, tokens }) =>
    tokens.flatMap(({ text: key, start, line }, index) => {
      const [colon, value] = [tokens[index + 1], tokens[index + 2]];
      const isOn = colon?.text === ':' && value?.kind === 'string' && value.text === 'refresh';
      if (key !== 'jwtManagement' || !isOn) return [];
      return [`${name}, line ${line}: delete ${text.slice(start, value.end)}`];
    })
  );
}

/**
 * @param {string} root the project's
 * @returns {string[]} what would block a front end on a different origin, with the lines to paste; empty if nothing would
 */
export function reviewCors(root) {
  return configFiles(root, 'middlewares').flatMap((file) => {
    const index = file.tokens.findLastIndex(
      ({ kind, text }) => kind === 'string' && text === 'strapi::cors'
    );
    const doubts = index < 0 ? ['strapi::cors is missing'] : doubtsOf(file, index);
    if (doubts.length === 0) return [];
    return [
      `${file.name}, if your front end is on a different origin than the API:\n${doubts
        .map((doubt) => `    - ${doubt}`)
        .join('\n')}\n    ${index < 0 ? 'Add' : 'Replace it with'}:\n${LINES}`,
    ];
  });
}

/** @param index of the middleware's name, which is the entry itself or a property of it */
function doubtsOf({ text, tokens }, index) {
  const isNamed = tokens[index - 1]?.text === ':' && tokens[index - 2]?.text === 'name';
  const entry = isNamed ? propertiesOf(tokens, tokens[index].parent) : new Map();
  const config = entry.get('config');
  const isObject = config && tokens[config.first].text === '{';
  const settings = isObject ? propertiesOf(tokens, config.first) : new Map();
  const valueOf = (name) => {
    const value = settings.get(name);
    return value ? text.slice(tokens[value.first].start, tokens[value.last].end) : null;
  };
  const doubts = [];

  const origin = valueOf('origin');
  if (origin === null || /^\[?\s*['"]\*['"]\s*,?\s*\]?$/.test(origin)) {
    doubts.push('origin allows every site, so scripts on any site can read what your visitors can');
  }
  if (valueOf('credentials') === 'false') {
    doubts.push('credentials is false, so browsers neither store nor send the cookie');
  }
  const headers = valueOf('headers');
  if (headers === null || !headers.toLowerCase().includes(HEADER)) {
    doubts.push(
      `headers lacks ${HEADER}, which only front ends written for Strapi's own refresh mode send`
    );
  }
  return doubts;
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
    .map((file) => ({ ...file, tokens: tokenize(file.text) }));
}
