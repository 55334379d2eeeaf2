import { calls, outcome } from '../support/client';
import { boot } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
afterEach(() => server.stop());

const withoutFields = (...names: string[]) =>
  boot({}, (strapi) => {
    const { attributes } = strapi.contentType('plugin::users-permissions.user') as any;
    for (const name of names) delete attributes[name];
  });

test('A project works if its users have no password and sign in with links', async () => {
  server = await withoutFields('password');
  const { id } = await server.user({ password: undefined });
  const service = server.strapi.service('plugin::users-permissions.refresh-session') as any;
  const { refreshToken } = await service.signIn(id);
  expect((await calls(server).refresh(refreshToken)).status).toBe(200);
});

test('A project whose registration creates a second user, or has its own deviceId field, signs in the first user', async () => {
  server = await boot({}, (strapi) => {
    const user = strapi.contentType('plugin::users-permissions.user') as any;
    user.attributes.deviceId = { type: 'string' };
    strapi.config.set('plugin::users-permissions.register', { allowedFields: ['deviceId'] });
  });
  const users = server.strapi.db.query('plugin::users-permissions.user');
  server.strapi.db.lifecycles.subscribe({
    models: ['plugin::users-permissions.user'],
    async afterCreate({ result }: any) {
      if (result.username !== 'first') return;
      await users.create({ data: { username: 'second', email: 'b@test.local', password: 'hash' } });
    },
  } as never);
  const { status, body } = await server.api.post('/api/auth/local/register').send({
    username: 'first',
    email: 'a@test.local',
    password: 'secret123',
    deviceId: 'phone-1',
    requestRefresh: true,
  });
  expect(status).toBe(200);
  expect((await calls(server).me(body.jwt)).body.username).toBe('first');
  expect((await users.findOne({ where: { username: 'first' } })).deviceId).toBe('phone-1');
});

test('A project whose users have no blocked and confirmed fields signs in, refreshes and signs out', async () => {
  server = await withoutFields('blocked', 'confirmed');
  const call = calls(server);
  const { body } = await call.signIn(await server.user());
  const refreshed = await call.refresh(body.refreshToken);
  expect(refreshed.status).toBe(200);
  expect((await call.me(refreshed.body.jwt)).status).toBe(200);
  await call.revoke(refreshed.body.refreshToken);
  expect(outcome(await call.refresh(refreshed.body.refreshToken))).toBe('401 session_ended');
});
