import { createPolicyHooks } from '../../src/extensions/users-permissions/sessions/policy-hooks';
import { SessionError } from '../../src/extensions/users-permissions/errors';
import type { SessionPolicy } from '../../src/extensions/users-permissions/policy-types';

const CONFIG = { accessTtl: 360_000, idleTtl: 172_800_000, absoluteTtl: 2_592_000_000 };
const readUser = async () => null;
const hooksOf = (policy: unknown) => createPolicyHooks(policy as SessionPolicy, CONFIG, readUser);
const user = { id: 1, role: null };
const client = { userAgent: null, ip: null };
const session = { sid: '0'.repeat(32), endsAt: 0, persistent: true };

test('An empty policy has no function at all, so that nothing is read for it', () => {
  expect(hooksOf({})).toEqual({ readUser });
  expect(hooksOf({ claims: undefined })).toEqual({ readUser });
});

test.each([
  [{ beforeSignin: () => {} }, 'policy.ts has beforeSignin'],
  [{ claims: { tenant: 1 } }, 'policy.ts has claims'],
  [undefined, 'policy.ts exports no policy'],
  [null, 'policy.ts exports no policy'],
  [() => {}, 'policy.ts exports no policy'],
])('A policy that would silently do nothing stops the boot: %p', (policy, message) => {
  expect(() => hooksOf(policy)).toThrow(message);
});

test('The timer of a function that is done, or that fails, does not keep the process running', async () => {
  const timers = () =>
    process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
  const before = timers();
  await hooksOf({ beforeRefresh: () => {} }).beforeRefresh!(user, session, client);
  await expect(
    hooksOf({ beforeRefresh: () => Promise.reject(new SessionError('user_refused')) })
      .beforeRefresh!(user, session, client)
  ).rejects.toMatchObject({ code: 'user_refused' });
  expect(timers()).toBe(before);
});

test('A function that fails after its time is up does not end the process', async () => {
  const late = jest.fn();
  process.on('unhandledRejection', late);
  const slow = () =>
    new Promise((_, reject) => {
      setTimeout(() => reject(new Error('late')), 2_200);
    });
  await expect(
    hooksOf({ beforeRefresh: slow }).beforeRefresh!(user, session, client)
  ).rejects.toMatchObject({ code: 'temporarily_unavailable', status: 503 });
  await new Promise((resolve) => {
    setTimeout(resolve, 400);
  });
  process.off('unhandledRejection', late);
  expect(late).not.toHaveBeenCalled();
});

test('A function can use the others, by this', async () => {
  const policy = {
    claims(this: any) {
      return { staff: this.isStaff };
    },
  };
  Object.defineProperty(policy, 'isStaff', { value: true });
  expect(await hooksOf(policy).claims!(user, session)).toEqual({ staff: true });
});

test.each([[undefined], [null]])('Claims of %p are none', async (nothing) => {
  expect(await hooksOf({ claims: () => nothing }).claims!(user, session)).toEqual({});
});

test.each([['text'], [7], [[]], [true], [() => {}]])('Claims cannot be %p', async (value) => {
  await expect(hooksOf({ claims: () => value }).claims!(user, session)).rejects.toThrow(
    'must return an object'
  );
});

describe('Lifetimes', () => {
  const lifetimes = (returned: unknown) =>
    hooksOf({ lifetimes: () => returned }).lifetimes!(user, { ...client, transport: 'cookie' });

  test.each([[undefined], [null], [{}], [{ idle: undefined, access: null }]])(
    'of %j are the defaults',
    async (returned) => {
      const absoluteTtl = CONFIG.absoluteTtl;
      expect(await lifetimes(returned)).toEqual({ accessTtl: null, idleTtl: null, absoluteTtl });
    }
  );

  test.each([[{ idel: '2h' }], ['2h'], [7], [['2h']], [{ idle: '2h', refresh: '1h' }]])(
    'of %j are refused, because they would have no effect',
    async (returned) => {
      await expect(lifetimes(returned)).rejects.toThrow('nothing but access, idle, absolute');
    }
  );
});

describe('A SessionError', () => {
  test('can have a code, a status, a message and details of your own', () => {
    const error = new SessionError('mine', 403, 'Why.', { more: 1, code: 'other' });
    expect(error).toMatchObject({ code: 'mine', status: 403, message: 'Why.' });
    expect(error.details).toEqual({ more: 1, code: 'mine' });
  });

  test('can have a code of the catalog with another status', () => {
    expect(new SessionError('user_refused', 403, 'Why.').status).toBe(403);
  });

  test.each([
    ['mine', 404],
    ['mine', 500],
    ['mine', undefined],
    ['mine', 'Why.'],
    ['toString', 'Why.'],
  ])('cannot be %s with %p', (code, second) => {
    expect(() => new (SessionError as any)(code, second, 'Why.')).toThrow(
      'a code of your own needs a status'
    );
  });
});
