import { readFileSync } from 'fs';
import path from 'path';
import { adminToken, apiToken, asCaller, editor, END, READ, superAdmin } from '../support/admins';
import type { Admin } from '../support/admins';
import { calls, claims, outcome } from '../support/client';
import { since } from '../support/release';
import { boot } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
let call: ReturnType<typeof calls>;
let admin: Admin;
beforeAll(async () => {
  const env = {
    REFRESH_SECRET: `${'ab1'.repeat(11)},${'cd2'.repeat(11)}`,
    REFRESH_TOKEN_GRACE: '0',
    REFRESH_TOKEN_RESPONSE: 'both',
    REFRESH_COOKIE_SAMESITE: 'strict',
    REFRESH_ALLOWED_ORIGINS: 'https://a.test,https://*.b.test',
  };
  server = await boot(env, (strapi) => {
    // Needed for admin tokens in Strapi 5.45 and 5.46.
    strapi.config.set('features.future.adminTokens', true);
    // The enterprise edition adds it in the same way.
    strapi.add('audit-logs-lifecycle', { registerEvent });
  });
  call = calls(server);
  admin = await superAdmin(server);
});
afterAll(() => server.stop());

const audited = new Map<string, (event: any) => unknown>();
const registerEvent = (name: string, transform: (event: any) => unknown) =>
  audited.set(name, transform);

const signIn = async (user?: { username: string }, fields?: object) =>
  (await call.signIn(user ?? (await server.user()), fields as never)).body;

describe('The admin routes respond with', () => {
  const READS = ['', '/count', '/overview', '/incidents'];

  /** The responses someone gets for reading, by route, and for ending a session, a user's and everyone's. */
  const tryAll = async (caller: Pick<Admin, 'get' | 'end'>) => {
    const { jwt } = await signIn();
    const { sid, id } = claims(jwt);
    const reads = [];
    for (const path of READS) reads.push(outcome(await caller.get(path)));
    const ends = [];
    for (const path of [`/${sid}`, `?user=${id}`, '?everyone=true']) {
      ends.push(outcome(await caller.end(path)));
    }
    return { read: [...new Set(reads)], end: [...new Set(ends)], me: (await call.me(jwt)).status };
  };
  const nobodyRuns = { read: ['401'], end: ['401'], me: 200 };

  test('401 to someone without a token', async () => {
    expect(await tryAll(asCaller(server))).toEqual(nobodyRuns);
  });

  test('401 to a user with any role', async () => {
    const { jwt } = await signIn();
    expect(await tryAll(asCaller(server, jwt))).toEqual(nobodyRuns);
  });

  test('401 to an API token with full access', async () => {
    const token = await apiToken(admin, 'Full');
    expect(await tryAll(asCaller(server, token))).toEqual(nobodyRuns);
  });

  test.each([
    ['403 to an editor without a permission', [], { read: ['403'], end: ['403'], me: 200 }],
    [
      '200 to reading and 403 to ending, with Read',
      [READ],
      { read: ['200'], end: ['403'], me: 200 },
    ],
    ['200 to ending and 403 to reading, with End', [END], { read: ['403'], end: ['200'], me: 401 }],
    ['200 to both, with both permissions', [READ, END], { read: ['200'], end: ['200'], me: 401 }],
  ])('%s', async (_what, actions, expected) => {
    expect(await tryAll(await editor(server, admin, ...actions))).toEqual(expected);
  });

  test('200 to a super admin, whose role needs no change', async () => {
    expect(await tryAll(admin)).toEqual({ read: ['200'], end: ['200'], me: 401 });
  });

  test('what no browser or proxy stores', async () => {
    const { sid } = claims((await signIn()).jwt);
    const responses = [await admin.end(`/${sid}`), await admin.end(`/${sid}`)];
    for (const path of READS) responses.push(await admin.get(path));
    for (const { headers } of responses) expect(headers['cache-control']).toBe('no-store');
  });

  if (since('5.45.0')) {
    test.each([
      ['End only', [END], { read: ['403'], end: ['200'], me: 401 }],
      ['Read only', [READ], { read: ['200'], end: ['403'], me: 200 }],
    ])('an admin token with %s by what it may do', async (_what, actions, expected) => {
      const token = await adminToken(admin, ...actions);
      expect(await tryAll(asCaller(server, token))).toEqual(expected);
    });
  }
});

describe('The audit log', () => {
  test('gets one entry each time that an admin ends sessions', async () => {
    const entries: unknown[] = [];
    const event = 'refresh-session.ended-by-admin';
    const transform = audited.get(event)!;
    const off = server.strapi.eventHub.on(event, async (what: unknown) => {
      entries.push(transform(what));
    }) as () => void;
    const user = await server.user();
    const [one] = [await signIn(user), await signIn(user), await signIn(user)];
    const { sid } = claims(one.jwt);
    await admin.end(`/${sid}`);
    await admin.end(`/${sid}`);
    await admin.end(`?user=${user.id}`);
    await admin.end('?everyone=true');
    off();
    const resource = (id: string | null) => ({ type: 'refresh-session', id });
    expect(entries).toEqual([
      { resource: resource(sid), details: { userId: user.id, ended: 1 }, outcome: 'success' },
      { resource: resource(null), details: { userId: user.id, ended: 2 }, outcome: 'success' },
      {
        resource: resource(null),
        details: { userId: 'everyone', ended: expect.any(Number) },
        outcome: 'success',
      },
    ]);
  });
});

describe('The overview', () => {
  test('shows each documented variable with its value in effect and its meaning', async () => {
    const { settings } = (await admin.get('/overview')).body;
    const page = readFileSync(path.resolve(__dirname, '../../docs/configuration.md'), 'utf8');
    const documented = [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
    expect(settings.map(({ name }: any) => name)).toEqual(documented);
    const values = Object.fromEntries(settings.map(({ name, value }: any) => [name, value]));
    expect(values).toEqual({
      REFRESH_SECRET: '2 keys',
      JWT_SECRET_EXPIRES: '6m',
      REFRESH_TOKEN_EXPIRES: '2d',
      REFRESH_SESSION_EXPIRES: '30d',
      REFRESH_TOKEN_GRACE: '0s',
      REFRESH_TOKEN_RESPONSE: 'both',
      REFRESH_COOKIE_NAME: 'refreshToken',
      REFRESH_COOKIE_SAMESITE: 'strict',
      REFRESH_COOKIE_DOMAIN: 'none',
      REFRESH_COOKIE_SECURE: 'false',
      REFRESH_COOKIE_PARTITIONED: 'false',
      REFRESH_ALLOWED_ORIGINS: 'https://a.test, https://*.b.test',
      REFRESH_SESSIONS_PER_USER: '0 (no limit)',
      REFRESH_TOKEN_ACCESS: 'false',
      JWT_REQUIRE_SESSION: 'false',
    });
    for (const { description } of settings) expect(description).toMatch(/^[A-Z].*\.$/);
  });

  test('shows the warnings from the boot', async () => {
    const { warnings } = (await admin.get('/overview')).body;
    const logged = server.log
      .filter((line) => line.startsWith('warn: [refresh-token] '))
      .map((line) => line.slice('warn: [refresh-token] '.length));
    expect(warnings.length).toBeGreaterThan(1);
    expect(warnings).toEqual(logged);
  });

  test('shows no secret', async () => {
    const { text } = await admin.get('/overview');
    for (const name of ['REFRESH_SECRET', 'JWT_SECRET', 'APP_KEYS', 'ADMIN_JWT_SECRET']) {
      for (const secret of process.env[name]!.split(',')) expect(text).not.toContain(secret);
    }
  });
});
