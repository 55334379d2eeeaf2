import { boot, PASSWORD } from '../support/server';
import { calls } from '../support/client';
import type { Server } from '../support/server';

let server: Server;
beforeAll(async () => {
  server = await boot();
});
afterAll(() => server.stop());

describe('The sessions’ table', () => {
  test('has a unique index on the session and one on the user, and none on a column that a rotation changes', async () => {
    const indexes = await server.strapi.db
      .connection('sqlite_master')
      .where({ type: 'index', tbl_name: 'up_refresh_sessions' });
    const statements = indexes.map(({ sql }) => sql).join('\n');
    expect(statements).toMatch(/CREATE UNIQUE INDEX .* \(`sid`\)/);
    expect(statements).toMatch(/\(`user_id`\)/);
    expect(statements).not.toMatch(/generation|parent|acknowledged|rotated|expires|ends/);
  });

  test('refuses a second row of one session', async () => {
    await calls(server).signIn(await server.user());
    const [{ id: _id, ...row }] = await server.rows();
    const again = server.strapi.db.connection('up_refresh_sessions').insert(row);
    await expect(again).rejects.toHaveProperty('code', 'SQLITE_CONSTRAINT_UNIQUE');
  });

  test('is not reachable over the content API, not even by way of a user', async () => {
    const { username } = await server.user();
    const { body } = await server.api
      .post('/api/auth/local')
      .send({ identifier: username, password: PASSWORD });
    const get = (path: string) => server.api.get(path).set('Authorization', `Bearer ${body.jwt}`);

    expect((await get('/api/refresh-sessions')).status).toBe(404);
    expect(JSON.stringify((await get('/api/users/me?populate=*')).body)).not.toMatch(/generation/);
  });

  test('is listed neither in the content manager nor in the content-type builder', () => {
    const { pluginOptions } = server.strapi.contentType(
      'plugin::users-permissions.refresh-session'
    ) as any;
    expect(pluginOptions['content-manager'].visible).toBe(false);
    expect(pluginOptions['content-type-builder'].visible).toBe(false);
  });
});
