import { execFileSync } from 'child_process';
import { readdirSync, readFileSync } from 'fs';
import path from 'path';
import jwt from 'jsonwebtoken';
import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { createDatabase } from '../support/database';
import type { Database } from '../support/database';
import { boot, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

/** Claims of SECURITY.md and docs/coming-from.md that no other test covers. */

const ROOT = path.resolve(__dirname, '../..');
const read = (name: string) => readFileSync(path.join(ROOT, name), 'utf8');

let server: Server;
let database: Database;
const start =
  (env: Record<string, string> = {}) =>
  async () => {
    database = await createDatabase('sqlite');
    server = await boot(env, undefined, database);
  };
const stop = async () => {
  await server.stop();
  await database.drop();
};

describe('SECURITY.md', () => {
  beforeAll(start());
  afterAll(stop);

  const signedIn = async () => (await calls(server).signIn(await server.user())).body;

  test('issuer and audience are not checked, but the session of a token is looked up', async () => {
    const { refreshToken } = await signedIn();
    const foreign = { ...claims(refreshToken), iss: 'https://evil.test', aud: 'another' };
    const sign = (payload: object) => jwt.sign(payload, process.env.REFRESH_SECRET!);
    expect(outcome(await calls(server).refresh(sign(foreign)))).toBe('200');
    const ofNobody = sign({ ...foreign, sid: 'f'.repeat(32) });
    expect(outcome(await calls(server).refresh(ofNobody))).toBe('401 session_ended');
  });

  describe('who refreshes with a stolen token before its owner', () => {
    const LATER = 11;

    test('is detected when the owner refreshes, if they have used their access token', async () => {
      const { refresh, me } = calls(server);
      const { refreshToken } = await signedIn();
      const stolen = (await refresh(refreshToken)).body;
      expect((await me(stolen.jwt)).status).toBe(200);
      pass(LATER);
      expect(outcome(await refresh(refreshToken))).toBe('401 refresh_token_reused');
      expect((await me(stolen.jwt)).status).toBe(401);
    });

    test('has a refresh token that ends the session, if they have not', async () => {
      const { refresh, me } = calls(server);
      const { refreshToken } = await signedIn();
      const stolen = (await refresh(refreshToken)).body;
      pass(LATER);
      const owner = (await refresh(refreshToken)).body;
      expect((await me(owner.jwt)).status).toBe(200);
      // Their access token belongs to the session, which is still active.
      expect((await me(stolen.jwt)).status).toBe(200);
      expect(outcome(await refresh(stolen.refreshToken))).toBe('401 refresh_token_reused');
      expect((await me(stolen.jwt)).status).toBe(401);
      expect((await me(owner.jwt)).status).toBe(401);
    });
  });

  const UNREADABLE: [string, Record<string, string>, string][] = [
    ['invalid gzip', { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' }, '{}'],
    [
      'a broken multipart form',
      { 'Content-Type': 'multipart/form-data; boundary=x' },
      '--x\r\nbroken',
    ],
  ];

  test.each(UNREADABLE)(
    '%s gets a 500 from strapi::body, and changes nothing',
    async (_case, headers, body) => {
      const { refreshToken } = await signedIn();
      const before = await server.rows();
      for (const route of ['/token/refresh', '/token/revoke', '/auth/local']) {
        const { status } = await server.api.post(`/api${route}`).set(headers).send(body);
        expect([route, status]).toEqual([route, 500]);
      }
      // A route that is not ours gets the same.
      const other = await server.api.post('/api/auth/forgot-password').set(headers).send(body);
      expect(other.status).toBe(500);
      expect(await server.rows()).toEqual(before);
      expect((await calls(server).refresh(refreshToken)).status).toBe(200);
    }
  );
});

describe('docs/coming-from.md, from Strapi’s own refresh mode', () => {
  beforeAll(start({ REFRESH_TOKEN_RESPONSE: 'body' }));
  afterAll(stop);

  const post = (route: string, body: object = {}, headers = {}) =>
    server.api.post(`/api${route}`).set(headers).send(body);
  const signIn = async (headers = {}) => {
    const { username } = await server.user();
    return post('/auth/local', { identifier: username, password: PASSWORD }, headers);
  };
  const refresh = (refreshToken: string) => post('/auth/refresh', { refreshToken });
  const WISH = { 'x-strapi-refresh-cookie': 'httpOnly' };

  test('tokens that Strapi issued in refresh mode are rejected', async () => {
    const { id } = await server.user();
    const sessions = (server.strapi as any).sessionManager('users-permissions');
    const { token } = await sessions.generateRefreshToken(String(id), 'a-device', {
      type: 'refresh',
    });
    const { token: accessToken } = await sessions.generateAccessToken(token);
    expect(sessions.validateAccessToken(accessToken).isValid).toBe(true);
    expect((await calls(server).me(accessToken)).status).toBe(401);
    expect(outcome(await refresh(token))).toBe('401 refresh_token_invalid');

    const ofStock = jwt.sign(
      { id },
      server.strapi.config.get('plugin::users-permissions.jwtSecret')
    );
    expect((await calls(server).me(ofStock)).status).toBe(200);
  });

  test('tokens contain id, sid and gen, but not userId, sessionId or type', async () => {
    const { body } = await signIn();
    expect(Object.keys(claims(body.jwt)).sort()).toEqual(['exp', 'gen', 'iat', 'id', 'sid']);
    for (const name of ['userId', 'sessionId', 'type']) {
      expect(claims(body.refreshToken)).not.toHaveProperty(name);
    }
  });

  test('an older refresh token gets 200 in the grace period or after a lost response, and 401 otherwise', async () => {
    const { refreshToken } = (await signIn()).body;
    expect((await refresh(refreshToken)).status).toBe(200);
    expect((await refresh(refreshToken)).status).toBe(200);
    pass(3600);
    const replaced = await refresh(refreshToken);
    expect(replaced.status).toBe(200);
    await calls(server).me(replaced.body.jwt);
    pass(11);
    expect(outcome(await refresh(refreshToken))).toBe('401 refresh_token_reused');
    expect(outcome(await refresh(replaced.body.refreshToken))).toBe('401 session_ended');
  });

  test('the cookie survives a restart of the browser', async () => {
    const line = cookies(await signIn(WISH)).refreshToken;
    const expires = Date.parse(/expires=([^;]+)/.exec(line)![1]);
    expect(expires - Date.now()).toBe(2 * 24 * 3600 * 1000);
  });

  test('the list of sessions returns 401 without a token', async () => {
    expect((await server.api.get('/api/auth/sessions')).status).toBe(401);
  });

  test('a password change returns the tokens the same way as the session', async () => {
    const change = {
      currentPassword: PASSWORD,
      password: 'another horse 2',
      passwordConfirmation: 'another horse 2',
    };
    const byCookie = await signIn(WISH);
    const headers = {
      Cookie: cookieHeader(byCookie),
      Authorization: `Bearer ${byCookie.body.jwt}`,
    };
    const changed = await post('/auth/change-password', change, headers);
    expect(Object.keys(changed.body).sort()).toEqual(['jwt', 'user']);
    expect(cookies(changed)).toHaveProperty('refreshToken');

    const byBody = (await signIn()).body;
    const other = await post('/auth/change-password', change, {
      Authorization: `Bearer ${byBody.jwt}`,
    });
    expect(Object.keys(other.body).sort()).toEqual(['jwt', 'refreshToken', 'user']);
  });
});

test('docs/benchmarks.md shows the figures of its runs, and no other document repeats them', () => {
  const runs = ['sqlite', 'postgres', 'mysql'].map((name) => `docs/benchmarks/2.1.0/${name}.json`);
  const table = execFileSync(process.execPath, ['dist/bench/table.js', ...runs], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  expect(read('docs/benchmarks.md')).toContain(table);

  const figures = table.match(/(?<=\| )\d,\d{3}(?= \|)/g)!;
  expect(figures.length).toBeGreaterThan(1);
  for (const name of ['README.md', 'docs/scale.md']) {
    expect(figures.filter((figure) => read(name).includes(figure))).toEqual([]);
  }
});

describe.each([
  ['docs/entry-points.md', 50],
  ['docs/graphql.md', 40],
])('%s', (page, least) => {
  const folders = ['tests/api', 'tests/integration'];
  const files = new Map(
    folders.flatMap((folder) =>
      readdirSync(path.join(ROOT, folder)).map((name) => [
        name.replace('.test.ts', ''),
        read(`${folder}/${name}`),
      ])
    )
  );

  /** The titles in a test file, with `%s` for any text. */
  const titlesIn = (source: string) =>
    [...source.matchAll(/'((?:[^'\\\n]|\\.)+)'|"([^"\n]+)"/g)].map(
      ([, single, double]) => single ?? double!
    );
  const isTitle = (title: string, quoted: string) =>
    title.includes(quoted) ||
    (/%[sp]/.test(title) &&
      new RegExp(
        `^${title
          .split(/%[sp]/)
          .map((part) => part.replace(/[^\w\s]/g, '\\$&'))
          .join('.+')}$`
      ).test(quoted));

  const quotes = [...read(page).matchAll(/`([a-z-]+)`[^`"|]*?: ((?:"[^"]+"(?:, )?)+)/g)].flatMap(
    ([, file, titles]) =>
      [...titles!.matchAll(/"([^"]+)"/g)].map(([, title]) => [file!, title!] as const)
  );

  test(`quotes more than ${least} tests`, () => {
    expect(quotes.length).toBeGreaterThan(least);
  });

  test.each(quotes)('names a test of %s: %s', (file, quoted) => {
    expect(titlesIn(files.get(file)!).some((title) => isTitle(title, quoted))).toBe(true);
  });
});
