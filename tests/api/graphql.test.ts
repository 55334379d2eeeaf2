import { readFileSync, writeFileSync } from 'fs';
import path from 'path';
import type { Test } from 'supertest';
import { claims, cookies } from '../support/client';
import { currentProject } from '../support/project';
import type { Project } from '../support/project';
import { boot, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

/** Strapi's GraphQL plugin, whose resolvers call the same actions. */

let project: Project;
let server: Server;
beforeAll(async () => {
  project = currentProject();
  const manifest = path.join(project.folder, 'package.json');
  const { dependencies, devDependencies, ...rest } = JSON.parse(readFileSync(manifest, 'utf8'));
  const plugin = '@strapi/plugin-graphql';
  const all = { ...dependencies, [plugin]: devDependencies[plugin] };
  writeFileSync(manifest, JSON.stringify({ ...rest, dependencies: all }));
  server = await boot({}, undefined, undefined, project.folder);
});
afterAll(async () => {
  await server.stop();
  project.remove();
});

const FOREIGN = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.test' };

const send = (query: string, variables: object = {}, headers = {}) =>
  server.api.post('/graphql').set(headers).send({ query, variables });

const login = (input: object, headers = {}) =>
  send(
    'mutation ($input: UsersPermissionsLoginInput!) { login(input: $input) { jwt user { username } } }',
    { input },
    headers
  );

describe('Over GraphQL', () => {
  test('a sign-in opens a session and sets the cookie', async () => {
    const { username, id } = await server.user();
    const response = await login({ identifier: username, password: PASSWORD });
    expect(claims(response.body.data.login.jwt)).toMatchObject({ id, gen: 0 });
    expect(cookies(response).refreshToken).toMatch(/httponly/i);
  });

  test('a refusal is an error with its code, and opens no session', async () => {
    const { username } = await server.user();
    const before = await server.rows();
    const credentials = { identifier: username, password: PASSWORD };
    const confirm = 'mutation { emailConfirmation(confirmation: "a") { jwt } }';
    const attempts: [() => Test, string][] = [
      [() => login(credentials, FOREIGN), 'origin_refused'],
      [() => login({ ...credentials, identifier: 'a\0b' }), 'invalid_request'],
      [() => login({ ...credentials, provider: 'github' }), 'invalid_request'],
      [() => send(confirm, {}, FOREIGN), 'origin_refused'],
    ];
    for (const [attempt, code] of attempts) {
      const { body } = await attempt();
      expect(body.errors).toHaveLength(1);
      expect(body.errors[0].extensions.error.details).toEqual({ code });
      expect(Object.values(body.data ?? {}).filter(Boolean)).toEqual([]);
    }
    expect(await server.rows()).toEqual(before);
  });

  test.each(['/graphql/', '/GraphQL', '/graphql?a=b', '/graphql#a'])(
    'the same is true for the path %s',
    async (path) => {
      const query = 'mutation { login(input: { identifier: "a", password: "b" }) { jwt } }';
      const { body } = await server.api.post(path).set(FOREIGN).send({ query });
      expect(body.errors[0].extensions.error.details).toEqual({ code: 'origin_refused' });
    }
  );

  test('sessions are not a type', async () => {
    const { body } = await send('{ __schema { types { name } } }');
    const names = body.data.__schema.types.map(({ name }: { name: string }) => name).join();
    expect(names).toContain('UsersPermissionsUser');
    expect(names).not.toMatch(/refresh/i);
  });
});
