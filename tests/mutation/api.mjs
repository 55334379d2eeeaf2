/**
 * Mutates what only a booted Strapi runs, against the API tests on SQLite.
 *
 *     node tests/mutation/api.mjs controllers/token http/response    # these files; otherwise all of FILES
 */
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Instrumenter } from '@stryker-mutator/instrumenter';

const FILES = [
  'controllers/',
  'http/provider-sign-in',
  'http/response',
  'http/routing',
  'services/jwt',
  'sessions/manager',
  'sessions/opening',
  'sessions/refreshing',
  'lifecycles/',
];

const ROOT = path.resolve(import.meta.dirname, '../..');
const FOLDER = 'src/extensions/users-permissions';
const OUTPUT = path.join(ROOT, '.tmp/mutation-api');
const STATE = path.join(OUTPUT, 'state.json');

/** Copies the folder, with all mutants of some files built in. @returns the mutants */
async function instrument(starts) {
  const copy = path.join(OUTPUT, FOLDER);
  rmSync(OUTPUT, { recursive: true, force: true });
  cpSync(path.join(ROOT, FOLDER), copy, { recursive: true });
  const sources = readdirSync(copy, { recursive: true })
    .filter((name) => name.endsWith('.ts') && starts.some((start) => name.startsWith(start)))
    .map((name) => ({ name, mutate: true, content: readFileSync(path.join(copy, name), 'utf8') }));
  const logger = { debug() {}, info() {}, isDebugEnabled: () => false };
  const options = { plugins: null, ignorers: [], excludedMutations: [] };
  const { files, mutants } = await new Instrumenter(logger).instrument(sources, options);
  for (const { name, content } of files) writeFileSync(path.join(copy, name), content);
  return mutants;
}

/** Runs the tests, each with all mutants that it reaches. */
const testAll = () => runJest([], { stdio: 'inherit' });

/** Runs the tests on a Strapi that boots with a mutant. @returns whether all passed within ten minutes */
function testAtBoot(mutant) {
  const env = { ...process.env, __STRYKER_ACTIVE_MUTANT__: mutant };
  return runJest(['--bail'], { stdio: 'ignore', timeout: 600_000, env }).status === 0;
}

function runJest(options, how) {
  const config = path.join(import.meta.dirname, 'api.jest.config.mjs');
  const jest = path.join(ROOT, 'node_modules/jest/bin/jest.js');
  return spawnSync(process.execPath, [jest, '--config', config, ...options], { cwd: ROOT, ...how });
}

const asked = process.argv.slice(2);
const mutants = await instrument(asked.length > 0 ? asked : FILES);
console.log(`${mutants.length} mutants`);
const unknown = { killed: {}, reached: {}, atBoot: {}, unrepeatable: [] };
writeFileSync(STATE, JSON.stringify(unknown));
if (!testAtBoot('none')) throw new Error('The tests fail without a mutant, too.');

testAll();
const { killed, reached, atBoot, unrepeatable } = JSON.parse(readFileSync(STATE, 'utf8'));
for (const { id } of mutants) {
  if (atBoot[id] && !reached[id] && !testAtBoot(id)) killed[id] = 'a boot';
}

for (const file of new Set(mutants.map(({ fileName }) => fileName))) {
  const ofFile = mutants.filter(({ fileName }) => fileName === file);
  const alive = ofFile.filter(({ id }) => !killed[id]);
  console.log(`\n${file}: ${ofFile.length - alive.length} of ${ofFile.length} killed`);
  for (const { id, location, mutatorName, replacement } of alive) {
    const how = reached[id] || atBoot[id] ? '' : ' (not reached)';
    const { line, column } = location.start;
    console.log(`  ${line + 1}:${column + 1} ${mutatorName}${how}: ${replacement.slice(0, 120)}`);
  }
}
console.log(`\n${Object.keys(killed).length} of ${mutants.length} mutants killed.`);
for (const title of unrepeatable) console.log(`Cannot be repeated: ${title}`);
