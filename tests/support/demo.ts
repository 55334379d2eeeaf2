import { spawn } from 'child_process';
import { once } from 'events';
import { rmSync } from 'fs';
import path from 'path';
import { freePort } from './port';

const ROOT = path.resolve(__dirname, '../..');

/** The environment that the demo needs, without the machine's own settings. */
export const demoEnvironment = (port: number): Record<string, string | undefined> => {
  const secret = 'one secret of this very test only';
  return {
    PATH: process.env.PATH,
    PORT: String(port),
    APP_KEYS: 'a,b',
    API_TOKEN_SALT: secret,
    ADMIN_JWT_SECRET: secret,
    TRANSFER_TOKEN_SALT: secret,
    ENCRYPTION_KEY: secret,
    JWT_SECRET: 'another secret of this test only',
    REFRESH_SECRET: secret,
  };
};

/** The demo keeps its database file so that you can inspect it; tests delete it. */
export function removeDatabase(port: number): void {
  for (const suffix of ['', '-wal', '-shm']) {
    rmSync(path.join(ROOT, `.tmp/demo-${port}.db${suffix}`), { force: true });
  }
}

/**
 * Starts `npm run demo`, and waits until it has played its scenes.
 *
 * @returns its address, and how to stop it
 */
export async function startDemo(): Promise<{ url: string; stop(): Promise<void> }> {
  const port = await freePort();
  const child = spawn(process.execPath, [path.join(ROOT, 'dist/demo/index.js')], {
    cwd: ROOT,
    env: demoEnvironment(port) as NodeJS.ProcessEnv,
  });
  let said = '';
  child.stderr.on('data', (text) => (said += text));
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (text) => {
      said += text;
      if (said.includes('Strapi keeps running')) resolve();
    });
    child.once('exit', () => reject(new Error(`The demo ended:\n${said}`)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      const exited = once(child, 'exit');
      child.kill();
      await exited;
      removeDatabase(port);
    },
  };
}
