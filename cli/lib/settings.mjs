// What the copy needs outside its folder: dependencies, variables and a secret. Only adds lines.
import { randomBytes } from 'node:crypto';
import { builtinModules } from 'node:module';
import { readOwners } from './files.mjs';
import { isIgnored } from './git.mjs';
import { isOfPanel } from './names.mjs';
import { installed, versionOf } from './project.mjs';
import { propertiesOf, tokenize } from './tokens.mjs';

/** Those that this version is tested with. */
const TESTED = { jsonwebtoken: '9.0.3', '@types/jsonwebtoken': '9.0.10' };

/**
 * @param {import('./project.mjs').Project} project
 * @param {Map<string, string>} delivered
 * @returns {import('./files.mjs').Change[]} package.json with the missing dependencies
 */
export function planDependencies(project, delivered) {
  const { dependencies = {}, devDependencies = {} } = project.manifest;
  const wanted = { dependencies: {}, devDependencies: {} };

  for (const name of importsOf([...delivered].filter(([each]) => !isOfPanel(each)))) {
    if (!dependencies[name]) wanted.dependencies[name] = versionFor(project, name);
  }
  if (project.language === 'ts') {
    const types = '@types/jsonwebtoken';
    if (!dependencies[types] && !devDependencies[types]) {
      wanted.devDependencies[types] = TESTED[types];
    }
  }

  let { text } = project;
  const added = [];
  for (const [section, versions] of Object.entries(wanted)) {
    for (const [name, version] of Object.entries(versions)) {
      text = insert(text, [section, name], version);
      added.push(`${name} ${version}`);
    }
  }
  return added.length > 0 ? [{ path: 'package.json', text, why: `adds ${added.join(', ')}` }] : [];
}

/** @returns {string[]} the packages that files import */
function importsOf(files) {
  const code = files.filter(([name]) => /(?<!\.d)\.[jt]sx?$/.test(name));
  const names = code.flatMap(([, text]) =>
    // Only the package, if a file within it is imported.
    [...text.matchAll(/(?: from |require\()'((?:@[^/']+\/)?[^.'/][^'/]*)/g)].map(([, name]) => name)
  );
  return [...new Set(names)].filter((name) => !builtinModules.includes(name)).sort();
}

/** The versions that the project's Strapi itself depends on, so that nothing is installed twice. */
function versionFor(project, name) {
  const { root, manifest } = project;
  if (name.startsWith('@strapi/')) {
    const range = manifest.dependencies['@strapi/strapi'];
    // A name such as "catalog:" may not work for another package.
    return /^[\^~]?\d/.test(range) ? range : versionOf(project);
  }
  const plugin = installed(root, '@strapi/plugin-users-permissions');
  return plugin?.dependencies?.[name] ?? TESTED[name];
}

/** In alphabetical order, with the indentation of the file. */
function insert(text, [section, name], version) {
  const tokens = tokenize(text);
  const sections = propertiesOf(tokens, 0);
  const open = sections.get(section)?.first;
  const line = `${JSON.stringify(name)}: ${JSON.stringify(version)}`;
  if (open === undefined) {
    // After the dependencies, which every Strapi project has.
    const { key, last } = sections.get('dependencies');
    const indent = gapBefore(text, tokens, key);
    const inner = indent.includes('\n') ? indent + indent.replace(/^[^]*\n/, '') : '';
    return addAt(
      tokens[last].end,
      `,${indent}${JSON.stringify(section)}: {${inner}${line}${indent}}`
    );
  }

  const entries = [...propertiesOf(tokens, open)];
  const next = entries.find(([other]) => other > name);
  if (next) {
    const { key } = next[1];
    return addAt(tokens[key].start, `${line},${gapBefore(text, tokens, key)}`);
  }
  const last = entries.at(-1)?.[1];
  return last
    ? addAt(tokens[last.last].end, `,${gapBefore(text, tokens, last.key)}${line}`)
    : addAt(tokens[open].end, ` ${line} `);

  function addAt(offset, added) {
    return text.slice(0, offset) + added + text.slice(offset);
  }
}

/** @returns {string} what separates a property from the one before it */
const gapBefore = (text, tokens, key) => text.slice(tokens[key - 1].end, tokens[key].start);

/** @returns {Map<string, string>} the variables of a .env file, like dotenv */
function variablesIn(text) {
  const lines = /^\s*(?:export\s+)?([\w.-]+)\s*=[^\S\n]*("[^"]*"|'[^']*'|`[^`]*`|[^#\n]*)/gm;
  return new Map(
    [...text.matchAll(lines)].map(([, name, value]) => [
      name,
      value.trim().replace(/^(["'`])([^]*)\1$/, '$2'),
    ])
  );
}

/**
 * @param {string} root the project's
 * @param {string} example the extension's variables, each with its comment
 * @param {boolean} isFirstCopy whether to create a missing .env: later on, it is normal for a fresh clone or a container
 *   not to have one
 * @returns {import('./files.mjs').Change[]} .env.example with the missing variables, and .env with a secret if it has none
 */
export function planVariables(root, example, isFirstCopy) {
  const changes = [];

  // A clone does not have files that git ignores.
  const isCloned = !isFirstCopy && isIgnored(root, '.env.example');
  const theirExample = readOwners(root, '.env.example') ?? (isCloned ? null : '');
  const known = variablesIn(theirExample ?? '');
  const missing = variablesOf(example).filter(({ name }) => !known.has(name));
  if (theirExample !== null && missing.length > 0) {
    changes.push({
      path: '.env.example',
      text: append(theirExample, missing.map(({ lines }) => lines).join('\n')),
      why: `adds ${missing.map(({ name }) => name).join(', ')}`,
    });
  }

  const theirs = readOwners(root, '.env') ?? (isFirstCopy ? '' : null);
  if (theirs !== null && !variablesIn(theirs).get('REFRESH_SECRET')) {
    const secret = randomBytes(32).toString('base64');
    changes.push({
      path: '.env',
      text: append(theirs, `REFRESH_SECRET=${secret}`),
      why: 'adds a newly generated REFRESH_SECRET',
    });
  }
  return changes;
}

/** @returns {{ name: string, lines: string }[]} the extension's variables, each with its comment */
function variablesOf(example) {
  const [, section] = /^# --- The refresh-token extension.*\n\n?([^]*?)(?=\n# --- |$(?![^]))/m.exec(
    example
  );
  return [...section.matchAll(/((?:^#.*\n)*)^(\w+)=.*/gm)].map(([lines, , name]) => ({
    name,
    lines,
  }));
}

function append(text, lines) {
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const gap = text === '' ? '' : text.endsWith('\n') ? eol : eol + eol;
  return `${text}${gap}${lines.replaceAll('\n', eol)}${eol}`;
}
