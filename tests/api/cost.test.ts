import { KeyObject } from 'crypto';
import jwt from 'jsonwebtoken';
import { calls } from '../support/client';
import { boot } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
beforeAll(async () => {
  server = await boot({ REFRESH_TOKEN_ACCESS: 'true' });
});
afterAll(() => server.stop());

/**
 * The first words of the statements that an action runs, as the driver receives them.
 *
 * @param table counts only statements on this table; '' counts all
 */
async function statements(
  action: () => Promise<unknown>,
  table = 'up_refresh_sessions'
): Promise<string[]> {
  const { connection } = server.strapi.db;
  const held = await connection.client.acquireConnection();
  await connection.client.releaseConnection(held);
  const seen: string[] = [];
  const see = (text: string) => {
    if (text.includes(table)) seen.push(text.trim().split(' ')[0].toLowerCase());
  };

  const { client } = server.strapi.db.dialect as { client: 'sqlite' | 'postgres' | 'mysql' };
  const sqlite = client === 'sqlite';
  const methods = {
    sqlite: ['all', 'run', 'get'],
    postgres: ['query'],
    mysql: ['query', 'execute'],
  };
  const target = Object.getPrototypeOf(sqlite ? held.prepare('SELECT 1') : held);
  const spies = methods[client].map((method) => {
    const original = target[method];
    return jest.spyOn(target, method).mockImplementation(function (this: any, ...args: any[]) {
      see(sqlite ? this.source : (args[0].text ?? args[0].sql ?? args[0]));
      return original.apply(this, args);
    });
  });
  await action();
  spies.forEach((spy) => spy.mockRestore());
  return seen;
}

describe('The cost:', () => {
  test('a refresh is one UPDATE on every database', async () => {
    const { body } = await calls(server).signIn(await server.user());
    const refresh = () => calls(server).refresh(body.refreshToken);
    expect(await statements(refresh, '')).toEqual(['update']);
  });

  test('a refresh with a token from before version 2.1 takes three statements, once', async () => {
    const { body } = await calls(server).signIn(await server.user());
    const { uid: _uid, end: _end, ...claims } = jwt.decode(body.refreshToken) as jwt.JwtPayload;
    const refreshToken = jwt.sign(claims, process.env.REFRESH_SECRET!);
    let next = '';
    const first = async () =>
      (next = (await calls(server).refresh(refreshToken)).body.refreshToken);
    expect(await statements(first)).toEqual(['select', 'update']);
    expect(await statements(() => calls(server).refresh(next))).toEqual(['update']);
  });

  test('an access token without rotation is one SELECT', async () => {
    const { refreshToken } = (await calls(server).signIn(await server.user())).body;
    const access = () => server.api.post('/api/token/access').send({ refreshToken });
    expect(await statements(async () => access())).toEqual(['select']);
  });

  test('an authenticated request is one SELECT more than in stock Strapi, and the first after each refresh also one UPDATE', async () => {
    const { body } = await calls(server).signIn(await server.user());
    expect(await statements(() => calls(server).me(body.jwt))).toEqual(['select', 'update']);
    expect(await statements(() => calls(server).me(body.jwt))).toEqual(['select']);
  });

  test('a sign-in is one INSERT, and the read of the user that follows looks for other sessions', async () => {
    const user = await server.user();
    expect(await statements(() => calls(server).signIn(user))).toEqual(['insert', 'select']);
  });

  test('access tokens are signed and verified with a prepared key, because a string costs jsonwebtoken 60 times as much', async () => {
    const verify = jest.spyOn(jwt, 'verify');
    const sign = jest.spyOn(jwt, 'sign');
    const { body } = await calls(server).signIn(await server.user());
    expect((await calls(server).me(body.jwt)).status).toBe(200);
    const keyOf = (token: unknown) =>
      [...verify.mock.calls, ...sign.mock.calls].find(([first]) => first === token)?.[1];
    expect(keyOf(body.jwt)).toBeInstanceOf(KeyObject);
    const signed = sign.mock.calls.find(
      ([payload]) => (payload as any).gen === 0 && (payload as any).id
    );
    expect(signed![1]).toBeInstanceOf(KeyObject);
    verify.mockRestore();
    sign.mockRestore();
  });
});
