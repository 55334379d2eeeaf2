import { spawnSync } from 'child_process';
import path from 'path';
import type { Response } from 'supertest';
import { ERRORS } from '../../src/extensions/users-permissions/errors';
import { onBusyDatabase } from '../support/busy';
import { cookieHeader } from '../support/client';
import {
  complaintsOf,
  complaintsOfBody,
  DOCUMENT,
  documented,
  documentedCodes,
} from '../support/openapi';
import { addedRoutes } from '../support/routes';
import { boot, DAY, HOUR, MINUTE, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

const ROOT = path.resolve(__dirname, '../..');
const FOREIGN = { Origin: 'https://elsewhere.test' };

const USER = 'plugin::users-permissions.user';

let server: Server;
beforeAll(async () => {
  server = await boot({ RATE_LIMIT_MAX: '', REFRESH_TOKEN_ACCESS: 'true' }, addProvider);
  blockWhoSignsIn();
});
afterAll(() => server.stop());
// Every test gets its own allowance of the sign-ins that Strapi permits per minute.
beforeEach(() => pass(HOUR));

interface Asked {
  body?: object;
  headers?: Record<string, string>;
  /** The operation's path with its parameters filled in, or with a query. */
  at?: string;
}

async function call(operation: string, { body, headers = {}, at }: Asked = {}): Promise<Response> {
  const [method, route] = operation.split(' ');
  const verb = method.toLowerCase() as 'get' | 'post' | 'delete';
  const request = server.api[verb](`/api${at ?? route}`).set(headers);
  return body === undefined ? request : request.send(body);
}

const bearer = (jwt: string) => ({ Authorization: `Bearer ${jwt}` });

/** A provider to redirect to. Nothing here actually contacts it. */
function addProvider(strapi: Server['strapi']): void {
  strapi
    .plugin('users-permissions')
    .service('providers-registry')
    .add('house', {
      enabled: true,
      icon: 'house',
      grantConfig: {
        key: 'client',
        secret: 'secret',
        oauth: 2,
        authorize_url: 'http://provider.test/authorize',
        access_url: 'http://provider.test/token',
        callback: 'http://front-end.test',
      },
      authCallback: () => ({}),
    });
}

/** Whether the next user to sign in is blocked meanwhile. */
let blocks = false;

/** Blocks users once their password was verified, or written. */
function blockWhoSignsIn(): void {
  const { db } = server.strapi;
  const block = async (where: object) => {
    if (!blocks) return;
    blocks = false;
    await db.query(USER).update({ where, data: { blocked: true } });
  };
  const service = server.strapi.service(USER)!;
  const { validatePassword } = service;
  service.validatePassword = async (password: string, hash: string) => {
    const valid = await validatePassword.call(service, password, hash);
    await block({ password: hash });
    return valid;
  };
  db.lifecycles.subscribe({
    models: [USER],
    afterCreate: ({ result }) => block({ id: (result as { id: number }).id }),
    afterUpdate: ({ result }) => block({ id: (result as { id: number }).id }),
  });
}

/** The statements that open a session. */
const INSERTS = /^insert into .up_refresh_sessions/;
/** The statements that list, change or end sessions. Looking one up still works, because otherwise its access token would be rejected first. */
const ALL_BUT_LOOKS = /^(?!.* left join |select .* where .sid. = ).*up_refresh_sessions/;

/**
 * A request on a database in which these statements always fail with a conflict.
 *
 * @param prepare what to do first
 */
const busy =
  <T>(
    statements: RegExp,
    prepare: () => Promise<T>,
    ask: (operation: string, prepared: T) => Promise<Response>
  ) =>
  async (operation: string) => {
    const prepared = await prepare();
    return onBusyDatabase(server, statements, () => ask(operation, prepared));
  };

/** A signed-in user with both tokens. */
async function someone() {
  const { username } = await server.user();
  const { body } = await call('POST /auth/local', {
    body: { identifier: username, password: PASSWORD, requestRefresh: true },
  });
  return { username, jwt: body.jwt as string, refreshToken: body.refreshToken as string };
}

/** The token of a client that never received the response to its refresh. */
async function lostAnswer(): Promise<string> {
  const { refreshToken } = await someone();
  await call('POST /token/refresh', { body: { refreshToken } });
  pass(MINUTE);
  return refreshToken;
}

/** The token of a client that has refreshed twice since. */
async function reusedToken(): Promise<string> {
  const { refreshToken } = await someone();
  const { body } = await call('POST /token/refresh', { body: { refreshToken } });
  await call('POST /token/refresh', { body: { refreshToken: body.refreshToken } });
  return refreshToken;
}

/** A signed-in user with the cookie. */
async function browser() {
  const { username } = await server.user();
  const body = { identifier: username, password: PASSWORD };
  const response = await call('POST /auth/local', { body });
  return { username, jwt: response.body.jwt as string, Cookie: cookieHeader(response) };
}

const REFRESH = [
  '/token/refresh',
  '/token/access',
  '/auth/local/refresh',
  '/auth/refresh',
  '/auth/token',
];
const fieldOf = (route: string) =>
  /^\/auth\/(token|revoke)$/.test(route) ? 'token' : 'refreshToken';

type Case = [operation: string, status: number, ask: (operation: string) => Promise<Response>];

const refreshes = REFRESH.flatMap((route): Case[] => {
  const operation = `POST ${route}`;
  const field = fieldOf(route);
  return [
    [
      operation,
      200,
      async () => call(operation, { body: { [field]: (await someone()).refreshToken } }),
    ],
    [
      operation,
      200,
      async () => call(operation, { headers: { Cookie: (await browser()).Cookie } }),
    ],
    [operation, 400, () => call(operation)],
    [operation, 400, () => call(operation, { body: { [field]: 42 } })],
    [operation, 401, () => call(operation, { body: { [field]: 'nonsense' } })],
    [
      operation,
      401,
      async () => {
        const { refreshToken } = await someone();
        pass(3 * DAY);
        return call(operation, { body: { [field]: refreshToken } });
      },
    ],
    [operation, 403, () => call(operation, { headers: FOREIGN })],
    [
      operation,
      503,
      // Without a rotation, only reuse changes anything.
      busy(ALL_BUT_LOOKS, route === '/token/access' ? reusedToken : lostAnswer, (_, token) =>
        call(operation, { body: { [field]: token } })
      ),
    ],
  ];
});

const revokes = ['/token/revoke', '/auth/revoke', '/auth/logout'].flatMap((route): Case[] => {
  const operation = `POST ${route}`;
  const field = fieldOf(route);
  return [
    [
      operation,
      200,
      async () => call(operation, { body: { [field]: (await someone()).refreshToken } }),
    ],
    [operation, 400, () => call(operation, { body: { [field]: 42 } })],
    [
      operation,
      403,
      async () => call(operation, { headers: { Cookie: (await browser()).Cookie, ...FOREIGN } }),
    ],
    [
      operation,
      503,
      busy(ALL_BUT_LOOKS, someone, (_, { refreshToken }) =>
        call(operation, { body: { [field]: refreshToken } })
      ),
    ],
  ];
});

/** More often than Strapi allows per minute. */
async function tooOften(operation: string, asked: Asked): Promise<Response> {
  for (let turn = 0; turn < 10; turn += 1) await call(operation, asked);
  return call(operation, asked);
}

const NEW_PASSWORD = { password: 'another horse 2', passwordConfirmation: 'another horse 2' };
const CALLBACK = 'GET /auth/{provider}/callback';
const CONNECT = 'GET /connect/{provider}';

/** Successful sign-ins. */
const GOOD: [operation: string, prepare: () => Promise<Asked>][] = [
  ...['POST /auth/local', 'POST /auth/token/request'].map((operation): (typeof GOOD)[number] => [
    operation,
    async () => ({
      body: { identifier: (await server.user()).username, password: PASSWORD, deviceId: 'phone' },
    }),
  ]),
  [
    'POST /auth/local/register',
    async () => {
      newcomers += 1;
      const username = `newcomer-${newcomers}`;
      return { body: { username, email: `${username}@test.local`, password: PASSWORD } };
    },
  ],
  [
    'POST /auth/change-password',
    async () => ({
      headers: bearer((await someone()).jwt),
      body: { currentPassword: PASSWORD, ...NEW_PASSWORD },
    }),
  ],
  [
    'POST /auth/reset-password',
    async () => {
      const { id, username: code } = await server.user();
      await server.strapi.db
        .query(USER)
        .update({ where: { id }, data: { resetPasswordToken: code } });
      return { body: { code, ...NEW_PASSWORD } };
    },
  ],
];
let newcomers = 0;

const goodSignIns = GOOD.flatMap(([operation, prepare]): Case[] => {
  const ask = (prepared: Asked) => call(operation, prepared);
  return [
    [operation, 200, async () => ask(await prepare())],
    [
      operation,
      401,
      async () => {
        const prepared = await prepare();
        blocks = true;
        return ask(prepared);
      },
    ],
    [operation, 429, async () => tooOften(operation, { ...(await prepare()), body: {} })],
    [operation, 503, busy(INSERTS, prepare, (_, prepared) => ask(prepared))],
  ];
});

const signIns: Case[] = [
  ...goodSignIns,
  [
    'POST /auth/local',
    400,
    (operation) => call(operation, { body: { identifier: 'nobody', password: 'wrong' } }),
  ],
  ...[{ requestRefresh: 'maybe' }, { deviceId: 42 }].map((field): Case => [
    'POST /auth/local',
    400,
    (operation) => call(operation, { body: { identifier: 'a', password: 'b', ...field } }),
  ]),
  ['POST /auth/token/request', 400, (operation) => call(operation, { body: {} })],
  ['POST /auth/local/register', 400, (operation) => call(operation, { body: { username: 'a' } })],
  [
    'POST /auth/change-password',
    400,
    async (operation) => call(operation, { headers: bearer((await someone()).jwt), body: {} }),
  ],
  [
    'POST /auth/change-password',
    401,
    (operation) => call(operation, { headers: bearer('broken'), body: {} }),
  ],
  ['POST /auth/change-password', 403, (operation) => call(operation, { body: {} })],
  ['POST /auth/reset-password', 400, (operation) => call(operation, { body: {} })],
  [CONNECT, 302, (operation) => call(operation, { at: '/connect/house?deviceId=phone' })],
  [CONNECT, 400, (operation) => call(operation, { at: '/connect/house?requestRefresh=false' })],
  [CONNECT, 429, (operation) => tooOften(operation, { at: '/connect/house' })],
  [CALLBACK, 400, (operation) => call(operation, { at: '/auth/house/callback' })],
  [CALLBACK, 403, (operation) => call(operation, { at: '/auth/house/callback', headers: FOREIGN })],
  [
    CALLBACK,
    403,
    (operation) =>
      call(operation, { at: '/auth/house/callback', headers: { Accept: 'text/html,*/*' } }),
  ],
  [CALLBACK, 429, (operation) => tooOften(operation, { at: '/auth/house/callback' })],
  ...['/auth/local', '/auth/local/register', '/auth/change-password', '/auth/reset-password'].map(
    (route): Case => [
      `POST ${route}`,
      403,
      (operation) => call(operation, { body: {}, headers: FOREIGN }),
    ]
  ),
];

const sessions = [
  ['GET /users/me/sessions', 'DELETE /users/me/sessions', 'DELETE /users/me/sessions/{id}'],
  ['GET /auth/sessions', null, 'DELETE /auth/sessions/{sessionId}'],
].flatMap(([list, endAll, end]): Case[] => {
  const own = async () => {
    const { jwt } = await someone();
    const { body } = await call('GET /auth/sessions', { headers: bearer(jwt) });
    const at = end!.split(' ')[1].replace(/\{.*\}/, body.data[0].id);
    return { at, headers: bearer(jwt) };
  };
  const signedIn = async () => ({ headers: bearer((await someone()).jwt) });
  return [
    [list!, 200, async () => call(list!, await signedIn())],
    [list!, 401, () => call(list!)],
    [list!, 401, () => call(list!, { headers: bearer('broken') })],
    [list!, 503, busy(ALL_BUT_LOOKS, signedIn, (_, asked) => call(list!, asked))],
    [end!, 200, async () => call(end!, await own())],
    [end!, 401, async () => call(end!, { ...(await own()), headers: bearer('broken') })],
    [
      end!,
      404,
      async () => {
        const { at, headers } = await own();
        return call(end!, { at: at.replace(/[^/]*$/, 'f'.repeat(32)), headers });
      },
    ],
    [end!, 503, busy(ALL_BUT_LOOKS, own, (_, asked) => call(end!, asked))],
    ...(endAll
      ? ([
          [endAll, 200, async () => call(endAll, await signedIn())],
          [
            endAll,
            400,
            async () =>
              call(endAll, { ...(await signedIn()), at: '/users/me/sessions?except=others' }),
          ],
          [endAll, 401, () => call(endAll)],
          [endAll, 503, busy(ALL_BUT_LOOKS, signedIn, (_, asked) => call(endAll, asked))],
        ] as Case[])
      : []),
  ];
});

/** Logging out devices. */
const logouts: Case[] = [
  [
    'POST /auth/logout',
    200,
    async (operation) =>
      call(operation, { body: { deviceId: 'phone' }, headers: bearer((await someone()).jwt) }),
  ],
  [
    'POST /auth/logout',
    400,
    async (operation) =>
      call(operation, { body: { deviceId: ['phone'] }, headers: bearer((await someone()).jwt) }),
  ],
  ['POST /auth/logout', 401, (operation) => call(operation)],
  [
    'POST /auth/logout',
    401,
    (operation) => call(operation, { body: { deviceId: 'phone', refreshToken: 'nonsense' } }),
  ],
];

const CASES: Case[] = [...signIns, ...refreshes, ...revokes, ...logouts, ...sessions];

/** Requires a provider, so provider.test.ts compares its response with the document. */
const ELSEWHERE = [`${CALLBACK} 200`];

describe('docs/openapi.yaml', () => {
  test('is valid OpenAPI', () => {
    const validator = path.join(ROOT, 'node_modules/.bin/validate-api');
    const { status, stdout } = spawnSync(validator, [DOCUMENT], { encoding: 'utf8' });
    expect([status, JSON.parse(stdout)]).toEqual([0, { valid: true }]);
  });

  test('has every route of the extension, and the sign-ins that it wraps', () => {
    const routes = addedRoutes().map(([method, at]) => `${method} ${at.replace(/:(\w+)/, '{$1}')}`);
    const wrapped = [
      'POST /auth/local',
      'POST /auth/local/register',
      'POST /auth/change-password',
      'POST /auth/reset-password',
      CONNECT,
      CALLBACK,
    ];
    const operations = new Set(documented().map((answer) => answer.replace(/ \d+$/, '')));
    expect([...operations].sort()).toEqual([...routes, ...wrapped].sort());
  });

  test('has every error code', () => {
    expect(documentedCodes().sort()).toEqual(Object.keys(ERRORS).sort());
  });

  test('documents nothing that is not tested here', () => {
    const asked = CASES.map(([operation, status]) => `${operation} ${status}`);
    expect([...new Set([...asked, ...ELSEWHERE])].sort()).toEqual(documented().sort());
  });

  test.each(CASES)('%s returns %d as documented', async (operation, status, ask) => {
    const response = await ask(operation);
    expect(response.status).toBe(status);
    expect(complaintsOf(operation, response)).toEqual([]);
  });

  test('would notice a leaked field, a new code and a new status', async () => {
    const response = await call('POST /auth/local', {
      body: { identifier: (await server.user()).username, password: PASSWORD },
    });
    const but = (change: object) =>
      complaintsOf('POST /auth/local', { ...response, ...change } as Response);
    const { body, headers } = response;
    expect(but({ body, headers, status: 200 })).toEqual([]);
    expect(but({ body: { ...body, sid: 'x' }, headers, status: 200 })).not.toEqual([]);
    const user = { ...body.user, password: 'hash' };
    expect(but({ body: { ...body, user }, headers, status: 200 })).not.toEqual([]);
    expect(but({ body, headers: {}, status: 200 })).not.toEqual([]);
    expect(but({ body, headers, status: 201 })).not.toEqual([]);
    const { body: refusal } = await call('POST /token/refresh');
    refusal.error.details.code = 'something_else';
    expect(
      complaintsOf('POST /token/refresh', { status: 400, body: refusal, headers: {} } as Response)
    ).not.toEqual([]);
  });

  test('accepts the same bodies as the routes', () => {
    for (const requestRefresh of [true, 'true', false, null, undefined]) {
      const body = { identifier: 'ada', password: PASSWORD, requestRefresh };
      expect(complaintsOfBody('POST /auth/local', JSON.parse(JSON.stringify(body)))).toEqual([]);
    }
    expect(complaintsOfBody('POST /auth/local', { identifier: 'ada' })).not.toEqual([]);
    expect(complaintsOfBody('POST /token/refresh', { refreshToken: 42 })).not.toEqual([]);
    expect(complaintsOfBody('POST /token/refresh', { refreshToken: null })).toEqual([]);
  });
});
