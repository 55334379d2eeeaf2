import { calls, claims, outcome } from '../support/client';
import { since } from '../support/release';
import { boot } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
let call: ReturnType<typeof calls>;
let admin: string;

beforeAll(async () => {
  server = await boot();
  call = calls(server);
  await allow('plugin::users-permissions.user.update', 'plugin::users-permissions.user.destroy');
  admin = await signInAdmin();
});
afterAll(() => server.stop());

const USER = 'plugin::users-permissions.user';
type User = { id: number; documentId: string; username: string; email: string };

/** Enables actions for signed-in users. */
async function allow(...actions: string[]) {
  const role = await server.strapi.db
    .query('plugin::users-permissions.role')
    .findOne({ where: { type: 'authenticated' } });
  for (const action of actions) {
    const permissions = server.strapi.db.query('plugin::users-permissions.permission');
    await permissions.create({ data: { action, role: role.id } });
  }
}

async function signInAdmin(): Promise<string> {
  const superAdmin = await server.strapi.db
    .query('admin::role')
    .findOne({ where: { code: 'strapi-super-admin' } });
  const credentials = { email: 'admin@test.local', password: 'Password123' };
  await server.strapi.service('admin::user')!.create({
    ...credentials,
    firstname: 'Ad',
    lastname: 'Min',
    isActive: true,
    roles: [superAdmin.id],
  });
  const { body } = await server.api.post('/admin/login').send(credentials);
  return body.data.token;
}

const asAdmin = (method: 'put' | 'delete' | 'post', path: string, body?: object) =>
  server.api[method](`/content-manager${path}`).set('Authorization', `Bearer ${admin}`).send(body);

/** Over REST, as another user with the permission. */
const asUser = async (method: 'put' | 'delete', path: string, body?: object) => {
  const { jwt } = (await call.signIn(await server.user())).body;
  return server.api[method](`/api${path}`).set('Authorization', `Bearer ${jwt}`).send(body);
};

const db = () => server.strapi.db.query(USER);
const documents = () => server.strapi.documents(USER) as any;
const service = () => server.strapi.service(USER)!;
const form = ({ username, email }: User) => ({ username, email, confirmed: true, blocked: false });

const changes: [string, (user: User) => unknown][] = [
  ['blocked over REST', ({ id }) => asUser('put', `/users/${id}`, { blocked: true })],
  [
    'blocked over REST with a string',
    ({ id }) => asUser('put', `/users/${id}`, { blocked: 'true' }),
  ],
  [
    'given a password over REST',
    ({ id }) => asUser('put', `/users/${id}`, { password: 'new-password' }),
  ],
  ['deleted over REST', ({ id }) => asUser('delete', `/users/${id}`)],
  [
    'blocked in the admin panel',
    (user) =>
      asAdmin('put', `/collection-types/${USER}/${user.documentId}`, {
        ...form(user),
        blocked: true,
      }),
  ],
  [
    'given a password in the admin panel',
    (user) =>
      asAdmin('put', `/collection-types/${USER}/${user.documentId}`, {
        ...form(user),
        password: 'new-password',
      }),
  ],
  [
    'deleted in the admin panel',
    ({ documentId }) => asAdmin('delete', `/collection-types/${USER}/${documentId}`),
  ],
  [
    'deleted in the admin panel, with others',
    ({ documentId }) =>
      asAdmin('post', `/collection-types/${USER}/actions/bulkDelete`, {
        documentIds: [documentId],
      }),
  ],
  [
    'blocked by documents',
    ({ documentId }) => documents().update({ documentId, data: { blocked: true } }),
  ],
  [
    'given a password by documents',
    ({ documentId }) => documents().update({ documentId, data: { password: 'new-password' } }),
  ],
  ['deleted by documents', ({ documentId }) => documents().delete({ documentId })],
  ['blocked by a query', ({ id }) => db().update({ where: { id }, data: { blocked: true } })],
  [
    'given a password by a query',
    ({ id }) => db().update({ where: { id }, data: { password: 'hash' } }),
  ],
  ['deleted by a query', ({ id }) => db().delete({ where: { id } })],
  [
    'blocked in bulk',
    ({ id }) => db().updateMany({ where: { id, blocked: false }, data: { blocked: true } }),
  ],
  [
    'given a password in bulk',
    ({ id }) => db().updateMany({ where: { id: [id] }, data: { password: 'hash' } }),
  ],
  ['deleted in bulk', ({ id }) => db().deleteMany({ where: { id: { $in: [id] } } })],
  ['blocked by the plugin’s service', ({ id }) => service().edit(id, { blocked: true })],
  [
    'given a password by the plugin’s service',
    ({ id }) => service().edit(id, { password: 'new-password' }),
  ],
  ['deleted by the plugin’s service', ({ id }) => service().remove({ id })],
  [
    'blocked in a transaction that commits',
    ({ id }) =>
      server.strapi.db.transaction(() => db().update({ where: { id }, data: { blocked: true } })),
  ],
];

const odd: [string, (user: User) => unknown][] = [
  [
    'given a password by a query that selects other fields',
    ({ id }) => db().update({ where: { id }, data: { password: 'hash' }, select: ['username'] }),
  ],
  [
    'blocked by a query whose filter no longer matches afterwards',
    ({ id }) =>
      db().update({ where: { id }, data: { blocked: true }, filters: { blocked: false } } as never),
  ],
  [
    'blocked by a query with a number',
    ({ id }) => db().update({ where: { id }, data: { blocked: 2 } }),
  ],
  // Earlier releases of Strapi ignored the filter here and deleted everyone.
  ...(since('5.48.0')
    ? [
        [
          'deleted in bulk by a filter',
          ({ email }: User) => db().deleteMany({ filters: { email } } as never),
        ] as [string, (user: User) => unknown],
      ]
    : []),
];

const harmless: [string, (user: User) => unknown][] = [
  ['given another email', ({ id }) => service().edit(id, { email: `${id}@elsewhere.local` })],
  [
    'saved unchanged in the admin panel',
    (user) => asAdmin('put', `/collection-types/${USER}/${user.documentId}`, form(user)),
  ],
  [
    'saved as unconfirmed by a form',
    ({ documentId }) => documents().update({ documentId, data: { confirmed: false } }),
  ],
  [
    'given a code to reset the password',
    ({ id }) => service().edit(id, { resetPasswordToken: 'code' }),
  ],
  ['unblocked with a string', ({ id }) => asUser('put', `/users/${id}`, { blocked: 'false' })],
  ['edited in bulk', ({ id }) => db().updateMany({ where: { id }, data: { provider: 'local' } })],
  [
    'blocked in a transaction that rolls back',
    ({ id }) =>
      server.strapi.db
        .transaction(async () => {
          await db().update({ where: { id }, data: { blocked: true } });
          await db().updateMany({ where: { id }, data: { password: 'hash' } });
          throw new Error('rolled back');
        })
        .catch(() => {}),
  ],
];

/** A user and a bystander, each with a session. */
async function setScene() {
  const user = (await server.user()) as User;
  const bystander = await server.user();
  return {
    user,
    mine: (await call.signIn(user)).body,
    theirs: (await call.signIn(bystander)).body,
  };
}

describe('A user immediately loses every session when', () => {
  test.each([...changes, ...odd])('%s', async (_how, change) => {
    const { user, mine, theirs } = await setScene();
    await change(user);

    expect((await server.rows()).map(({ sid }) => sid)).not.toContain(claims(mine.jwt).sid);
    expect((await call.me(mine.jwt)).status).toBe(401);
    expect(outcome(await call.refresh(mine.refreshToken))).toBe('401 session_ended');
    expect((await call.me(theirs.jwt)).status).toBe(200);
  });
});

describe('A user keeps every session when', () => {
  test.each(harmless)('%s', async (_how, change) => {
    const { user, mine } = await setScene();
    await change(user);
    expect((await call.me(mine.jwt)).status).toBe(200);
    expect((await call.refresh(mine.refreshToken)).status).toBe(200);
  });
});

describe('A user’s sessions end with the change of the password', () => {
  /** A project's own hooks run before those of this folder. */
  const hook = (action: string, run: (event: any) => unknown) =>
    server.strapi.db.lifecycles.subscribe({ models: [USER], [action]: run } as never);
  let unsubscribe: () => unknown = () => {};
  afterEach(() => void unsubscribe());

  const edits: [string, (id: number, data: object) => Promise<unknown>][] = [
    ['a query', (id, data) => db().update({ where: { id }, data })],
    ['a query in bulk', (id, data) => db().updateMany({ where: { id }, data })],
  ];

  test.each(edits)('by %s, even if the steps after the write fail', async (_how, edit) => {
    const { user, mine, theirs } = await setScene();
    const failing = failingSessions();
    const change = edit(user.id, { password: 'hash' });
    await expect(change).rejects.toThrow('connection lost');
    failing.restore();

    const { password } = await db().findOne({ where: { id: user.id } });
    expect(password).toBe('hash');
    expect((await call.me(mine.jwt)).status).toBe(401);
    expect((await call.me(theirs.jwt)).status).toBe(200);
  });

  test.each<[string, (user: User) => unknown]>([
    ['a query', ({ id, email }) => db().update({ where: { id }, data: { email } })],
    ['documents', ({ documentId }) => documents().update({ documentId, data: { provider: 'x' } })],
    [
      'a query by another field',
      ({ username, email }) => db().update({ where: { username }, data: { email } }),
    ],
    [
      'a query in bulk that names a password',
      ({ id }) => db().updateMany({ where: { id }, data: { password: undefined, blocked: false } }),
    ],
  ])('that a hook of the project adds to %s', async (_how, edit) => {
    const { user, mine, theirs } = await setScene();
    const add = ({ params }: any) => {
      params.data.password = 'hash of the hook';
    };
    const hooks = [hook('beforeUpdate', add), hook('beforeUpdateMany', add)];
    unsubscribe = () => hooks.forEach((remove) => remove());
    await edit(user);
    expect((await call.me(mine.jwt)).status).toBe(401);
    expect((await call.me(theirs.jwt)).status).toBe(200);
  });

  /** The connection is lost right after a user's row was written: from then on, no session can be ended. */
  function failingSessions() {
    const service = server.strapi.service('plugin::users-permissions.refresh-session') as any;
    const { endMany } = service.sessions;
    let ends = 0;
    service.sessions.endMany = async (...args: unknown[]) => {
      ends += 1;
      if (ends > 1) throw new Error('connection lost');
      return endMany.apply(service.sessions, args);
    };
    return {
      restore: () => {
        service.sessions.endMany = endMany;
      },
    };
  }
});

test('A user who signs in while being deleted leaves no session behind', async () => {
  const { user, theirs } = await setScene();
  const remove = server.strapi.db.lifecycles.subscribe({
    models: [USER],
    // After the hook of this folder has ended the sessions, but before the row is deleted.
    async beforeDelete() {
      await call.signIn(user);
    },
  } as never);
  await db().delete({ where: { id: user.id } });
  (remove as () => void)();
  expect((await server.rows()).filter((row) => row.user_id === null)).toEqual([]);
  expect((await call.me(theirs.jwt)).status).toBe(200);
});

test('A bulk change ends the sessions of exactly the users that it affects', async () => {
  const { user, mine } = await setScene();
  // A bulk update uses only `where`.
  await db().updateMany({
    where: { id: user.id },
    filters: { username: 'nobody' },
    data: { password: 'hash' },
  } as never);
  expect((await db().findOne({ where: { id: user.id } })).password).toBe('hash');
  expect((await call.me(mine.jwt)).status).toBe(401);
});

test('A change that is rolled back emits no event', async () => {
  const { user } = await setScene();
  const told: unknown[] = [];
  const listen = async (event: unknown) => {
    told.push(event);
  };
  server.strapi.eventHub.on('refresh-session.ended', listen);
  await harmless.find(([how]) => how.includes('rolls back'))![1](user);
  expect(told).toEqual([]);

  await changes.find(([how]) => how.includes('commits'))![1](user);
  expect(told).toEqual([expect.objectContaining({ userId: user.id, reason: 'user blocked' })]);
  server.strapi.eventHub.off('refresh-session.ended', listen);
});
