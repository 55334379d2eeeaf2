import { boot, PASSWORD } from '../support/server';
import { calls, claims, outcome } from '../support/client';
import type { Server } from '../support/server';

let server: Server;
beforeAll(async () => {
  server = await boot();
});
afterAll(() => server.stop());

describe('The table of sessions', () => {
  test('has a unique index on the session and an index on the user, but none on a column that a rotation changes', async () => {
    const indexes =
      await server.strapi.db.dialect.schemaInspector.getIndexes('up_refresh_sessions');
    const columns = indexes.flatMap((index) => index.columns);
    expect(indexes).toContainEqual(expect.objectContaining({ columns: ['sid'], type: 'unique' }));
    expect(columns).toContain('user_id');
    expect(columns.join()).not.toMatch(/generation|parent|acknowledged|rotated|expires|ends/);
  });

  test('rejects a second row for a session', async () => {
    await calls(server).signIn(await server.user());
    const [{ id: _id, ...row }] = await server.rows();
    const again = server.strapi.db.connection('up_refresh_sessions').insert(row);
    await expect(again).rejects.toHaveProperty(
      'code',
      expect.stringMatching(/^(SQLITE_CONSTRAINT_UNIQUE|23505|ER_DUP_ENTRY)$/)
    );
  });

  test('matches ids exactly, even in databases that ignore case or trailing spaces', async () => {
    const { body } = await calls(server).signIn(await server.user());
    const { sid } = claims(body.jwt);
    const path = (id: string) => `/api/users/me/sessions/${encodeURIComponent(id)}`;
    const end = (id: string) =>
      server.api.delete(path(id)).set('Authorization', `Bearer ${body.jwt}`);

    for (const id of [sid.toUpperCase(), `${sid} `, ` ${sid}`, `${sid}\t`]) {
      expect(outcome(await end(id))).toBe('404 session_not_found');
    }
    expect(outcome(await end(sid))).toBe('200');
  });

  test('is not reachable over the content API, not even through a user', async () => {
    const { username } = await server.user();
    const { body } = await server.api
      .post('/api/auth/local')
      .send({ identifier: username, password: PASSWORD });
    const get = (path: string) => server.api.get(path).set('Authorization', `Bearer ${body.jwt}`);

    expect((await get('/api/refresh-sessions')).status).toBe(404);
    expect(JSON.stringify((await get('/api/users/me?populate=*')).body)).not.toMatch(/generation/);
  });

  test('has three indexes', async () => {
    const indexes =
      await server.strapi.db.dialect.schemaInspector.getIndexes('up_refresh_sessions');
    // SQLite's primary key is the table itself.
    const others = indexes.filter(({ columns }) => columns.join() !== 'id');
    expect(others.map(({ columns }) => columns.join()).sort()).toEqual(['sid', 'user_id']);
  });

  test('is not a content type, so nothing that works on content types sees it', () => {
    const uid = 'plugin::users-permissions.refresh-session';
    expect(Object.keys(server.strapi.contentTypes)).not.toContain(uid);
    expect(server.strapi.getModel(uid as never)).toBeUndefined();
  });

  test('stores device names with arbitrary bytes in a form that every database accepts', async () => {
    const { username } = await server.user();
    await server.api
      .post('/api/auth/local')
      .set('User-Agent', 'Ph\u00f6ne\u0080/1.0')
      .send({ identifier: username, password: PASSWORD });
    expect((await server.rows()).pop()!.user_agent).toMatch(/^Ph\?+ne\?+\/1\.0$/);
  });
});

test('Every route has a handler with a name, which the roles page of the admin panel requires', async () => {
  const routes = await server.strapi
    .service('plugin::users-permissions.users-permissions')!
    .getRoutes();
  const sent = JSON.parse(JSON.stringify(routes))['plugin::users-permissions'];
  expect(sent.map(({ path }: any) => path)).toContain('/api/token/refresh');
  for (const { handler } of sent) expect(handler).toEqual(expect.any(String));
});
