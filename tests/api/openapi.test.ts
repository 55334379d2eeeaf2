import { spawnSync } from 'child_process';
import { readFileSync } from 'fs';
import path from 'path';
import type { Response } from 'supertest';
import { ERRORS } from '../../src/extensions/users-permissions/errors';
import { cookieHeader } from '../support/client';
import {
  complaintsOf,
  complaintsOfBody,
  DOCUMENT,
  documented,
  documentedCodes,
} from '../support/openapi';
import { boot, DAY, HOUR, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

const ROOT = path.resolve(__dirname, '../..');
const FOREIGN = { Origin: 'https://elsewhere.test' };

let server: Server;
beforeAll(async () => {
  server = await boot({ RATE_LIMIT_MAX: '' });
});
afterAll(() => server.stop());
// Of the sign-ins that Strapi allows in a minute, every test has its own.
beforeEach(() => pass(HOUR));

interface Asked {
  body?: object;
  headers?: Record<string, string>;
  /** The operation's path with its parameters, or with a query. */
  at?: string;
}

async function call(operation: string, { body, headers = {}, at }: Asked = {}): Promise<Response> {
  const [method, route] = operation.split(' ');
  const verb = method.toLowerCase() as 'get' | 'post' | 'delete';
  const request = server.api[verb](`/api${at ?? route}`).set(headers);
  return body === undefined ? request : request.send(body);
}

const bearer = (jwt: string) => ({ Authorization: `Bearer ${jwt}` });

/** Somebody signed in, with both tokens in hand. */
async function someone() {
  const { username } = await server.user();
  const { body } = await call('POST /auth/local', {
    body: { identifier: username, password: PASSWORD, requestRefresh: true },
  });
  return { username, jwt: body.jwt as string, refreshToken: body.refreshToken as string };
}

/** The same, with the cookie. */
async function browser() {
  const { username } = await server.user();
  const body = { identifier: username, password: PASSWORD };
  const response = await call('POST /auth/local', { body });
  return { username, jwt: response.body.jwt as string, Cookie: cookieHeader(response) };
}

const REFRESH = ['/token/refresh', '/auth/local/refresh', '/auth/refresh', '/auth/token'];
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
  ];
});

async function guessTooOften(operation: string): Promise<Response> {
  const body = { identifier: 'nobody', password: 'wrong' };
  for (let turn = 0; turn < 10; turn += 1) await call(operation, { body });
  return call(operation, { body });
}

/** Sign-ins by a form of fields, which a page of another origin may not send. */
const signIns: Case[] = [
  [
    'POST /auth/local',
    200,
    async (operation) =>
      call(operation, {
        body: {
          identifier: (await server.user()).username,
          password: PASSWORD,
          sessionDescription: 'Telephone',
        },
      }),
  ],
  [
    'POST /auth/local',
    400,
    (operation) => call(operation, { body: { identifier: 'nobody', password: 'wrong' } }),
  ],
  [
    'POST /auth/local',
    400,
    (operation) =>
      call(operation, { body: { identifier: 'a', password: 'b', requestRefresh: 'maybe' } }),
  ],
  ['POST /auth/local', 429, guessTooOften],
  [
    'POST /auth/token/request',
    200,
    async (operation) =>
      call(operation, {
        body: {
          identifier: (await server.user()).username,
          password: PASSWORD,
          requestRefresh: true,
        },
      }),
  ],
  ['POST /auth/token/request', 400, (operation) => call(operation, { body: {} })],
  ['POST /auth/token/request', 429, guessTooOften],
  [
    'POST /auth/local/register',
    200,
    (operation) =>
      call(operation, {
        body: { username: 'newcomer', email: 'newcomer@test.local', password: PASSWORD },
      }),
  ],
  ['POST /auth/local/register', 400, (operation) => call(operation, { body: { username: 'a' } })],
  [
    'POST /auth/change-password',
    200,
    async (operation) =>
      call(operation, {
        headers: bearer((await someone()).jwt),
        body: {
          currentPassword: PASSWORD,
          password: 'another horse 2',
          passwordConfirmation: 'another horse 2',
        },
      }),
  ],
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
  [
    'POST /auth/reset-password',
    200,
    async (operation) => {
      const { id } = await server.user();
      await server.strapi.db
        .query('plugin::users-permissions.user')
        .update({ where: { id }, data: { resetPasswordToken: 'code-of-a-mail' } });
      return call(operation, {
        body: {
          code: 'code-of-a-mail',
          password: 'another horse 2',
          passwordConfirmation: 'another horse 2',
        },
      });
    },
  ],
  ['POST /auth/reset-password', 400, (operation) => call(operation, { body: {} })],
  [
    'GET /auth/{provider}/callback',
    400,
    (operation) => call(operation, { at: '/auth/github/callback' }),
  ],
  [
    'GET /auth/{provider}/callback',
    403,
    (operation) => call(operation, { at: '/auth/github/callback', headers: FOREIGN }),
  ],
  ...[
    '/auth/local',
    '/auth/token/request',
    '/auth/local/register',
    '/auth/change-password',
    '/auth/reset-password',
  ].map((route): Case => [
    `POST ${route}`,
    403,
    (operation) => call(operation, { body: {}, headers: FOREIGN }),
  ]),
];

const sessions = [
  ['GET /users/me/sessions', 'DELETE /users/me/sessions', 'DELETE /users/me/sessions/{id}'],
  ['GET /auth/sessions', null, 'DELETE /auth/sessions/{sessionId}'],
].flatMap(([list, endAll, end]): Case[] => {
  const at = (id: string) => end!.split(' ')[1].replace(/\{.*\}/, id);
  const endOne = async (headers: Record<string, string>, id?: string) => {
    const { jwt } = await someone();
    const { body } = await call('GET /auth/sessions', { headers: bearer(jwt) });
    return call(end!, { headers: { ...bearer(jwt), ...headers }, at: at(id ?? body.data[0].id) });
  };
  return [
    [list!, 200, async () => call(list!, { headers: bearer((await someone()).jwt) })],
    [list!, 401, () => call(list!)],
    [list!, 401, () => call(list!, { headers: bearer('broken') })],
    [end!, 200, () => endOne({})],
    [end!, 401, () => endOne(bearer('broken'))],
    [end!, 404, () => endOne({}, 'f'.repeat(32))],
    ...(endAll
      ? ([
          [endAll, 200, async () => call(endAll, { headers: bearer((await someone()).jwt) })],
          [
            endAll,
            400,
            async () =>
              call(endAll, {
                headers: bearer((await someone()).jwt),
                at: '/users/me/sessions?except=others',
              }),
          ],
          [endAll, 401, () => call(endAll)],
        ] as Case[])
      : []),
  ];
});

const CASES: Case[] = [
  ...signIns,
  ...refreshes,
  ...revokes,
  ['POST /auth/logout', 401, (operation) => call(operation)],
  ...sessions,
];

/** Needs a provider, whose answer is held against the document there. */
const ELSEWHERE = ['GET /auth/{provider}/callback 200'];

describe('docs/openapi.yaml', () => {
  test('is valid OpenAPI', () => {
    const validator = path.join(ROOT, 'node_modules/.bin/validate-api');
    const { status, stdout } = spawnSync(validator, [DOCUMENT], { encoding: 'utf8' });
    expect([status, JSON.parse(stdout)]).toEqual([0, { valid: true }]);
  });

  test('has every route of the extension, and the sign-ins that it wraps', () => {
    const table = readFileSync(
      path.join(ROOT, 'src/extensions/users-permissions/routes.ts'),
      'utf8'
    ).matchAll(/^ {2}\['(\w+)', '([^']+)'/gm);
    const routes = [...table].map(([, method, at]) => `${method} ${at.replace(/:(\w+)/, '{$1}')}`);
    const wrapped = [
      'POST /auth/local',
      'POST /auth/local/register',
      'POST /auth/change-password',
      'POST /auth/reset-password',
      'GET /auth/{provider}/callback',
    ];
    const operations = new Set(documented().map((answer) => answer.replace(/ \d+$/, '')));
    expect([...operations].sort()).toEqual([...routes, ...wrapped].sort());
  });

  test('has every code of the catalogue', () => {
    expect(documentedCodes().sort()).toEqual(Object.keys(ERRORS).sort());
  });

  test('documents nothing that is not looked at here', () => {
    const asked = CASES.map(([operation, status]) => `${operation} ${status}`);
    expect([...new Set([...asked, ...ELSEWHERE])].sort()).toEqual(documented().sort());
  });

  test.each(CASES)('%s answers %d as documented', async (operation, status, ask) => {
    const response = await ask(operation);
    expect(response.status).toBe(status);
    expect(complaintsOf(operation, response)).toEqual([]);
  });

  test('would see a field that leaks, a code that is new, and a status', async () => {
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

  test('takes the bodies that the routes take', () => {
    for (const requestRefresh of [true, 'true', false, null, undefined]) {
      const body = { identifier: 'ada', password: PASSWORD, requestRefresh };
      expect(complaintsOfBody('POST /auth/local', JSON.parse(JSON.stringify(body)))).toEqual([]);
    }
    expect(complaintsOfBody('POST /auth/local', { identifier: 'ada' })).not.toEqual([]);
    expect(complaintsOfBody('POST /token/refresh', { refreshToken: 42 })).not.toEqual([]);
    expect(complaintsOfBody('POST /token/refresh', { refreshToken: null })).toEqual([]);
  });
});
