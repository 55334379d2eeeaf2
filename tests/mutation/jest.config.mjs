import { fileURLToPath } from 'node:url';
import base from '../../jest.config.mjs';

const rootDir = fileURLToPath(new URL('../..', import.meta.url));

/** Those that boot Strapi once, and the only one about its variable. A copy in another project, as for GraphQL, has no mutants. */
const API_TESTS =
  'access-token|bad-input|cookie|front-ends|guards|isolation|origin|password|provider|refresh|response-mode|revoke|service-api|sessions|sign-in|stale-bearer|user-changes';

const repeated = (name) => ({
  ...base.projects.find(({ displayName }) => displayName === name),
  rootDir,
  testEnvironment: '<rootDir>/tests/mutation/environment.mjs',
  // The instrumented copy stands in for what Strapi loads from `dist`, and for what a test imports.
  moduleNameMapper: {
    '/dist/(src/extensions/.*)\\.js$': `<rootDir>/.tmp/mutation/${name}/$1.ts`,
    '^\\.\\./\\.\\./(src/extensions/.*)$': `<rootDir>/.tmp/mutation/${name}/$1.ts`,
  },
});

/** @type {import('jest').Config} */
export default {
  rootDir,
  maxWorkers: 1,
  workerIdleMemoryLimit: base.workerIdleMemoryLimit,
  testTimeout: 36_000_000,
  projects: [
    {
      ...repeated('unit'),
      // These play long histories at random, which takes seconds for each mutant.
      testPathIgnorePatterns: ['\\.(model|search)\\.test\\.ts$'],
    },
    {
      ...repeated('sqlite'),
      testMatch: undefined,
      testRegex: `/tests/api/(${API_TESTS})\\.test\\.ts$`,
    },
  ],
};
