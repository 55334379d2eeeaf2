import { fileURLToPath } from 'node:url';
import base from '../../jest.config.mjs';

const rootDir = fileURLToPath(new URL('../..', import.meta.url));
const databases = base.projects.filter(({ globals }) => globals?.TEST_DATABASE);

/** @type {import('jest').Config} */
export default {
  // Each test starts its own processes, and this process runs the clients that send some hundred requests.
  maxWorkers: 1,
  rootDir,
  testTimeout: 1_800_000,
  projects: databases.map((project) => ({
    ...project,
    rootDir,
    testMatch: ['<rootDir>/tests/faults/*.test.ts'],
  })),
};
