// What the copy needs outside its folder: dependencies, variables and a secret. Only adds lines.
import { randomBytes } from 'node:crypto';
import { builtinModules } from 'node:module';
import { parse } from 'dotenv';
import { applyEdits, modify } from 'jsonc-parser';
import { isOfPanel } from './bundle.mjs';
import { readOwners } from './files.mjs';
import { isIgnored } from './git.mjs';
import { installed, versionOf } from './project.mjs';

/**
 * @param {import('./project.mjs').Project} project
 * @param {Map<string, string>} delivered
 * @param {Record<string, any>} ours this repository's package.json
 * @returns {import('./files.mjs').Change[]} package.json with the missing dependencies
 */
export function planDependencies(project, delivered, ours) {
  const { dependencies = {}, devDependencies = {} } = project.manifest;
  const wanted = { dependencies: {}, devDependencies: {} };

  for (const name of importsOf([...delivered].filter(([each]) => !isOfPanel(each)))) {
    if (!dependencies[name]) wanted.dependencies[name] = versionFor(project, name, ours);
  }
  if (project.language === 'ts') {
    const types = '@types/jsonwebtoken';
    if (!dependencies[types] && !devDependencies[types]) {
      wanted.devDependencies[types] = ours.devDependencies[types];
    }
  }

  let text = readOwners(project.root, 'package.json');
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
function versionFor(project, name, ours) {
  const { root, manifest } = project;
  if (name.startsWith('@strapi/')) {
    const range = manifest.dependencies['@strapi/strapi'];
    // A name such as "catalog:" may not work for another package.
    return /^[\^~]?\d/.test(range) ? range : versionOf(project);
  }
  const plugin = installed(root, '@strapi/plugin-users-permissions');
  return plugin?.dependencies?.[name] ?? ours.dependencies[name];
}

/** In alphabetical order, with the indentation of the file. */
function insert(text, at, value) {
  const indent = /^([ \t]+)"/m.exec(text)?.[1] ?? '  ';
  const edits = modify(text, at, value, {
    formattingOptions: {
      insertSpaces: !indent.includes('\t'),
      tabSize: indent.length,
      eol: text.includes('\r\n') ? '\r\n' : '\n',
    },
    getInsertionIndex: (names) => {
      const next = names.findIndex((name) => name > at.at(-1));
      return next < 0 ? names.length : next;
    },
  });
  return applyEdits(text, edits);
}

/**
 * @param {string} root the project's
 * @param {string} example this repository's .env.example
 * @param {boolean} isFirstCopy whether to create a missing .env: later on, it is normal for a fresh clone or a container
 *   not to have one
 * @returns {import('./files.mjs').Change[]} .env.example with the missing variables, and .env with a secret if it has none
 */
export function planVariables(root, example, isFirstCopy) {
  const changes = [];

  // A clone does not have files that git ignores.
  const isCloned = !isFirstCopy && isIgnored(root, '.env.example');
  const theirExample = readOwners(root, '.env.example') ?? (isCloned ? null : '');
  const known = parse(theirExample ?? '');
  const missing = variablesOf(example).filter(({ name }) => !(name in known));
  if (theirExample !== null && missing.length > 0) {
    changes.push({
      path: '.env.example',
      text: append(theirExample, missing.map(({ lines }) => lines).join('\n')),
      why: `adds ${missing.map(({ name }) => name).join(', ')}`,
    });
  }

  const theirs = readOwners(root, '.env') ?? (isFirstCopy ? '' : null);
  if (theirs !== null && !parse(theirs).REFRESH_SECRET) {
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
