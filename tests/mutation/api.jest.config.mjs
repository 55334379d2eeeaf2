import { fileURLToPath } from 'node:url';
import base from '../../jest.config.mjs';

const rootDir = fileURLToPath(new URL('../..', import.meta.url));

/** Those that boot Strapi once, and the only one about its variable. A copy in another project, as for GraphQL, has no mutants. */
const FILES =
  'access-token|bad-input|cookie|front-ends|isolation|origin|password|provider|refresh|response-mode|revoke|service-api|sessions|sign-in|stale-bearer|user-changes|guards';

/** @type {import('jest').Config} */
export default {
  ...base.projects.find(({ displayName }) => displayName === 'sqlite'),
  rootDir,
  // Only so that the memory limit has an effect.
  maxWorkers: 1,
  workerIdleMemoryLimit: base.workerIdleMemoryLimit,
  testTimeout: 36_000_000,
  testRegex: `/tests/api/(${FILES})\\.test\\.ts$`,
  testMatch: undefined,
  // The instrumented copy stands in for what Strapi loads from `dist`, and for what a test imports.
  moduleNameMapper: {
    '/dist/(src/extensions/.*)\\.js$': '<rootDir>/.tmp/mutation-api/$1.ts',
    '^\\.\\./\\.\\./(src/extensions/.*)$': '<rootDir>/.tmp/mutation-api/$1.ts',
  },
  testEnvironment: '<rootDir>/tests/mutation/environment.mjs',
  globals: { TEST_DATABASE: 'sqlite' },
};
