import { adminToken, asCaller, editor, END, READ, superAdmin } from '../support/admins';
import type { Admin } from '../support/admins';
import { calls, claims, outcome } from '../support/client';
import { since } from '../support/release';
import { boot } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
let call: ReturnType<typeof calls>;
let admin: Admin;
beforeAll(async () => {
  server = await boot({}, (strapi) => {
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

describe('The admin routes answer', () => {
  const READS = ['', '/count', '/overview', '/incidents'];

  /** What somebody gets for reading, by route, and for ending a session, a user's and everyone's. */
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

  test('401 to somebody without a token', async () => {
    expect(await tryAll(asCaller(server))).toEqual(nobodyRuns);
  });

  test('401 to a user, whatever their role', async () => {
    const { jwt } = await signIn();
    expect(await tryAll(asCaller(server, jwt))).toEqual(nobodyRuns);
  });

  test('401 to an API token with full access', async () => {
    const response = await admin.send('post', '/admin/api-tokens', {
      ...{ name: 'Full', description: '', type: 'full-access', lifespan: null },
    });
    const { accessKey } = response.body.data;
    expect(await tryAll(asCaller(server, accessKey))).toEqual(nobodyRuns);
  });

  test.each([
    ['403 to an editor without a permission', [], { read: ['403'], end: ['403'], me: 200 }],
    ['reading, and 403 to ending, with Read', [READ], { read: ['200'], end: ['403'], me: 200 }],
    ['ending, and 403 to reading, with End', [END], { read: ['403'], end: ['200'], me: 401 }],
    ['both with both', [READ, END], { read: ['200'], end: ['200'], me: 401 }],
  ])('%s', async (_what, actions, expected) => {
    expect(await tryAll(await editor(server, admin, ...actions))).toEqual(expected);
  });

  test('both to a super admin, without a tick', async () => {
    expect(await tryAll(admin)).toEqual({ read: ['200'], end: ['200'], me: 401 });
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
