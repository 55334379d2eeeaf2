/**
 * Mutation testing. Stryker's instrumenter builds all mutants into a copy of the folder, each behind a switch.
 *
 *     node tests/mutation/index.mjs                          # both groups
 *     node tests/mutation/index.mjs unit                     # one group
 *     node tests/mutation/index.mjs sqlite controllers/token # some of its files
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Instrumenter } from '@stryker-mutator/instrumenter';

/** By the Jest project whose tests have to find the mutants: the files, by how their paths start. */
const GROUPS = {
  unit: [
    'config/checks',
    'config/duration',
    'config/jwt-keys',
    'config/origins',
    'config/read',
    'config/strapi-settings',
    'http/cross-origin',
    'http/request',
    'http/sign-in-options',
    'sessions/access-token',
    'sessions/refresh-outcome',
    'sessions/refresh-token',
  ],
  sqlite: [
    'controllers/',
    'http/provider-sign-in',
    'http/response',
    'http/routing',
    'lifecycles/',
    'services/jwt',
    'sessions/deletions',
    'sessions/manager',
    'sessions/opening',
    'sessions/queries',
    'sessions/refreshing',
    'sessions/repository',
  ],
};

const ROOT = path.resolve(import.meta.dirname, '../..');
const FOLDER = 'src/extensions/users-permissions';

/** Copies the folder, with the mutants of some files built in. @returns the mutants */
async function instrument(output, starts) {
  const copy = path.join(output, FOLDER);
  rmSync(output, { recursive: true, force: true });
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

/** How many mutants get a start at the same time. */
const AT_ONCE = 2;

/** @returns whether all tests passed */
async function jest(project, options, how) {
  const config = path.join(import.meta.dirname, 'jest.config.mjs');
  const script = path.join(ROOT, 'node_modules/jest/bin/jest.js');
  const all = [script, '--config', config, '--selectProjects', project, '--silent', ...options];
  const [code] = await once(spawn(process.execPath, all, { cwd: ROOT, ...how }), 'exit');
  return code === 0;
}

/** Runs tests with a mutant that is on from the start. @returns whether all passed in time: a boot may hang with a mutant */
function passWith(mutant, project, testFiles) {
  const env = { ...process.env, __STRYKER_ACTIVE_MUTANT__: mutant };
  // In one process, which the time limit can end.
  const some = testFiles ? ['--runInBand', '--runTestsByPath', ...testFiles] : [];
  const limit = { timeout: testFiles ? 150_000 : 600_000, killSignal: 'SIGKILL' };
  return jest(project, ['--bail', ...some], { stdio: 'ignore', env, ...limit });
}

async function mutate(project, starts) {
  const output = path.join(ROOT, '.tmp/mutation', project);
  const stateFile = path.join(output, 'state.json');
  const mutants = await instrument(output, starts);
  const unknown = { killed: {}, reached: {}, needsStart: {}, unrepeatable: [] };
  writeFileSync(stateFile, JSON.stringify(unknown));
  if (!(await passWith('none', project))) throw new Error('The tests fail without a mutant, too.');

  // Each test, with all mutants that it reaches. Only those of the boot, and of a test that cannot be repeated, need a start
  // of their own.
  const reportFile = path.join(output, 'jest.json');
  await jest(project, ['--json', '--outputFile', reportFile], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const { numRuntimeErrorTestSuites } = JSON.parse(readFileSync(reportFile, 'utf8'));
  if (numRuntimeErrorTestSuites > 0) throw new Error('Jest crashed: the score would be too low.');
  const state = JSON.parse(readFileSync(stateFile, 'utf8'));
  const { killed, needsStart } = state;
  const left = mutants.filter(({ id }) => needsStart[id] && !killed[id]);
  const startAll = async () => {
    for (let mutant = left.shift(); mutant; mutant = left.shift()) {
      const { id, fileName } = mutant;
      const ofFile = mutants.filter((other) => other.fileName === fileName);
      const files = bestOf(needsStart[id], ofFile, state);
      if (!(await passWith(id, project, files))) killed[id] = 'a start';
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, startAll));
  report(mutants, state);
}

/**
 * With all test files, a run would take days.
 *
 * @returns those of these files with a test that cannot be repeated, and the two that found the most of these mutants
 */
function bestOf(files, mutants, { killed, unrepeatable }) {
  const isOf = (file) => (title) => title.startsWith(`${path.basename(file)}: `);
  const found = (file) => mutants.filter(({ id }) => isOf(file)(killed[id] ?? '')).length;
  const best = [...files].sort((one, other) => found(other) - found(one)).slice(0, 2);
  return [...new Set([...best, ...files.filter((file) => unrepeatable.some(isOf(file)))])];
}

function report(mutants, { killed, reached, needsStart, unrepeatable }) {
  for (const file of new Set(mutants.map(({ fileName }) => fileName))) {
    const ofFile = mutants.filter(({ fileName }) => fileName === file);
    const alive = ofFile.filter(({ id }) => !killed[id]);
    console.log(`\n${file}: ${ofFile.length - alive.length} of ${ofFile.length} killed`);
    for (const { id, location, mutatorName, replacement } of alive) {
      const how = reached[id] || needsStart[id] ? '' : ' (not reached)';
      const { line, column } = location.start;
      console.log(`  ${line + 1}:${column + 1} ${mutatorName}${how}: ${replacement.slice(0, 120)}`);
    }
  }
  for (const title of unrepeatable) console.log(`\nCannot be repeated: ${title}`);
  console.log(`\n${Object.keys(killed).length} of ${mutants.length} mutants killed.`);
}

const [only, ...files] = process.argv.slice(2);
for (const [project, starts] of Object.entries(GROUPS)) {
  if (!only || only === project) await mutate(project, files.length > 0 ? files : starts);
}
