import { createHmac } from 'crypto';
import jwt from 'jsonwebtoken';
import { calls, outcome } from '../support/client';
import { boot, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
beforeAll(async () => {
  server = await boot();
});
afterAll(() => server.stop());

const ROUTES = [
  '/api/token/refresh',
  '/api/token/revoke',
  '/api/auth/local',
  '/api/auth/local/register',
];
const bodies: [string, string, string][] = [
  ['an array', 'application/json', '[1,2]'],
  ['text', 'text/plain', 'refreshToken'],
  ['null', 'application/json', 'null'],
  ['a number', 'application/json', '7'],
  ['broken JSON', 'application/json', '{"refreshToken":'],
  ['an array as the token', 'application/json', '{"refreshToken":["a"],"requestRefresh":[]}'],
  [
    'an operator as the token',
    'application/json',
    '{"refreshToken":{"$ne":null},"requestRefresh":{"$ne":1}}',
  ],
  ['a number as the token', 'application/json', '{"refreshToken":1,"requestRefresh":1}'],
  ['true as the token', 'application/json', '{"refreshToken":true,"requestRefresh":"x"}'],
  ['two megabytes', 'application/json', JSON.stringify({ refreshToken: 'x'.repeat(2 ** 21) })],
  [
    'a form with an array',
    'application/x-www-form-urlencoded',
    'refreshToken[]=a&requestRefresh[]=b',
  ],
  [
    'a __proto__ key',
    'application/json',
    '{"__proto__":{"refreshToken":1},"requestRefresh":1,"refreshToken":1}',
  ],
];

describe.each(ROUTES)('POST %s', (route) => {
  test.each(bodies)('answers %s with a 4xx', async (_case, type, body) => {
    const { status, body: answer } = await server.api
      .post(route)
      .set('Content-Type', type)
      .send(body);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expect(answer.error.message).toEqual(expect.any(String));
  });
});

describe('POST /token/refresh', () => {
  let logged: number;
  beforeAll(() => {
    logged = server.log.length;
  });

  const good = { typ: 'refresh', sid: 'a'.repeat(32), gen: 0, exp: 4_000_000_000 };
  const signed = (payload: object, options: jwt.SignOptions = {}) =>
    jwt.sign(payload, process.env.REFRESH_SECRET!, options);
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(good)).toString('base64url')}.`;
  const oddHeader = () => {
    const parts = `${Buffer.from('null').toString('base64url')}.bnVsbA`;
    const mac = createHmac('sha256', process.env.REFRESH_SECRET!).update(parts);
    return `${parts}.${mac.digest('base64url')}`;
  };

  test.each<[string, () => string]>([
    ['nonsense', () => 'nonsense'],
    ['NUL', () => '\0'],
    ['three dots', () => '...'],
    ['half a megabyte', () => 'x'.repeat(500_000)],
    ['a token without a signature', () => unsigned],
    ['a token with a strange header', oddHeader],
    ['a token signed with another secret', () => jwt.sign(good, 'x'.repeat(32))],
    ['a token signed with another algorithm', () => signed(good, { algorithm: 'HS512' })],
    ['a token of a different type', () => signed({ ...good, typ: 'access' })],
    ['a token without a session', () => signed({ ...good, sid: undefined })],
    ['a session with an operator', () => signed({ ...good, sid: { $ne: '' } })],
    ['a session in upper case', () => signed({ ...good, sid: 'A'.repeat(32) })],
    ['a generation below zero', () => signed({ ...good, gen: -1 })],
    ['a generation too large for its column', () => signed({ ...good, gen: 2 ** 31 - 1 })],
    ['a token that never expires', () => signed({ typ: good.typ, sid: good.sid, gen: 0 })],
  ])('refuses %s without a query', async (_case, make) => {
    const queries: unknown[] = [];
    const listen = (query: unknown) => queries.push(query);
    server.strapi.db.connection.on('query', listen);
    const response = await calls(server).refresh(make());
    server.strapi.db.connection.removeListener('query', listen);

    expect(outcome(response)).toBe('401 refresh_token_invalid');
    expect(queries).toEqual([]);
  });

  test('asks the owner of a tutorial’s { id } token to sign in again', async () => {
    const response = await calls(server).refresh(signed({ id: 1 }, { expiresIn: '10d' }));
    expect(outcome(response)).toBe('401 refresh_token_invalid');
    expect(response.body.error.message).toMatch(/older format.*Please sign in again/);
  });

  test('logs no error for any of them', () => {
    expect(server.log.slice(logged).filter((line) => line.startsWith('error'))).toEqual([]);
  });
});

describe('An unpaired surrogate, on which bcryptjs never returns,', () => {
  const HALF = 'correct \ud800 horse';
  const send = (path: string, body: object) => server.api.post(`/api${path}`).send(body);

  test.each<[string, (user: any) => [string, object]]>([
    ['signing in', ({ username }) => ['/auth/local', { identifier: username, password: HALF }]],
    [
      'requesting a refresh token',
      ({ username }) => ['/auth/token/request', { identifier: username, password: HALF }],
    ],
    [
      'registering',
      ({ id }) => [
        '/auth/local/register',
        { username: `half-${id}`, email: `half-${id}@test.local`, password: HALF },
      ],
    ],
    [
      'resetting the password',
      () => ['/auth/reset-password', { code: 'x', password: HALF, passwordConfirmation: HALF }],
    ],
    [
      'a description',
      ({ username }) => [
        '/auth/local',
        { identifier: username, password: PASSWORD, sessionDescription: HALF },
      ],
    ],
  ])('is rejected when %s', async (_what, make) => {
    const [path, body] = make(await server.user());
    expect(outcome(await send(path, body))).toBe('400 invalid_request');
  });

  test('is rejected when changing your own password or, with permission, another user’s', async () => {
    const user = await server.user();
    const { jwt } = (await calls(server).signIn(user)).body;
    const fields = { currentPassword: PASSWORD, password: HALF, passwordConfirmation: HALF };
    const own = await send('/auth/change-password', fields).set('Authorization', `Bearer ${jwt}`);
    expect(outcome(own)).toBe('400 invalid_request');
    const service = server.strapi.service('plugin::users-permissions.user')!;
    const refused = { name: 'ValidationError', details: { code: 'invalid_request' } };
    await expect(service.edit(user.id, { password: HALF })).rejects.toMatchObject(refused);
    const { documentId } = user as unknown as { documentId: string };
    const documents = server.strapi.documents('plugin::users-permissions.user') as any;
    const update = documents.update({ documentId, data: { password: HALF } });
    await expect(update).rejects.toMatchObject(refused);
    await expect(service.validatePassword(HALF, 'hash')).resolves.toBe(false);
    expect((await calls(server).me(jwt)).status).toBe(200);
  });
});
