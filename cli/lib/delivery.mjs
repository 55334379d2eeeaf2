// What is copied: the folder and its admin panel, in the language of the target project.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ADMIN, FOLDER, isOfAdmin, unix } from './names.mjs';
import { parseStamp } from './stamp.mjs';

const CLI = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const read = (...names) => unix(readFileSync(path.join(CLI, ...names), 'utf8'));

/** The checkout that this command is in; null in the package, which contains what `pack/` makes of a checkout. */
export const REPOSITORY = existsSync(path.join(CLI, '..', FOLDER)) ? path.dirname(CLI) : null;

export const { version: VERSION } = JSON.parse(read('package.json'));

/**
 * @param {'ts' | 'js'} language the project's
 * @param {string | null} without `ADMIN` to leave it out
 * @returns {Promise<{ files: Map<string, string>, remarks: string[] }>} text by name, as in `pathOf`, sorted; and what the
 *   user should know about them
 * @throws {UserError} in a checkout, if its files cannot be listed or compiled
 */
export async function deliver(language, without) {
  const { files, remarks } = REPOSITORY
    ? await (await import('../pack/checkout.mjs')).deliverFrom(REPOSITORY, language)
    : { files: parseStamp(read('delivery', `${language}.txt`)).files, remarks: [] };
  if (without === ADMIN) leaveOutAdmin(files);
  return { files, remarks };
}

/** As an owner would, who deletes its files, and its import and its line in strapi-server. */
function leaveOutAdmin(files) {
  for (const name of [...files.keys()].filter(isOfAdmin)) files.delete(name);
  const lines =
    /^(?:import \{ withAdmin \} |const \{ withAdmin \} = ).*\n|(?:^ *\/\/.*\n)+^ *withAdmin,\n/gm;
  for (const server of ['strapi-server.ts', 'strapi-server.js']) {
    if (files.has(server)) files.set(server, files.get(server).replace(lines, ''));
  }
}

/** @returns {string} the extension's variables, each with its comment */
export const readExample = () =>
  REPOSITORY ? read('..', '.env.example') : read('delivery', 'env.example');
