import { fileURLToPath } from 'node:url';
import base from '../../jest.config.mjs';

/** @type {import('jest').Config} */
export default {
  ...base.projects.find(({ displayName }) => displayName === 'unit'),
  // These play long histories at random, which takes ten seconds for each mutant.
  testPathIgnorePatterns: ['\\.(model|search)\\.test\\.ts$'],
  rootDir: fileURLToPath(new URL('../..', import.meta.url)),
};
