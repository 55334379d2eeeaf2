/**
 * `npm run demo`: boots this Strapi on a new SQLite file, plays the extension's scenarios over HTTP, and prints what
 * happens. Then it stays up, so that you can continue with curl; with `--once` it exits, with status 1 if a step did not go
 * as expected.
 */
import { rmSync } from 'fs';
import path from 'path';
import { parseArgs } from 'util';
import { createStrapi } from '@strapi/strapi';
import type { Core } from '@strapi/strapi';
import { servePage } from './page';
import { play, USERS } from './scenes';
import { Transcript } from './transcript';

const ROOT = path.resolve(__dirname, '../..');

const TUNABLE = [
  'JWT_SECRET_EXPIRES',
  'REFRESH_TOKEN_EXPIRES',
  'REFRESH_SESSION_EXPIRES',
  'REFRESH_TOKEN_RESPONSE',
  'REFRESH_COOKIE_NAME',
  'REFRESH_COOKIE_SAMESITE',
  'REFRESH_COOKIE_DOMAIN',
  'REFRESH_COOKIE_SECURE',
  'REFRESH_SESSIONS_PER_USER',
];

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { once: { type: 'boolean', default: false } } });

  const port = process.env.PORT || '1337';
  const database = `.tmp/demo-${port}.db`;
  for (const suffix of ['', '-wal', '-shm']) {
    rmSync(path.join(ROOT, database + suffix), { force: true });
  }
  Object.assign(process.env, {
    NODE_ENV: 'development',
    HOST: '127.0.0.1',
    PORT: port,
    DATABASE_CLIENT: 'sqlite',
    DATABASE_FILENAME: database,
    RATE_LIMIT_MAX: '1000',
    STRAPI_TELEMETRY_DISABLED: 'true',
    // The scenes show the defaults, whatever .env says, except for the durations that you would have to wait for.
    ...Object.fromEntries(TUNABLE.map((name) => [name, ''])),
    JWT_SECRET_EXPIRES: '30s',
    REFRESH_TOKEN_GRACE: '2s',
    // For the Postman collection.
    REFRESH_TOKEN_ACCESS: 'true',
  });

  console.log('Booting Strapi on a new SQLite file …');
  const strapi = await quietly(async () => {
    const created = createStrapi({
      appDir: ROOT,
      distDir: path.join(ROOT, 'dist'),
      serveAdminPanel: false,
    });
    await created.register();
    servePage(created, ROOT);
    await created.bootstrap();
    return created;
  });
  await makeUsers(strapi);
  await new Promise<void>((resolve, reject) => {
    strapi.server.mount();
    strapi.server.httpServer.once('error', reject);
    strapi.server.httpServer.listen(Number(port), '127.0.0.1', resolve);
  });

  const url = `http://127.0.0.1:${port}`;
  const transcript = new Transcript(url);
  console.log(`Strapi is running at ${url}, with two users: ${USERS.join(' and ')}.`);
  console.log(
    'For this demo, access tokens expire after 30s (default: 6m), the grace period is 2s (default: 10s), and the limit on sign-ins is raised.'
  );
  await play(transcript);

  const failed = transcript.summary();
  if (values.once) {
    await strapi.destroy();
    process.exit(failed > 0 ? 1 : 0);
  }
  console.log(nextSteps(url));
}

/** Strapi's own log lines would get mixed up with the transcript. */
async function quietly(load: () => Promise<Core.Strapi>): Promise<Core.Strapi> {
  const write = process.stdout.write;
  process.stdout.write = () => true;
  try {
    const strapi = await load();
    strapi.log.transports.forEach((transport) => Object.assign(transport, { level: 'error' }));
    return strapi;
  } finally {
    process.stdout.write = write;
  }
}

async function makeUsers(strapi: Core.Strapi): Promise<void> {
  const role = await strapi.db
    .query('plugin::users-permissions.role')
    .findOne({ where: { type: 'authenticated' } });
  for (const name of USERS) {
    await strapi.service('plugin::users-permissions.user')!.add({
      username: name,
      email: `${name}@demo.local`,
      password: `${name}-password`,
      provider: 'local',
      confirmed: true,
      role: role.id,
    });
  }
}

const nextSteps = (url: string) => `
Strapi keeps running until you press Ctrl-C. Try the demo page in a browser: ${url}

Or use curl (it saves the cookie in the file jar):

  curl -c jar ${url}/api/auth/local -H 'Content-Type: application/json' -d '{"identifier":"ada","password":"ada-password"}'
  curl -b jar -c jar -X POST ${url}/api/token/refresh
  curl ${url}/api/users/me -H "Authorization: Bearer <jwt from the response>"
  curl -b jar -c jar -X POST ${url}/api/token/revoke
`;

main().catch((error) => {
  const taken = error.code === 'EADDRINUSE';
  console.error(
    taken ? `Port ${error.port} is already in use. Try another one: PORT=1400 npm run demo` : error
  );
  process.exit(1);
});
