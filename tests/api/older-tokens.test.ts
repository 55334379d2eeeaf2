import type { Core } from '@strapi/strapi';
import type { Database } from '../support/database';
import { boot, DAY, testDatabase } from '../support/server';
import type { Server } from '../support/server';

let server: Server | undefined;
let database: Database | undefined;
afterEach(async () => {
  await server?.stop();
  await database?.drop();
  database = undefined;
});

const warnings = ({ log }: Server) => log.filter((line) => line.includes('before this extension'));

describe('Access tokens from before the extension', () => {
  test('cannot exist in a project without users, so nothing is logged', async () => {
    server = await boot();
    expect(warnings(server)).toEqual([]);
  });

  const settings: [string, object, number][] = [
    ['for 30 days, as Strapi issues them by default', { expiresIn: '30d' }, 30],
    ['for the lifetime in config/plugins', { expiresIn: '7d' }, 7],
  ];
  test.each(settings)('cause a warning at boot %s', async (_case, jwt, days) => {
    const now = Date.now();
    database = await testDatabase();
    // A project from before the extension: it has a user, and has not recorded a first boot.
    server = await boot({}, undefined, database);
    await server.user();
    await server.strapi.db
      .connection('strapi_core_store_settings')
      .where('key', 'like', '%refresh-session')
      .delete();
    await server.stop();

    const configure = (strapi: Core.Strapi) =>
      strapi.config.set('plugin::users-permissions.jwt', jwt);
    server = await boot({}, configure, database);
    const [warning, ...others] = warnings(server);
    expect(others).toEqual([]);
    expect(warning).toContain('JWT_REQUIRE_SESSION=true');
    const end = Date.parse(/until (\S+)\./.exec(warning)![1]);
    expect(Math.abs(end - now - days * DAY * 1000)).toBeLessThan(60_000);
  });

  test('cause no warning if they are rejected', async () => {
    server = await boot({ JWT_REQUIRE_SESSION: 'true' });
    expect(warnings(server)).toEqual([]);
  });
});
