import { execFile } from 'child_process';
import { readFileSync } from 'fs';
import type { AddressInfo } from 'net';
import path from 'path';
import { promisify } from 'util';
import { metrics } from '@opentelemetry/api';
import * as opentelemetry from '@opentelemetry/api';
import ts from 'typescript';
import { adminToken, END, READ, superAdmin } from '../support/admins';
import type { Admin } from '../support/admins';
import { calls, claims, outcome } from '../support/client';
import { createDatabase } from '../support/database';
import type { Database } from '../support/database';
import { until } from '../support/devices';
import { boot, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

/** The tables and examples of `docs/operating.md`, run as they stand there, with this server's address. */

const ROOT = path.resolve(__dirname, '../..');
const page = readFileSync(path.join(ROOT, 'docs/operating.md'), 'utf8');

let database: Database;
let server: Server;
let admin: Admin;
let baseUrl: string;
const mails: Record<string, string>[] = [];
const counted: unknown[] = [];

beforeAll(async () => {
  database = await createDatabase('sqlite');
  server = await boot({}, undefined, database);
  admin = await superAdmin(server);
  const { port } = server.strapi.server.httpServer.address() as AddressInfo;
  baseUrl = `http://127.0.0.1:${port}`;
  server.strapi.plugin('email').provider = { send: async (mail: never) => void mails.push(mail) };
});
afterAll(async () => {
  metrics.disable();
  await server.stop();
  await database.drop();
});

const section = (heading: string): string => {
  const found = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
  if (!found) throw new Error(`docs/operating.md has no "${heading}".`);
  return found;
};
const blockUnder = (heading: string): string =>
  /^```\w+\n(.*?)^```$/ms
    .exec(section(heading))![1]!
    .replaceAll('https://api.example.com', baseUrl);

/** Runs a block of TypeScript as a separate module. */
function load(heading: string, modules: Record<string, unknown> = {}): any {
  const { outputText } = ts.transpileModule(blockUnder(heading), {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
  });
  const module = {};
  new Function('exports', 'require', outputText)(module, (name: string) => modules[name]);
  return module;
}

const shell = async (code: string, env: Record<string, string>) =>
  (
    await promisify(execFile)('sh', ['-eu', '-c', code], {
      env: { PATH: process.env.PATH!, ...env },
    })
  ).stdout;

const signInFrom = (userAgent: string, { username }: { username: string }) =>
  server.api
    .post('/api/auth/local')
    .set('User-Agent', userAgent)
    .send({ identifier: username, password: PASSWORD, requestRefresh: true });

/** Signs in and replays the first token from another device. */
async function replay(user: { username: string }): Promise<void> {
  const call = calls(server);
  const { refreshToken } = (await signInFrom('Laptop/1.0', user)).body;
  await call.refresh((await call.refresh(refreshToken)).body.refreshToken);
  const replayed = server.api
    .post('/api/token/refresh')
    .set('User-Agent', 'curl/8.0')
    .send({ refreshToken });
  expect(outcome(await replayed)).toBe('401 refresh_token_reused');
}

test('The table of routes lists exactly the existing routes, each with its permission', async () => {
  const { routes } = (server.strapi.plugin('users-permissions').routes as any).admin;
  const ours = routes
    .filter(({ path: at }: any) => at.startsWith('/users-permissions/sessions'))
    .map(({ method, path: at, config }: any) => {
      const [, { config: permission }] = config.policies;
      return `${method} ${at}: ${permission.actions}`;
    });
  const documented = [...section('Admin API').matchAll(/^\| `(\w+ [^`]+)` \| (\w+) \|/gm)];
  const ids = { Read: READ, End: END } as Record<string, string>;
  expect(documented.map(([, route, name]) => `${route}: ${ids[name!]}`).sort()).toEqual(
    ours.sort()
  );
  for (const id of [READ, END]) expect(section('Permissions')).toContain(`(\`${id}\`)`);
});

test('The script finds a session, and ends one session, a user’s and everyone’s', async () => {
  const user = await server.user({ email: 'ada@example.com' });
  const [{ jwt }] = [(await signInFrom('a', user)).body];
  for (const userAgent of ['b', 'c']) await signInFrom(userAgent, user);
  await signInFrom('d', await server.user());
  const output = await shell(blockUnder('From a script'), {
    ADMIN_TOKEN: await adminToken(admin, READ, END),
    SESSION_ID: claims(jwt).sid,
    USER_ID: String(user.id),
  });
  const [found, ...ended] = output.split(/(?<=\})(?=\{)/).map((text) => JSON.parse(text));
  expect(found.sessions).toHaveLength(3);
  expect(ended).toEqual([{ ended: 1 }, { ended: 2 }, { ended: 1 }]);
  expect(await server.rows()).toEqual([]);
});

test('The webhook is created', async () => {
  const token = await adminToken(admin, 'admin::webhooks.create');
  const output = await shell(blockUnder('Webhooks'), { ADMIN_TOKEN: token });
  expect(JSON.parse(output).data).toMatchObject({
    events: ['refresh-session.reused', 'refresh-session.ended'],
    isEnabled: true,
  });
});

describe('The emails', () => {
  beforeAll(() => load('Email').mailAboutSessions(server.strapi));
  beforeEach(() => {
    mails.length = 0;
  });

  test('go to a user whose token was reused, and to a user with a new device', async () => {
    const user = await server.user();
    await replay(user);
    await until(() => mails.length === 1);
    expect(mails[0]).toMatchObject({ to: user.email, subject: 'We signed you out' });
    expect(mails[0]!.text).toMatch(/Device: curl\/8\.0\nAddress: 127\.0\.0\.1$/);

    await signInFrom('Laptop/1.0', user);
    await signInFrom('Phone/1.0', user);
    await signInFrom('Phone/1.0', user);
    await until(() => mails.length === 2);
    expect(mails[1]).toMatchObject({ to: user.email, subject: 'A new sign-in' });
    expect(mails[1]!.text).toMatch(/Device: Phone\/1\.0\n/);
  });

  test('keep no other listener waiting, and an email that fails is logged', async () => {
    const user = await server.user();
    let fail!: (error: Error) => void;
    const { provider } = server.strapi.plugin('email');
    server.strapi.plugin('email').provider = {
      send: () => new Promise((_resolve, reject) => (fail = reject)),
    };
    const event = { userId: user.id, userAgent: null, ip: null };
    await server.strapi.eventHub.emit('refresh-session.reused', event);
    await until(() => fail !== undefined);
    fail(new Error('no mail today'));
    await until(() => server.log.some((line) => line.includes('not sent: Error: no mail today')));
    server.strapi.plugin('email').provider = provider;
  });
});

test('The metrics count what happens to sessions, by event and reason', async () => {
  const add = (value: number, attributes: object) => counted.push([value, attributes]);
  metrics.setGlobalMeterProvider({ getMeter: () => ({ createCounter: () => ({ add }) }) } as never);
  load('OpenTelemetry', { '@opentelemetry/api': opentelemetry }).countSessionEvents(server.strapi);

  await admin.end('?everyone=true');
  counted.length = 0;
  const user = await server.user();
  await replay(user);
  await signInFrom('a', user);
  await signInFrom('b', user);
  await admin.end('?everyone=true');
  await server.strapi.eventHub.emit('entry.create', {});
  expect(counted).toEqual([
    [1, { event: 'opened' }],
    [1, { event: 'refreshed' }],
    [1, { event: 'refreshed' }],
    [1, { event: 'ended', reason: 'reused' }],
    [1, { event: 'reused' }],
    [1, { event: 'opened' }],
    [1, { event: 'opened' }],
    [2, { event: 'ended', reason: 'ended by admin' }],
  ]);
});
