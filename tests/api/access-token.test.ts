import jwt from 'jsonwebtoken';
import { calls, claims, outcome } from '../support/client';
import { boot, pass } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
let call: ReturnType<typeof calls>;
beforeAll(async () => {
  server = await boot();
  call = calls(server);
});
afterAll(() => server.stop());

/** Makes every update of a session fail, and restores it. */
const BROKEN_UPDATES = {
  sqlite: [
    `CREATE TRIGGER broken BEFORE UPDATE ON up_refresh_sessions BEGIN SELECT RAISE(ABORT, 'no'); END`,
    'DROP TRIGGER broken',
  ],
  postgres: [
    'CREATE RULE broken AS ON UPDATE TO up_refresh_sessions DO INSTEAD SELECT 1/0',
    'DROP RULE broken ON up_refresh_sessions',
  ],
  mysql: [
    `CREATE TRIGGER broken BEFORE UPDATE ON up_refresh_sessions FOR EACH ROW SIGNAL SQLSTATE '45000'`,
    'DROP TRIGGER broken',
  ],
};

const tokens = (of = server) => of.strapi.plugin('users-permissions').service('jwt');
const signIn = async () => {
  const user = await server.user();
  return { user, ...(await call.signIn(user)).body };
};

describe('An access token', () => {
  test('works until JWT_SECRET_EXPIRES has passed', async () => {
    const { jwt: token } = await signIn();
    pass(359);
    expect((await call.me(token)).status).toBe(200);
    pass(1);
    expect((await call.me(token)).status).toBe(401);
  });

  test('stops working immediately after sign-out', async () => {
    const { jwt: token, refreshToken } = await signIn();
    await call.revoke(refreshToken);
    expect((await call.me(token)).status).toBe(401);
  });

  test('with the session of another user is rejected', async () => {
    const mine = await signIn();
    const other = await signIn();
    const forged = tokens().issue({ id: mine.user.id, sid: claims(other.jwt).sid, gen: 0 });
    expect((await call.me(forged)).status).toBe(401);
  });

  test.each([['UPPER'.repeat(6) + 'AA'], [7], [null], [{ $ne: '' }], ["' or 1=1 --"]])(
    'with the session %j is rejected',
    async (sid) => {
      const { user } = await signIn();
      expect((await call.me(tokens().issue({ id: user.id, sid, gen: 0 }))).status).toBe(401);
    }
  );

  test('is never accepted as a refresh token, and a refresh token is never accepted as an access token', async () => {
    const { jwt: token, refreshToken, user } = await signIn();
    expect((await call.me(refreshToken)).status).toBe(401);
    expect(outcome(await call.refresh(token))).toBe('401 refresh_token_invalid');

    const { sid } = claims(refreshToken);
    const lookalike = tokens().issue({ typ: 'refresh', id: user.id, sid, gen: 0 });
    expect((await call.me(lookalike)).status).toBe(401);
    expect(outcome(await call.refresh(lookalike))).toBe('401 refresh_token_invalid');
  });

  test('acknowledges its generation once, and an older token acknowledges nothing', async () => {
    const { jwt: first, refreshToken } = await signIn();
    const { sid } = claims(first);
    const acknowledged = async () =>
      Boolean((await server.rows()).find((row) => row.sid === sid)!.acknowledged);

    expect(await acknowledged()).toBe(false);
    await call.me(first);
    expect(await acknowledged()).toBe(true);

    const next = await call.refresh(refreshToken);
    expect((await call.me(first)).status).toBe(200);
    expect(await acknowledged()).toBe(false);
    await call.me(next.body.jwt);
    expect(await acknowledged()).toBe(true);
  });

  test('works even if the acknowledgment cannot be written', async () => {
    const { jwt: token } = await signIn();
    const { connection, dialect } = server.strapi.db;
    const [breakIt, mendIt] = BROKEN_UPDATES[dialect.client as keyof typeof BROKEN_UPDATES];
    await connection.raw(breakIt);
    const { status } = await call.me(token);
    await connection.raw(mendIt);

    expect(status).toBe(200);
    expect(server.log.filter((line) => /^warn.*could not acknowledge/.test(line))).toHaveLength(1);
  });

  test('issued by the project’s own code works without a session for the short lifetime', async () => {
    const user = await server.user();
    const token = tokens().issue({ id: user.id });
    expect(claims(token).exp! - claims(token).iat!).toBe(360);
    expect((await call.me(token)).status).toBe(200);
  });

  test('issued with its own lifetime keeps it', async () => {
    const token = tokens().issue({ id: 1 }, { expiresIn: '1h' });
    expect(claims(token).exp! - claims(token).iat!).toBe(3600);
  });

  test('from before the extension was installed works until it expires', async () => {
    const { id } = await server.user();
    const old = jwt.sign({ id }, process.env.JWT_SECRET!, { expiresIn: '30d' });
    pass(20 * 86_400);
    expect((await call.me(old)).status).toBe(200);
  });

  test.each([
    ['another secret', { id: 1 }, 'another secret', {}],
    ['no signature', { id: 1 }, '', { algorithm: 'none' }],
    ['another algorithm', { id: 1 }, 'jwt-secret-of-the-tests', { algorithm: 'HS512' }],
  ])('signed with %s is rejected', async (_case, payload, secret, options) => {
    expect((await call.me(jwt.sign(payload, secret, options as jwt.SignOptions))).status).toBe(401);
  });

  test('puts the session id into ctx.state.session, as in Strapi’s refresh mode', async () => {
    const { jwt: token } = await signIn();
    expect((await tokens().verify(token)).sessionId).toBe(claims(token).sid);
  });
});
