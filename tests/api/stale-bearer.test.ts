import { calls, claims, outcome } from '../support/client';
import { boot, DAY, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

/** Front ends attach their access token to every request, even if it has expired. */

let server: Server;
let call: ReturnType<typeof calls>;
beforeAll(async () => {
  server = await boot();
  call = calls(server);
  server.strapi.plugin('email').service('email').send = async () => {};
});
afterAll(() => server.stop());

const users = () => server.strapi.db.query('plugin::users-permissions.user');
const bearerOf = async (user: { username: string }) =>
  `Bearer ${(await call.signIn(user)).body.jwt}`;

const BEARERS: [string, () => Promise<string>][] = [
  ['nonsense', async () => 'Bearer nonsense'],
  ['undefined', async () => 'Bearer undefined'],
  ['null', async () => 'Bearer null'],
  [
    'an expired token',
    async () => {
      const bearer = await bearerOf(await server.user());
      pass(DAY);
      return bearer;
    },
  ],
  [
    'a token whose session was revoked',
    async () => {
      const { jwt, refreshToken } = (await call.signIn(await server.user())).body;
      await call.revoke(refreshToken);
      return `Bearer ${jwt}`;
    },
  ],
  [
    'a refresh token',
    async () => `Bearer ${(await call.signIn(await server.user())).body.refreshToken}`,
  ],
  [
    'a token without a session, of a user who was blocked',
    async () => {
      const { id } = await server.user({ blocked: true });
      return `Bearer ${server.strapi.plugin('users-permissions').service('jwt').issue({ id })}`;
    },
  ],
  [
    'a token without a session, of a user who was deleted',
    async () => {
      const { id } = await server.user();
      await users().delete({ where: { id } });
      return `Bearer ${server.strapi.plugin('users-permissions').service('jwt').issue({ id })}`;
    },
  ],
  [
    'a token without a user',
    async () => `Bearer ${server.strapi.plugin('users-permissions').service('jwt').issue({})}`,
  ],
];

let names = 0;
const newcomer = () => {
  names += 1;
  return { username: `stale-${names}`, email: `stale-${names}@test.local`, password: PASSWORD };
};

describe.each(BEARERS)('With %s in the Authorization header', (_which, make) => {
  const send = async (method: 'get' | 'post', path: string, body?: object) =>
    server.api[method](`/api${path}`)
      .set('Authorization', await make())
      .send(body);

  test.each(['/auth/local', '/auth/token/request'])(
    'the right password signs in: %s',
    async (path) => {
      const { username, id } = await server.user();
      const response = await send('post', path, { identifier: username, password: PASSWORD });
      expect(outcome(response)).toBe('200');
      expect(claims(response.body.jwt).id).toBe(id);
    }
  );

  test('a new user registers', async () => {
    expect(outcome(await send('post', '/auth/local/register', newcomer()))).toBe('200');
  });

  test('a forgotten password can be reset', async () => {
    const { email } = await server.user({ resetPasswordToken: `reset-${(names += 1)}` });
    expect(outcome(await send('post', '/auth/forgot-password', { email }))).toBe('200');
    const { resetPasswordToken: code } = await users().findOne({ where: { email } });
    const fields = { code, password: 'new password', passwordConfirmation: 'new password' };
    expect(outcome(await send('post', '/auth/reset-password', fields))).toBe('200');
  });

  test('an email address is confirmed', async () => {
    const { email } = await server.user({
      confirmed: false,
      confirmationToken: `c-${(names += 1)}`,
    });
    expect(outcome(await send('post', '/auth/send-email-confirmation', { email }))).toBe('200');
    const { confirmationToken } = await users().findOne({ where: { email } });
    const response = await send(
      'get',
      `/auth/email-confirmation?confirmation=${confirmationToken}`
    );
    expect(response.status).toBe(302);
  });

  test('the redirects to a provider and back work', async () => {
    const there = await send('get', '/connect/github');
    expect(there.body.error.message).toBe('This provider is disabled');
    const back = await send('get', '/auth/github/callback');
    expect(back.body.error.message).toMatch(/did not come back from the provider/);
  });

  test('the password cannot be changed, and nothing can be read', async () => {
    const fields = { currentPassword: PASSWORD, password: 'new', passwordConfirmation: 'new' };
    expect((await send('post', '/auth/change-password', fields)).status).toBe(401);
    expect((await send('get', '/users/me')).status).toBe(401);
  });
});

test('A valid access token still counts on the sign-in routes, as in Strapi', async () => {
  const user = await server.user();
  const response = await server.api
    .post('/api/auth/local')
    .set('Authorization', await bearerOf(user))
    .send({ identifier: user.username, password: PASSWORD });
  // Its role has no permission to sign in, but anonymous visitors do.
  expect(response.status).toBe(403);
});
