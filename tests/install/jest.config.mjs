import { fileURLToPath } from 'node:url';
import base from '../../jest.config.mjs';

const rootDir = fileURLToPath(new URL('../..', import.meta.url));
const integration = base.projects.find(({ displayName }) => displayName === 'integration');

/** @type {import('jest').Config} */
export default {
  rootDir,
  testTimeout: 1_200_000,
  projects: [
    {
      ...integration,
      rootDir,
      displayName: 'install',
      testMatch: ['<rootDir>/tests/install/*.test.ts'],
    },
  ],
};
