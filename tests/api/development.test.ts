import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'fs';
import { tmpdir } from 'os';
import path from 'path';
import { outcome } from '../support/client';
import { boot, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
const folder = mkdtempSync(path.join(tmpdir(), 'development-'));
const envFile = path.join(folder, '.env');

beforeAll(async () => {
  writeFileSync(envFile, 'JWT_SECRET=kept-as-it-was');
  server = await boot({ NODE_ENV: 'development', REFRESH_SECRET: '', ENV_PATH: envFile });
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

describe('In development', () => {
  test('a missing REFRESH_SECRET is generated, logged without its value, and saved to .env without touching other lines', () => {
    const lines = readFileSync(envFile, 'utf8').trim().split('\n');
    expect(lines[0]).toBe('JWT_SECRET=kept-as-it-was');
    expect(lines[1]).toMatch(/^REFRESH_SECRET=.{44}$/);
    expect(server.log.filter((line) => line.includes('REFRESH_SECRET was missing'))).toHaveLength(
      1
    );
    expect(server.log.join('\n')).not.toContain(process.env.REFRESH_SECRET);
  });

  test('only its owner can read the file with the secrets', () => {
    expect(statSync(envFile).mode & 0o777).toBe(0o600);
  });

  test.each([
    'http://localhost:3000',
    'https://localhost',
    'http://127.0.0.1:3000',
    'https://127.0.0.1:5173',
    'http://[::1]:3000',
  ])('a front end at %s works without any setting', async (origin) => {
    const { username } = await server.user();
    const headers = { Origin: origin, 'Sec-Fetch-Site': 'cross-site' };
    const browser = server.browser();
    const signedIn = await browser
      .post('/api/auth/local')
      .set(headers)
      .send({ identifier: username, password: PASSWORD });
    expect(signedIn.status).toBe(200);
    expect((await browser.post('/api/token/refresh').set(headers).send()).status).toBe(200);
  });

  test.each([
    'http://localhost.evil.test',
    'http://127.0.0.1.evil.test:3000',
    'http://evil.test:3000',
    'ftp://localhost',
    'null',
  ])('a page on %s is still refused', async (origin) => {
    const { username } = await server.user();
    const response = await server.api
      .post('/api/auth/local')
      .set({ Origin: origin, 'Sec-Fetch-Site': 'cross-site' })
      .send({ identifier: username, password: PASSWORD });
    expect(outcome(response)).toBe('403 origin_refused');
  });

  test('one line of the boot log shows the settings in effect', () => {
    const lines = server.log.filter((line) => line.includes('access token 6m'));
    expect(lines).toEqual([
      'info: [refresh-token] access token 6m · refresh token 2d idle, 30d at most · grace 10s · response: cookie · cookie refreshToken (httpOnly, SameSite=Lax) · unlimited sessions · tokens without a session accepted',
    ]);
  });
});
