import { execFile } from 'child_process';
import { createServer } from 'net';
import type { AddressInfo } from 'net';
import path from 'path';
import { promisify } from 'util';

const ROOT = path.resolve(__dirname, '../..');

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });

test('npm run demo -- --once tells all its scenes, and each goes as told', async () => {
  const secret = 'one secret of this very test only';
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [path.join(ROOT, 'dist/demo/index.js'), '--once'],
    {
      cwd: ROOT,
      env: {
        PATH: process.env.PATH,
        PORT: String(await freePort()),
        APP_KEYS: 'a,b',
        API_TOKEN_SALT: secret,
        ADMIN_JWT_SECRET: secret,
        TRANSFER_TOKEN_SALT: secret,
        ENCRYPTION_KEY: secret,
        JWT_SECRET: 'another secret of this test only',
        REFRESH_SECRET: secret,
      },
    }
  );
  expect(stdout).toContain('All 8 scenes went as told.');
  expect(stdout).not.toContain('✗');
  expect(stdout).not.toMatch(/eyJ[\w-]{30}/);
}, 60_000);
