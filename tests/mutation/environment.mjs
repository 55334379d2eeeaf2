import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestEnvironment } from 'jest-environment-node';

/** Milliseconds that a test may wait with a mutant. One that hangs is found. */
const PATIENCE = 20_000;

/** How often a test may run a mutant. One that never ends is found. */
const MAX_HITS = 100_000;

/** So many failures in a row are checked together. */
const MAX_DOUBTS = 10;

/**
 * Repeats each test with every mutant that it reaches and that no test has found yet, one after another, without
 * loading or booting anything again. Stryker's instrumenter builds all mutants in, and `activeMutant` switches one on.
 */
export default class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    const { rootDir, displayName } = config.projectConfig;
    this.file = path.join(rootDir, '.tmp/mutation', displayName.name, 'state.json');
    this.testFile = context.testPath;
    this.state = JSON.parse(readFileSync(this.file, 'utf8'));
    // A mutant of the code that runs while modules load or Strapi boots is on from the start, and nothing is repeated.
    this.fromStart = process.env.__STRYKER_ACTIVE_MUTANT__;
    this.mutation = this.global.__stryker__ = {
      activeMutant: this.fromStart,
      mutantCoverage: { static: {}, perTest: {} },
    };
  }

  handleTestEvent({ name, test }) {
    if (name !== 'test_fn_start' || this.fromStart) return;
    const body = test.fn;
    test.fn = () => this.repeat(test, body);
  }

  async repeat(test, body) {
    const title = `${path.basename(this.testFile)}: ${test.name}`;
    this.mutation.currentTestId = title;
    await body();
    this.mutation.currentTestId = undefined;

    const { killed, reached, unrepeatable } = this.state;
    const ids = Object.keys(this.mutation.mutantCoverage.perTest[title] ?? {});
    for (const id of ids) reached[id] = true;
    const alive = ids.filter((id) => !(id in killed));
    if (alive.length === 0) return;

    // A failure counts once the test has passed again: a mutant may leave something behind that fails every later run.
    let doubts = [];
    const passes = async (id) => {
      if (!(await this.attempt(test, body, id))) return false;
      for (const failed of doubts) killed[failed] = title;
      doubts = [];
      return true;
    };
    let isRepeatable = await passes(undefined);
    for (const id of alive) {
      if (!isRepeatable) break;
      if (!(await passes(id))) doubts.push(id);
      if (doubts.length === MAX_DOUBTS) isRepeatable = await passes(undefined);
    }
    if (isRepeatable && doubts.length > 0) isRepeatable = await passes(undefined);
    if (isRepeatable) return;
    unrepeatable.push(title);
    for (const id of alive.filter((each) => !(each in killed))) this.needStart(id);
  }

  /** A mutant that no repetition can find: this file has to run with it from the start. */
  needStart(id) {
    const files = (this.state.needsStart[id] ??= []);
    if (!files.includes(this.testFile)) files.push(this.testFile);
  }

  /** Runs a test and its hooks once more. @returns whether it passed */
  async attempt(test, body, mutant) {
    Object.assign(this.mutation, { activeMutant: mutant, hitCount: 0, hitLimit: MAX_HITS });
    const run = async () => {
      await runHooks(test, 'afterEach');
      await runHooks(test, 'beforeEach');
      await body();
      return true;
    };
    const passed = await Promise.race([
      run().catch(() => false),
      sleep(PATIENCE, false, { ref: false }),
    ]);
    this.mutation.activeMutant = undefined;
    return passed;
  }

  async teardown() {
    for (const id of Object.keys(this.mutation.mutantCoverage.static)) this.needStart(id);
    if (!this.fromStart) writeFileSync(this.file, JSON.stringify(this.state));
    await super.teardown();
  }
}

/** From the outermost block to the innermost before a test, the other way round after it. */
async function runHooks(test, type) {
  const blocks = [];
  for (let block = test.parent; block; block = block.parent) blocks.unshift(block);
  if (type === 'afterEach') blocks.reverse();
  for (const hook of blocks.flatMap((block) => block.hooks)) {
    if (hook.type === type) await hook.fn();
  }
}
