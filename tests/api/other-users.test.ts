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

test('A project whose users have neither blocked nor confirmed signs in, refreshes and signs out', async () => {
  server = await withoutFields('blocked', 'confirmed');
  const call = calls(server);
  const { body } = await call.signIn(await server.user());
  const refreshed = await call.refresh(body.refreshToken);
  expect(refreshed.status).toBe(200);
  expect((await call.me(refreshed.body.jwt)).status).toBe(200);
  await call.revoke(refreshed.body.refreshToken);
  expect(outcome(await call.refresh(refreshed.body.refreshToken))).toBe('401 session_ended');
});
