import { calls, claims, outcome } from '../support/client';
import { boot, DAY, pass } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
let call: ReturnType<typeof calls>;

beforeAll(async () => {
  server = await boot();
  call = calls(server);
});
afterAll(() => server.stop());

const signIn = async () => call.signIn(await server.user());
const rowOf = async (token: string) =>
  (await server.rows()).find((row) => row.sid === claims(token).sid);

describe('A refresh token', () => {
  test('is exchanged for the next one and a new access token', async () => {
    const { body } = await signIn();
    const refreshed = await call.refresh(body.refreshToken);

    expect(refreshed.status).toBe(200);
    expect(Object.keys(refreshed.body).sort()).toEqual(['jwt', 'refreshToken']);
    expect(refreshed.headers['cache-control']).toBe('no-store');
    expect(claims(refreshed.body.refreshToken)).toMatchObject({
      sid: claims(body.refreshToken).sid,
      gen: 1,
    });
    expect((await call.me(refreshed.body.jwt)).status).toBe(200);
  });

  test('contains only its type, its session with the user and end, its generation and its times', async () => {
    const { body } = await signIn();
    const { iat, exp, ...rest } = claims(body.refreshToken);
    expect(rest).toEqual({
      typ: 'refresh',
      sid: expect.stringMatching(/^[0-9a-f]{32}$/),
      gen: 0,
      uid: body.user.id,
      end: iat! + 30 * DAY,
    });
    expect(exp! - iat!).toBe(2 * DAY);
  });

  test('gives racing tabs the same next token, byte for byte', async () => {
    const { body } = await signIn();
    const tabs = await Promise.all(
      Array.from({ length: 20 }, () => call.refresh(body.refreshToken))
    );

    expect(tabs.map((tab) => tab.status)).toEqual(Array(20).fill(200));
    expect(new Set(tabs.map((tab) => tab.body.refreshToken)).size).toBe(1);
    pass(9);
    expect((await call.refresh(body.refreshToken)).body.refreshToken).toBe(
      tabs[0].body.refreshToken
    );
  });

  test('still works, however late, if the response to its refresh was lost, and gets a different token', async () => {
    const { body } = await signIn();
    const lost = await call.refresh(body.refreshToken);
    pass(DAY);
    const again = await call.refresh(body.refreshToken);

    expect(again.status).toBe(200);
    expect(again.body.refreshToken).not.toBe(lost.body.refreshToken);
    expect(outcome(await call.refresh(lost.body.refreshToken))).toBe('401 refresh_token_reused');
    expect(outcome(await call.refresh(again.body.refreshToken))).toBe('401 session_ended');
  });

  test('ends the session when it is replayed after its successor was used', async () => {
    const { body } = await signIn();
    const next = await call.refresh(body.refreshToken);
    await call.me(next.body.jwt);
    pass(11);

    expect(outcome(await call.refresh(body.refreshToken))).toBe('401 refresh_token_reused');
    expect(outcome(await call.refresh(next.body.refreshToken))).toBe('401 session_ended');
    expect((await call.me(next.body.jwt)).status).toBe(401);
    expect(await rowOf(body.refreshToken)).toBeUndefined();
  });

  test('is caught when it is replayed, even if the server’s clock was set back meanwhile', async () => {
    const { body } = await signIn();
    const next = await call.refresh(body.refreshToken);
    await call.me(next.body.jwt);
    pass(-11);
    expect(outcome(await call.refresh(body.refreshToken))).toBe('401 refresh_token_reused');
    pass(11);
  });

  test('of racing tabs works on a server whose clock is slightly behind', async () => {
    const { body } = await signIn();
    const next = await call.refresh(body.refreshToken);
    pass(-9);
    const tab = await call.refresh(body.refreshToken);
    expect(tab.body.refreshToken).toBe(next.body.refreshToken);
    pass(9);
  });

  test('older than the parent ends the session, even within the grace period', async () => {
    const { body } = await signIn();
    const second = await call.refresh(body.refreshToken);
    await call.refresh(second.body.refreshToken);
    expect(outcome(await call.refresh(body.refreshToken))).toBe('401 refresh_token_reused');
  });

  test('that is reused causes one log line with the session, but without a token', async () => {
    const { body } = await signIn();
    const second = await call.refresh(body.refreshToken);
    await call.refresh(second.body.refreshToken);
    const before = server.log.length;
    await call.refresh(body.refreshToken);

    const lines = server.log.slice(before).filter((line) => line.includes('reuse'));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(claims(body.refreshToken).sid);
    expect(server.log.join('\n')).not.toContain(body.refreshToken);
  });

  test('newer than its row is accepted, because the database may have been restored from a backup', async () => {
    const { body } = await signIn();
    const backup = await rowOf(body.refreshToken);
    const first = await call.refresh(body.refreshToken);
    const second = await call.refresh(first.body.refreshToken);
    await server.strapi.db
      .connection('up_refresh_sessions')
      .where({ id: backup!.id })
      .update(backup!);

    const third = await call.refresh(second.body.refreshToken);
    expect(third.status).toBe(200);
    expect(claims(third.body.refreshToken).gen).toBe(3);
  });

  test('of a blocked user is refused, and ends its session', async () => {
    const user = await server.user();
    const { body } = await call.signIn(user);
    await server.strapi.db.connection('up_users').where({ id: user.id }).update({ blocked: true });

    expect(outcome(await call.refresh(body.refreshToken))).toBe('401 user_refused');
    expect(outcome(await call.refresh(body.refreshToken))).toBe('401 session_ended');
  });

  test('of a deleted user is refused', async () => {
    const user = await server.user();
    const { body } = await call.signIn(user);
    await server.strapi.db.connection('up_users').where({ id: user.id }).delete();
    expect(outcome(await call.refresh(body.refreshToken))).toMatch(
      /^401 (user_refused|session_ended)$/
    );
  });

  test('keeps working while it is used, up to the absolute lifetime', async () => {
    let { body } = await signIn();
    for (let day = 1; day < 30; day += 1) {
      pass(DAY);
      ({ body } = await call.refresh(body.refreshToken));
      expect(body.refreshToken).toBeDefined();
    }
    expect(claims(body.refreshToken).exp! - Date.now() / 1000).toBe(DAY);
    pass(DAY);
    expect(outcome(await call.refresh(body.refreshToken))).toBe('401 refresh_token_expired');
  });

  test('expires when it is not used for the idle lifetime', async () => {
    const { body } = await signIn();
    pass(2 * DAY - 1);
    const refreshed = await call.refresh(body.refreshToken);
    expect(refreshed.status).toBe(200);
    pass(2 * DAY);
    expect(outcome(await call.refresh(refreshed.body.refreshToken))).toBe(
      '401 refresh_token_expired'
    );
  });

  test('works despite an expired or malformed Authorization header', async () => {
    const { body } = await signIn();
    pass(DAY);
    for (const header of [`Bearer ${body.jwt}`, 'Bearer nonsense', 'Basic eDp5', '']) {
      const { status } = await server.api
        .post('/api/token/refresh')
        .set('Authorization', header)
        .send({ refreshToken: body.refreshToken });
      expect(status).toBe(200);
    }
  });

  test('that was refreshed 1,000 times has one row, and no table contains a token or a hash of one', async () => {
    let { body } = await signIn();
    for (let turn = 0; turn < 1000; turn += 1) {
      ({ body } = await call.refresh(body.refreshToken));
    }
    const { sid, gen } = claims(body.refreshToken);
    expect(gen).toBe(1000);
    expect((await server.rows()).filter((row) => row.sid === sid)).toHaveLength(1);

    const [header, payload, signature] = body.refreshToken.split('.');
    for (const name of await server.strapi.db.dialect.schemaInspector.getTables()) {
      const content = JSON.stringify(await server.strapi.db.connection(name));
      for (const part of [payload, signature, `${header}.`]) expect(content).not.toContain(part);
    }
  });
});

test('Unless REFRESH_TOKEN_ACCESS=true, POST /token/access is not found', async () => {
  const { refreshToken } = (await signIn()).body;
  for (const body of [{ refreshToken }, { refreshToken: 42 }, {}]) {
    const response = await server.api.post('/api/token/access').send(body);
    expect(outcome(response)).toBe('404');
    expect(response.body.error).toMatchObject({ status: 404, name: 'NotFoundError' });
  }
});
