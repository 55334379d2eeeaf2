import { fileURLToPath } from 'node:url';
import base from '../../jest.config.mjs';

if (!process.env.TEST_BROWSER) {
  throw new Error('Set TEST_BROWSER to the path of a Chromium, such as /usr/bin/chromium.');
}

const rootDir = fileURLToPath(new URL('../..', import.meta.url));
const sqlite = base.projects.find(({ displayName }) => displayName === 'sqlite');

/** @type {import('jest').Config} */
export default {
  // Each example builds itself with all processors.
  maxWorkers: 1,
  rootDir,
  testTimeout: 600_000,
  projects: [
    {
      ...sqlite,
      rootDir,
      displayName: 'examples',
      testMatch: ['<rootDir>/tests/examples/*.test.ts'],
    },
  ],
};
