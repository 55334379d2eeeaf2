import { spawnSync } from 'child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'fs';
import { tmpdir } from 'os';
import path from 'path';

const ROOT = path.resolve(__dirname, '../..');
const FOLDER = 'src/extensions/users-permissions';

const lines = (count: number, line: string) => `${line}\n`.repeat(count);
const functionOf = (count: number) =>
  `export function long() {\n${lines(count - 2, '  void 0;')}}\n`;

/** A project with this project's lint rules, and what they must report for each file. */
const FILES: Record<string, [text: string, ...found: string[]]> = {
  // A cycle of type imports.
  [`${FOLDER}/sessions/manager.ts`]: [
    `import type { Row } from './repository';\nexport type Manager = Row[];\n`,
    `Import cycle: ${FOLDER}/sessions/manager.ts → ${FOLDER}/sessions/repository.ts → ${FOLDER}/sessions/manager.ts.`,
  ],
  [`${FOLDER}/sessions/repository.ts`]: [
    `export interface Row {\n  manager: import('./manager').Manager;\n}\n`,
    `Import cycle: ${FOLDER}/sessions/repository.ts → ${FOLDER}/sessions/manager.ts → ${FOLDER}/sessions/repository.ts.`,
  ],
  // Imports that point up, down and to the same layer.
  [`${FOLDER}/http/response.ts`]: [
    `import type { Jwt } from '../services/jwt';\nexport const send = (jwt: Jwt) => jwt;\n`,
    'http/response must not import services/jwt, which is not in a lower layer.',
  ],
  [`${FOLDER}/services/jwt.ts`]: [
    `export { wrap } from '../wrap';\nexport { user } from './user';\nexport type Jwt = string;\n`,
  ],
  [`${FOLDER}/services/user.ts`]: [`export const user = 1;\n`],
  [`${FOLDER}/wrap.ts`]: [
    `export * from './routes';\nexport const wrap = 1;\n`,
    'wrap must not import routes, which is not in a lower layer.',
  ],
  [`${FOLDER}/routes.ts`]: [`export const routes = [];\n`],
  [`${FOLDER}/util.ts`]: [
    `export const util = 1;\n`,
    'Add this file to the layers in eslint.config.mjs.',
  ],
  // File and function sizes.
  [`${FOLDER}/config/read.ts`]: [lines(250, '//')],
  [`${FOLDER}/config/checks.ts`]: [
    lines(251, '//'),
    'File has too many lines (251). Maximum allowed is 250.',
  ],
  'client/session.ts': [functionOf(60)],
  'client/tabs.ts': [
    functionOf(61),
    "Function 'long' has too many lines (61). Maximum allowed is 60.",
  ],
  // Only the copied code has these limits, but no code may have cycles.
  'tests/one.test.ts': [lines(251, '//') + functionOf(61)],
  'scripts/one.mjs': [
    `import './two.mjs';\n`,
    'Import cycle: scripts/one.mjs → scripts/two.mjs → scripts/one.mjs.',
  ],
  'scripts/two.mjs': [
    `import './one.mjs';\n`,
    'Import cycle: scripts/two.mjs → scripts/one.mjs → scripts/two.mjs.',
  ],
};

test('npm run lint rejects cycles, imports of a higher layer, and long files and functions', () => {
  const project = mkdtempSync(path.join(tmpdir(), 'lint-'));
  try {
    for (const name of ['eslint', 'eslint.config.mjs', 'tsconfig.json', 'tsconfig.check.json']) {
      cpSync(path.join(ROOT, name), path.join(project, name), { recursive: true });
    }
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(project, 'node_modules'));
    for (const [name, [text]] of Object.entries(FILES)) {
      mkdirSync(path.dirname(path.join(project, name)), { recursive: true });
      writeFileSync(path.join(project, name), text);
    }

    const { stdout } = spawnSync('npx', ['eslint', '--format', 'json', '.'], {
      cwd: project,
      encoding: 'utf8',
    });
    const found: Record<string, string[]> = {};
    for (const { filePath, messages } of JSON.parse(stdout)) {
      found[path.relative(project, filePath)] = messages.map(({ message }: any) => message);
    }
    const expected = Object.entries(FILES).map(([name, [, ...messages]]) => [name, messages]);
    expect(found).toMatchObject(Object.fromEntries(expected));
  } finally {
    rmSync(project, { recursive: true });
  }
});
