const FOLDER = 'src/extensions/users-permissions';

/**
 * Mutates what runs without Strapi, against the unit tests.
 *
 * @type {import('@stryker-mutator/api/core').PartialStrykerOptions}
 */
export default {
  mutate: [
    `${FOLDER}/config/*.ts`,
    `${FOLDER}/sessions/{access-token,refresh-outcome,refresh-token}.ts`,
    `${FOLDER}/http/{cross-origin,request,sign-in-options}.ts`,
  ],
  testRunner: 'jest',
  jest: { configFile: 'tests/mutation/unit.jest.config.mjs' },
  coverageAnalysis: 'perTest',
  concurrency: 1,
  // Remembers results, so that the next run tries only what changed.
  incremental: true,
  incrementalFile: '.tmp/mutation-unit/incremental.json',
  reporters: ['clear-text', 'html'],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  htmlReporter: { fileName: '.tmp/mutation-unit/index.html' },
  tempDirName: '.tmp/mutation-unit/sandbox',
};
