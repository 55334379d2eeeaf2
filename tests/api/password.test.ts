import { setTimeout as sleep } from 'timers/promises';
import type { Response } from 'supertest';
import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { boot, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

const NEW = 'battery staple 2';
let server: Server;
let call: ReturnType<typeof calls>;
beforeAll(async () => {
  server = await boot({}, (strapi) => {
    // Calls the action as the resolver of Strapi's GraphQL plugin does.
    strapi.server.app.use((ctx, next) => {
      if (ctx.path !== '/as-graphql') return next();
      const auth = strapi.plugin('users-permissions').controller('auth') as any;
      return auth.emailConfirmation(ctx, null, true);
    });
  });
  call = calls(server);
});
afterAll(() => server.stop());

const changePassword = (jwt: string, fields = {}) =>
  server.api
    .post('/api/auth/change-password')
    .set('Authorization', `Bearer ${jwt}`)
    .send({ currentPassword: PASSWORD, password: NEW, passwordConfirmation: NEW, ...fields });

const resetPassword = async (id: number, fields = {}) => {
  const code = `code-of-${id}`;
  await server.strapi
    .service('plugin::users-permissions.user')!
    .edit(id, { resetPasswordToken: code });
  return server.api
    .post('/api/auth/reset-password')
    .send({ code, password: NEW, passwordConfirmation: NEW, ...fields });
};
const signInByCookie = ({ username }: { username: string }) =>
  server.api.post('/api/auth/local').send({ identifier: username, password: PASSWORD });
const sessionsOf = async (id: number) => (await server.rows()).filter((row) => row.user_id === id);

describe('Changing the password', () => {
  test('ends every other session, and the caller gets a new one by cookie', async () => {
    const user = await server.user();
    const other = (await call.signIn(user)).body;
    const mine = await signInByCookie(user);
    const changed = await changePassword(mine.body.jwt);

    expect(changed.status).toBe(200);
    expect(Object.keys(changed.body).sort()).toEqual(['jwt', 'user']);
    expect(outcome(await call.refresh(other.refreshToken))).toBe('401 session_ended');
    expect((await call.me(mine.body.jwt)).status).toBe(401);
    expect((await call.me(changed.body.jwt)).status).toBe(200);
    const refreshed = await server.api
      .post('/api/token/refresh')
      .set('Cookie', cookieHeader(changed));
    expect(refreshed.status).toBe(200);
    expect(await sessionsOf(user.id)).toHaveLength(1);
  });

  test('returns the new token in the body if the session uses the body', async () => {
    const { jwt } = (await call.signIn(await server.user())).body;
    const changed = await changePassword(jwt);
    expect(cookies(changed)).toEqual({});
    expect((await call.refresh(changed.body.refreshToken)).status).toBe(200);
  });

  test('respects the transport that the request asks for, and the device that Strapi’s own mode would send', async () => {
    const mine = await signInByCookie(await server.user());
    const changed = await changePassword(mine.body.jwt, { requestRefresh: true, deviceId: 'x' });
    expect(changed.body.refreshToken).toBeDefined();
  });

  test('with a wrong current password ends nothing', async () => {
    const { jwt } = (await call.signIn(await server.user())).body;
    expect((await changePassword(jwt, { currentPassword: 'wrong' })).status).toBe(400);
    expect((await call.me(jwt)).status).toBe(200);
  });
});

describe('Resetting the password', () => {
  test('ends every session, and signs in with a new one', async () => {
    const user = await server.user();
    const other = (await call.signIn(user)).body;
    const reset = await resetPassword(user.id, { requestRefresh: true });

    expect(reset.status).toBe(200);
    expect(outcome(await call.refresh(other.refreshToken))).toBe('401 session_ended');
    expect((await call.refresh(reset.body.refreshToken)).status).toBe(200);
    expect(await sessionsOf(user.id)).toHaveLength(1);
  });

  test('signs in by cookie by default', async () => {
    const reset = await resetPassword((await server.user()).id);
    expect(cookies(reset).refreshToken).toBeDefined();
    expect(reset.body.refreshToken).toBeUndefined();
  });

  test('of a blocked user opens no session', async () => {
    const user = await server.user({ blocked: true });
    expect(outcome(await resetPassword(user.id))).toBe('401 user_refused');
    expect(await sessionsOf(user.id)).toHaveLength(0);
  });
});

describe('Confirming the email address', () => {
  const confirm = (token: string) =>
    server.api
      .get('/api/auth/email-confirmation')
      .set({ 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' })
      .query({ confirmation: token });

  test('redirects and opens no session, and then the user can sign in', async () => {
    const user = await server.user({ confirmed: false, confirmationToken: 'confirm-me' });
    const before = await server.rows();
    const response = await confirm('confirm-me');
    expect(response.status).toBe(302);
    expect(await server.rows()).toEqual(before);
    expect((await call.signIn(user)).status).toBe(200);
  });

  test('with NUL in the token is rejected', async () => {
    expect(outcome(await confirm('a\0b'))).toBe('400 invalid_request');
  });

  test('opens a session over GraphQL, where it signs the user in', async () => {
    const user = await server.user({ confirmed: false, confirmationToken: 'graphql' });
    const response = await server.api.get('/as-graphql').query({ confirmation: 'graphql' });
    expect(claims(response.body.jwt)).toMatchObject({ id: user.id, gen: 0 });
    expect(cookies(response).refreshToken).toBeDefined();
    expect(await sessionsOf(user.id)).toHaveLength(1);
  });
});

describe('A user without a password, as after a social sign-in', () => {
  test('gets the same error for a change as for a wrong password', async () => {
    const user = await server.user();
    const { jwt } = (await call.signIn(user)).body;
    await server.strapi.db.connection('up_users').where({ id: user.id }).update({ password: null });
    const response = await changePassword(jwt);
    expect(response.status).toBe(400);
    expect(response.body.error.message).toBe('The provided current password is invalid');
    expect((await call.me(jwt)).status).toBe(200);
  });
});

describe('A sign-in that is overtaken while its password is being compared', () => {
  const HELD = 5;
  let restore: () => void;
  /** How many comparisons are still to be paused, and the callback for when all are. */
  let toHold = 0;
  let allHeld = () => {};
  let released: Promise<void> = Promise.resolve();
  beforeAll(() => {
    const service = server.strapi.service('plugin::users-permissions.user')!;
    const { validatePassword } = service;
    service.validatePassword = async (...args: unknown[]) => {
      const valid = await validatePassword(...args);
      if (toHold > 0) {
        toHold -= 1;
        if (toHold === 0) allHeld();
        await released;
      }
      return valid;
    };
    restore = () => {
      service.validatePassword = validatePassword;
    };
  });
  afterAll(() => restore());

  /** Signs in before, during and after a change: some sign-ins compare the password before it, and continue after it. */
  async function signInDuring(user: { username: string }, work: () => Promise<unknown>) {
    let release = () => {};
    released = new Promise((resolve) => {
      release = resolve;
    });
    const held = new Promise<void>((resolve) => {
      allHeld = resolve;
    });
    toHold = HELD;
    const signIns = Array.from({ length: HELD }, () => call.signIn(user));
    await held;

    let done = false;
    const working = work().finally(() => {
      done = true;
    });
    while (!done && signIns.length < 4 * HELD) {
      signIns.push(call.signIn(user));
      await sleep(12);
    }
    await working;
    release();
    return Promise.all(signIns);
  }

  test('by a password change leaves no session that used the old password', async () => {
    const outcomes = new Set<string>();
    for (let round = 0; round < 4; round += 1) {
      const user = await server.user();
      const { jwt } = (await call.signIn(user)).body;
      let change!: Response;
      const signIns = await signInDuring(user, async () => {
        change = await changePassword(jwt);
      });

      const { status, body } = change;
      expect(status).toBe(200);
      expect((await sessionsOf(user.id)).map(({ sid }) => sid)).toEqual([claims(body.jwt).sid]);
      for (const signIn of signIns) {
        outcomes.add(outcome(signIn));
        if (signIn.status === 200) expect((await call.me(signIn.body.jwt)).status).toBe(401);
      }
    }
    expect(outcomes).toContain('401 user_refused');
    expect([...outcomes].filter((one) => one.startsWith('5'))).toEqual([]);
  });

  test('by an operator who blocks the user leaves no session', async () => {
    const users = server.strapi.db.query('plugin::users-permissions.user');
    const user = await server.user();
    const block = () => users.update({ where: { id: user.id }, data: { blocked: true } });
    const outcomes = (await signInDuring(user, block)).map(outcome);
    expect(await sessionsOf(user.id)).toEqual([]);
    expect(outcomes).toContain('401 user_refused');
    expect(outcomes.filter((one) => one.startsWith('5'))).toEqual([]);
  });

  test('by the user’s deletion leaves no session', async () => {
    const user = await server.user();
    const service = server.strapi.service('plugin::users-permissions.user')!;
    const removal = () => service.remove({ id: user.id });
    const outcomes = (await signInDuring(user, removal)).map(outcome);
    expect(outcomes).toContain('401 user_refused');
    expect(outcomes.filter((one) => one.startsWith('5'))).toEqual([]);
    expect(await sessionsOf(user.id)).toEqual([]);
  });
});
