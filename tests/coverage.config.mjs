import { fileURLToPath } from 'node:url';
import base from '../jest.config.mjs';

const rootDir = fileURLToPath(new URL('..', import.meta.url));
const project = (name) => base.projects.find(({ displayName }) => displayName === name);

/** What Strapi loads from `dist`, or a customized project from its `ours`, comes from `src` here, so that Jest instruments it. */
const fromSource = {
  rootDir,
  moduleNameMapper: {
    '/dist/(src/extensions/.*)\\.js$': '<rootDir>/$1.ts',
    '^\\./ours$': '<rootDir>/src/extensions/users-permissions/strapi-server.ts',
  },
};

/** @type {import('jest').Config} */
export default {
  ...base,
  rootDir,
  collectCoverage: true,
  collectCoverageFrom: ['src/extensions/users-permissions/**/*.ts', 'client/*.ts'],
  coverageDirectory: 'coverage',
  coverageReporters: ['text', 'html', 'lcovonly'],
  projects: [
    { ...project('unit'), ...fromSource },
    {
      ...project('sqlite'),
      ...fromSource,
      // It runs copies of the folder with other policies.
      testPathIgnorePatterns: ['policy-examples'],
    },
    {
      ...project('integration'),
      ...fromSource,
      displayName: 'client',
      testMatch: ['<rootDir>/tests/integration/client*.test.ts'],
    },
  ],
};
