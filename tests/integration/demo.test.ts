import { execFile } from 'child_process';
import path from 'path';
import { promisify } from 'util';
import { demoEnvironment, removeDatabase } from '../support/demo';
import { freePort } from '../support/port';

const ROOT = path.resolve(__dirname, '../..');

test('npm run demo -- --once plays all scenes, and each goes as expected', async () => {
  const port = await freePort();
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [path.join(ROOT, 'dist/demo/index.js'), '--once'],
    { cwd: ROOT, env: demoEnvironment(port) as NodeJS.ProcessEnv }
  );
  removeDatabase(port);
  expect(stdout).toContain('All 8 scenes went as expected.');
  expect(stdout).not.toContain('✗');
  expect(stdout).not.toMatch(/eyJ[\w-]{30}/);
});
