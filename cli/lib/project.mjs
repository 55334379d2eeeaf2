// Inspects the target project.
import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { readOwners } from './files.mjs';
import { UserError } from './user-error.mjs';
import { isVersion, lowestOf, majorOf } from './versions.mjs';

/**
 * @typedef {object} Project
 * @property {string} root
 * @property {'ts' | 'js'} language
 * @property {'npm' | 'yarn' | 'pnpm'} packageManager
 * @property {string | null} strapi the installed version, or the lowest that package.json allows; null if neither is known: in a
 *   fresh clone nothing is installed, and package.json may name a catalog
 * @property {string} text its package.json. Read once: another run may change the file in the meantime
 * @property {Record<string, any>} manifest what the text says
 */

/**
 * @param {string} folder the folder that the user named
 * @param {string | null} repository the root of the checkout that the command is in
 * @returns {Project}
 * @throws {UserError} if it is not a Strapi 5 project with users-permissions
 */
export function detectProject(folder, repository) {
  const root = path.resolve(folder);
  if (repository && existsSync(root) && realpathSync(root) === realpathSync(repository)) {
    throw new UserError(`${folder} is this repository itself. Pass the path of your own project.`);
  }
  const text = readOwners(root, 'package.json');
  if (text === null) {
    throw new UserError(`${folder} is not a Strapi project: it has no package.json.`);
  }
  const manifest = parseManifest(root, 'package.json', text);

  const range = manifest.dependencies?.['@strapi/strapi'];
  if (!range) {
    throw new UserError(
      `${folder} is not a Strapi 5 project: its package.json does not depend on @strapi/strapi.`
    );
  }
  if (!manifest.dependencies['@strapi/plugin-users-permissions']) {
    throw new UserError(
      `${folder} does not depend on @strapi/plugin-users-permissions, which this extension requires. Install it first.`
    );
  }
  const known = installed(root, '@strapi/strapi')?.version;
  const strapi = isVersion(known) ? known : lowestOf(range);
  if (strapi && majorOf(strapi) !== 5) {
    throw new UserError(`${folder} uses Strapi ${strapi}, but this extension requires Strapi 5.`);
  }

  // The same test as Strapi's: @strapi/typescript-utils, isUsingTypeScript.
  const language = existsSync(path.join(root, 'tsconfig.json')) ? 'ts' : 'js';
  const packageManager = packageManagerOf(root, manifest);
  return { root, language, packageManager, strapi, text, manifest };
}

/**
 * @param {Project} project
 * @returns {string} the version of its Strapi
 * @throws {UserError} if it is unknown
 */
export function versionOf({ root, strapi, manifest }) {
  if (strapi) return strapi;
  throw new UserError(
    `${root} depends on @strapi/strapi "${manifest.dependencies['@strapi/strapi']}", which is not a version. Install the project's dependencies first.`
  );
}

/** @returns {any} the package.json of a dependency of the project, or null if it is not installed */
export function installed(root, name) {
  const file = `node_modules/${name}/package.json`;
  const text = readOwners(root, file);
  return text === null ? null : parseManifest(root, file, text);
}

function parseManifest(root, name, text) {
  try {
    const manifest = JSON.parse(text);
    if (typeof manifest === 'object' && manifest !== null) return manifest;
    throw new Error('it is not a JSON object');
  } catch (error) {
    throw new UserError(`${path.join(root, name)} cannot be read: ${error.message}`);
  }
}

const LOCK_FILES = { 'pnpm-lock.yaml': 'pnpm', 'yarn.lock': 'yarn', 'package-lock.json': 'npm' };

/** The one that package.json names, or else the one of the nearest lock file, which is further up in a workspace. */
function packageManagerOf(root, manifest) {
  const named = /^(npm|yarn|pnpm)@/.exec(manifest.packageManager ?? '')?.[1];
  if (named) return named;
  for (let folder = root; ; folder = path.dirname(folder)) {
    const found = Object.keys(LOCK_FILES).find((name) => existsSync(path.join(folder, name)));
    if (found) return LOCK_FILES[found];
    if (folder === path.dirname(folder) || existsSync(path.join(folder, '.git'))) return 'npm';
  }
}
