import { mkdirSync, readFileSync, writeFileSync } from 'fs';
import type { AddressInfo } from 'net';
import path from 'path';
import ts from 'typescript';
import { createSession } from '../../client/session';
import { createBrowser } from '../support/browser';
import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { customizedProject, EXTENSION } from '../support/project';
import type { Project } from '../support/project';
import { boot, HOUR, MINUTE, pass, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

/** The code of `docs/policy.md`, run as it stands there. One Strapi for all examples: their policies take turns. */

const PAGE = path.resolve(__dirname, '../../docs/policy.md');

/** The blocks of an example, by their first line, which for those of the server is their path. */
function blocksOf(heading: string): Map<string, string> {
  const sections = readFileSync(PAGE, 'utf8').split(/^## /m);
  const section = sections.find((text) => text.startsWith(`${heading}\n`)) ?? '';
  const blocks = [...section.matchAll(/^```ts\n\/\/ ([^\n]+)\n(.*?)^```$/gms)];
  if (blocks.length === 0) throw new Error(`docs/policy.md has no code under "${heading}".`);
  return new Map(blocks.map(([, file, code]) => [file, code]));
}

const compile = (code: string) =>
  ts.transpileModule(code, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
  }).outputText;

const EXAMPLES = {
  roles: 'Lifetimes by role',
  tenant: 'A tenant in the access token',
  country: 'Refusing a country',
  factor: 'A second factor by email',
};
const POLICY = `${EXTENSION}/policy.ts`;
const FRONT_END = 'front end';

/** Calls whichever example is at work. */
const TURNS = `
  const examples = {
    ${Object.keys(EXAMPLES).map((name) => `${name}: require('./policy-${name}').policy`)}
  };
  exports.current = null;
  const now = () => examples[exports.current] ?? {};
  exports.policy = {
    claims: (about) => now().claims?.(about),
    lifetimes: (about, defaults) => now().lifetimes?.(about, defaults) ?? defaults,
    beforeSignIn: (about) => now().beforeSignIn?.(about),
    beforeRefresh: (about) => now().beforeRefresh?.(about),
  };`;

/** Users of this project have a field for their tenant. */
const WITH_TENANT = `
  module.exports = (plugin) => {
    const { user } = plugin.contentTypes;
    const attributes = { ...user.schema.attributes, tenant: { type: 'string' } };
    const withTenant = { ...user, schema: { ...user.schema, attributes } };
    return { ...plugin, contentTypes: { ...plugin.contentTypes, user: withTenant } };
  };`;

let project: Project;
let server: Server;
let call: ReturnType<typeof calls>;
const mails: { to: string; text: string }[] = [];

beforeAll(async () => {
  project = customizedProject(WITH_TENANT);
  const write = (name: string, text: string) => {
    const file = path.join(project.folder, name.replace(/\.ts$/, '.js'));
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  };
  for (const [name, heading] of Object.entries(EXAMPLES)) {
    for (const [file, code] of blocksOf(heading)) {
      if (file === FRONT_END) continue;
      const isPolicy = file === POLICY;
      write(isPolicy ? `${EXTENSION}/policy-${name}.ts` : file, compile(code));
    }
  }
  write(POLICY, TURNS);
  server = await boot({}, undefined, undefined, project.folder);
  call = calls(server);
  (server.strapi.plugin('email').service('email') as any).send = async (mail: any) =>
    void mails.push(mail);
});
afterEach(() => use(null));
afterAll(async () => {
  await server.stop();
  project.remove();
});

function use(example: keyof typeof EXAMPLES | null): void {
  jest.requireActual(path.join(project.folder, EXTENSION, 'policy.js')).current = example;
}

test('Lifetimes by role: staff are signed out after two hours, or twelve in any case', async () => {
  use('roles');
  const { id } = await server.strapi.db
    .query('plugin::users-permissions.role')
    .create({ data: { name: 'Staff', type: 'staff', description: '' } });
  const { body } = await call.signIn(await server.user());
  expect(claims(body.refreshToken).exp! - claims(body.refreshToken).iat!).toBe(48 * HOUR);

  let { refreshToken } = (await call.signIn(await server.user({ role: id }))).body;
  const end = claims(refreshToken).end as number;
  expect(end - claims(refreshToken).iat!).toBe(12 * HOUR);
  for (let turn = 0; turn < 6; turn += 1) {
    pass(2 * HOUR - 1);
    ({ refreshToken } = (await call.refresh(refreshToken)).body);
    expect(claims(refreshToken).exp).toBe(Math.min(claims(refreshToken).iat! + 2 * HOUR, end));
  }
  pass(MINUTE);
  expect(outcome(await call.refresh(refreshToken))).toBe('401 refresh_token_expired');
});

test('A tenant in the access token: follows the user, and is required', async () => {
  use('tenant');
  const user = await server.user({ tenant: 'acme' });
  const { body } = await call.signIn(user);
  expect(claims(body.jwt).tenant).toBe('acme');

  const users = server.strapi.db.query('plugin::users-permissions.user');
  const move = (tenant: string | null) =>
    users.update({ where: { id: user.id }, data: { tenant } });
  await move('globex');
  const next = (await call.refresh(body.refreshToken)).body;
  expect(claims(next.jwt).tenant).toBe('globex');
  await move(null);
  expect(outcome(await call.refresh(next.refreshToken))).toBe('403 tenant_missing');
  expect(outcome(await call.signIn(await server.user()))).toBe('403 tenant_missing');
  await move('acme');
  expect((await call.refresh(next.refreshToken)).status).toBe(200);
});

test('Refusing a country: only the countries in the list can sign in', async () => {
  use('country');
  const { username } = await server.user();
  const from = async (headers: Record<string, string>) =>
    server.api
      .post('/api/auth/local')
      .set(headers)
      .send({ identifier: username, password: PASSWORD });
  expect((await from({ 'CF-IPCountry': 'CH' })).status).toBe(200);
  const before = await server.rows();
  expect(outcome(await from({ 'CF-IPCountry': 'XX' }))).toBe('403 country_refused');
  expect(outcome(await from({}))).toBe('403 country_refused');
  expect(await server.rows()).toEqual(before);
});

describe('A second factor by email:', () => {
  beforeEach(() => use('factor'));

  /** Signs in with the password. @returns what the front end and the mailbox get */
  async function firstFactor(user: { username: string; email: string }) {
    const response = await call.signIn(user);
    expect(outcome(response)).toBe('401 second_factor_required');
    const { to, text } = mails.pop()!;
    expect(to).toBe(user.email);
    const [code] = /\d{8}/.exec(text)!;
    return { challenge: response.body.error.details.challenge as string, code };
  }
  const secondFactor = async (body: object) =>
    server.api.post('/api/auth/second-factor').send(body);
  const REFUSED = '401 second_factor_refused';

  test('a password and a code open a session, once', async () => {
    const user = await server.user();
    const proof = await firstFactor(user);
    const response = await secondFactor({ ...proof, rememberMe: false });
    expect(response.status).toBe(200);
    expect(Object.keys(response.body)).toEqual(['jwt']);
    expect(claims(response.body.jwt).id).toBe(user.id);
    expect(cookies(response).refreshToken).not.toMatch(/expires/i);
    const next = await server.api.post('/api/token/refresh').set('Cookie', cookieHeader(response));
    expect(next.status).toBe(200);
    expect(outcome(await secondFactor(proof))).toBe(REFUSED);
  });

  test('the front end asks for the code, and is signed in', async () => {
    const { port } = server.strapi.server.httpServer.address() as AddressInfo;
    const recipe: any = {};
    new Function('exports', compile(blocksOf(EXAMPLES.factor).get(FRONT_END)!))(recipe);
    const session = createSession({
      baseUrl: `http://127.0.0.1:${port}`,
      fetch: createBrowser().fetch,
    });
    const { username: identifier } = await server.user();
    const codes = { right: () => /\d{8}/.exec(mails.pop()!.text)![0], wrong: () => '0' };
    const signIn = (password: string, code: keyof typeof codes): Promise<void> =>
      recipe.signIn(session, { identifier, password }, async () => codes[code]());
    await expect(signIn('wrong', 'right')).rejects.toMatchObject({ status: 400 });
    await expect(signIn(PASSWORD, 'wrong')).rejects.toMatchObject({
      code: 'second_factor_refused',
    });
    await signIn(PASSWORD, 'right');
    expect((await session.fetch('/api/users/me')).status).toBe(200);
    session.close();
  });

  test('a wrong code uses up the right one, and requests at the same time get one guess', async () => {
    const user = await server.user();
    const before = await server.rows();
    const proof = await firstFactor(user);
    expect(outcome(await secondFactor({ ...proof, code: `${proof.code}0` }))).toBe(REFUSED);
    expect(outcome(await secondFactor(proof))).toBe(REFUSED);

    const other = await firstFactor(user);
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => secondFactor({ ...other, code: 'wrong' }))
    );
    expect(answers.map(outcome)).toEqual(Array(5).fill(REFUSED));
    expect(await server.rows()).toEqual(before);

    const last = await firstFactor(user);
    const statuses = (await Promise.all([1, 2, 3].map(() => secondFactor(last)))).map(outcome);
    expect(statuses.sort()).toEqual(['200', REFUSED, REFUSED]);
  });

  test('a code works for ten minutes, and only the newest one does', async () => {
    const user = await server.user();
    const first = await firstFactor(user);
    const second = await firstFactor(user);
    expect(outcome(await secondFactor(first))).toBe(REFUSED);
    pass(10 * MINUTE - 1);
    expect((await secondFactor(second)).status).toBe(200);
    const third = await firstFactor(user);
    pass(10 * MINUTE);
    expect(outcome(await secondFactor(third))).toBe(REFUSED);
  });

  test('nobody can use up or answer the code of another user', async () => {
    const [user, other] = [await server.user(), await server.user()];
    const proof = await firstFactor(user);
    const foreign = `${user.id}-${'0'.repeat(32)}`;
    const mixed = `${other.id}-${proof.challenge.split('-')[1]}`;
    // An object that cannot be turned into text.
    const textless = { toString: 1 };
    for (const challenge of [foreign, mixed, 7, null, [proof.challenge], textless]) {
      expect(outcome(await secondFactor({ challenge, code: proof.code }))).toBe(REFUSED);
    }
    expect(outcome(await secondFactor({ ...proof, code: textless }))).toBe(REFUSED);
    expect(outcome(await secondFactor({}))).toBe(REFUSED);
    expect((await secondFactor(proof)).status).toBe(200);
  });
});
