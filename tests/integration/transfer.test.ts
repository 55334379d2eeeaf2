import { execFileSync } from 'child_process';
import { randomBytes } from 'crypto';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'fs';
import { tmpdir } from 'os';
import path from 'path';
import { calls, claims, outcome } from '../support/client';
import { contents } from '../support/copied';
import { createDatabase } from '../support/database';
import type { Database } from '../support/database';
import { setEnvironment } from '../support/environment';
import { currentProject, strapiCommand } from '../support/project';
import type { Project } from '../support/project';
import { boot, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

/** `strapi export` and `strapi import` on projects that have sessions. */

const FIXTURE = path.resolve(__dirname, '../fixtures/1.0.0/export');
const REFRESH_SECRET = randomBytes(32).toString('hex');
const SESSION_UID = 'plugin::users-permissions.refresh-session';

let project: Project;
let here: string;
/** An export of a project with a signed-in user. */
let exported: { archive: string; folder: string; sid: string };

beforeAll(async () => {
  project = currentProject();
  here = mkdtempSync(path.join(tmpdir(), 'refresh-token-transfer-'));
  await withDatabase(async (database) => {
    const sid = await whileUp(database, async (server) => {
      const { body } = await signIn(server, { username: 'ada' });
      return claims(body.jwt).sid;
    });
    const file = path.join(here, 'exported');
    await run(database, 'export', '--no-encrypt', '--no-compress', '--file', file);
    exported = { archive: `${file}.tar`, folder: unpack(`${file}.tar`), sid };
  });
});
afterAll(() => {
  project.remove();
  rmSync(here, { recursive: true });
});

async function withDatabase(use: (database: Database) => Promise<void>): Promise<void> {
  const database = await createDatabase('sqlite');
  await use(database).finally(() => database.drop());
}

/** Boots this version until the function has run. It must not run at the same time as a command: both would write to the database. */
async function whileUp<T>(database: Database, use: (server: Server) => Promise<T>): Promise<T> {
  const server = await boot({ REFRESH_SECRET, TRUST_PROXY: 'true' }, undefined, database);
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

/** Runs a Strapi command. @returns its output. @throws Error with the output if it fails */
async function run(database: Database, ...options: string[]): Promise<string> {
  setEnvironment(database.env);
  const { status, output } = await strapiCommand(project, ...options);
  if (status !== 0) throw new Error(`strapi ${options.join(' ')}: status ${status}\n${output}`);
  return output;
}

async function signIn(server: Server, fields: { username: string }) {
  const user = await server.user({ ...fields, email: `${fields.username}@test.local` });
  return server.api
    .post('/api/auth/local')
    .set({ 'User-Agent': 'Phone/1.0', 'X-Forwarded-For': '203.0.113.7' })
    .send({
      identifier: user.username,
      password: PASSWORD,
      requestRefresh: true,
      sessionDescription: 'Phone in the kitchen',
      deviceId: 'device-0815',
    });
}

function unpack(archive: string): string {
  const folder = mkdtempSync(path.join(here, 'archive-'));
  execFileSync('tar', ['-xf', archive, '-C', folder]);
  return folder;
}

test('An export contains the users and nothing about their sessions', async () => {
  const files = contents(exported.folder);
  expect(Object.keys(files)).toContain('entities/entities_00001.jsonl');
  const text = Object.values(files).join('\n');
  expect(text).toContain('ada@test.local');
  for (const secret of [
    ...[exported.sid, 'Phone/1.0', '203.0.113.7', 'Phone in the kitchen', 'device-0815'],
    ...[SESSION_UID, 'up_refresh_sessions', 'refreshToken'],
    ...['refresh-incident', 'up_refresh_incidents'],
  ]) {
    expect(text).not.toContain(secret);
  }
});

test.each([
  ['an import', [], '401 session_ended'],
  // Strapi clears internal tables only if it imports the configuration too. But the users get new ids.
  ['an import without the configuration', ['--exclude', 'config'], '401 user_refused'],
])('After %s everyone is signed out and can sign in again', async (_what, options, refused) => {
  await withDatabase(async (database) => {
    const before = await whileUp(
      database,
      async (server) => (await signIn(server, { username: 'ada' })).body
    );
    await run(database, 'import', '--force', '--file', exported.archive, ...options);
    await whileUp(database, async (server) => {
      const { refresh, me } = calls(server);
      expect((await me(before.jwt)).status).toBe(401);
      expect(outcome(await refresh(before.refreshToken))).toBe(refused);
      expect(await server.rows()).toEqual([]);
      expect(outcome(await calls(server).signIn({ username: 'ada' }))).toBe('200');
    });
  });
});

test('An archive from 1.0.0 is imported without its sessions', async () => {
  const folder = unpack(exported.archive);
  // Large archives also have several files of a kind.
  for (const kind of ['schemas', 'entities', 'links', 'configuration']) {
    cpSync(path.join(FIXTURE, `${kind}.jsonl`), path.join(folder, kind, `${kind}_00002.jsonl`));
  }
  const archive = path.join(here, 'version-1.tar');
  execFileSync('tar', ['-cf', archive, '-C', folder, ...readdirSync(folder)]);

  await withDatabase(async (database) => {
    const output = await run(database, 'import', '--force', '--file', archive);
    const differences = output.match(/\S+ (does not exist on|has a different).*/g);
    expect(differences).toEqual([`${SESSION_UID} does not exist on destination`]);
    await whileUp(database, async (server) => {
      expect(await server.rows()).toEqual([]);
      expect(outcome(await calls(server).signIn({ username: 'grace' }))).toBe('200');
      expect(outcome(await calls(server).signIn({ username: 'ada' }))).toBe('200');
    });
  });
});
