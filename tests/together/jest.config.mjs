import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import base from '../../jest.config.mjs';

const rootDir = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = path.join(rootDir, 'tests/api');

const files = readdirSync(FOLDER).map((name) => path.join(FOLDER, name));
/** Another project's extension stays in the objects of Strapi's plugins, and requests stay in the memory of its rate limit. */
const needsOwnStrapi = (file) =>
  /support\/project'|RATE_LIMIT_MAX/.test(readFileSync(file, 'utf8'));
const alone = files.filter(needsOwnStrapi);
const together = files.filter((file) => !needsOwnStrapi(file));

const isIgnored = ({ testPathIgnorePatterns }, file) =>
  testPathIgnorePatterns.some((pattern) => new RegExp(pattern).test(file));

/** @type {import('jest').Config} */
export default {
  ...base,
  rootDir,
  projects: base.projects
    .filter(({ globals }) => globals?.TEST_DATABASE)
    .map((project) => ({
      ...project,
      rootDir,
      testMatch: ['<rootDir>/tests/together/*.test.ts', ...alone],
      globals: {
        ...project.globals,
        TEST_FILES: together.filter((file) => !isIgnored(project, file)),
      },
    })),
};
