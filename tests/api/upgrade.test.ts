import { randomBytes } from 'crypto';
import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import { calls, claims, outcome } from '../support/client';
import type { Database } from '../support/database';
import {
  addSchemaOfVersion1,
  currentProject,
  projectOfVersion1,
  strapiCommand,
} from '../support/project';
import type { Project } from '../support/project';
import { since } from '../support/release';
import { boot, DAY, HOUR, testDatabase } from '../support/server';
import type { Server } from '../support/server';
import { processOfVersion1 } from '../support/version-1';
import type { Row } from '../support/version-1';

/** The upgrade from version 1.0.0, which kept its sessions in a content type. */

const REFRESH_SECRET = randomBytes(32).toString('hex');

/** The time at which `boot` stops the clock. */
const NOON = Date.UTC(2030, 0, 1, 12);

const CONTENT_TYPE_COLUMNS = [
  'document_id',
  'created_at',
  'updated_at',
  'published_at',
  'created_by_id',
  'updated_by_id',
  'locale',
];

let version1: Project;
beforeAll(() => {
  version1 = projectOfVersion1();
});
afterAll(() => version1.remove());

const bootOn = (database: Database, project?: Project) =>
  boot({ REFRESH_SECRET }, undefined, database, project?.folder);

/** Boots this version, or the given project, until the function has run. */
async function whileUp<T>(
  database: Database,
  use: (server: Server) => Promise<T>,
  project?: Project
): Promise<T> {
  const server = await bootOn(database, project);
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

/** A session that version 1.0.0 refreshed three times, an hour ago for the last time. */
function rowOf(userId: number, fields: Partial<Row> = {}): Row {
  const openedAt = NOON - 3 * DAY * 1000;
  const rotatedAt = NOON - HOUR * 1000;
  return {
    sid: randomBytes(16).toString('hex'),
    user_id: userId,
    generation: 3,
    parent: 2,
    acknowledged: true,
    transport: 'body',
    description: 'Ada’s phone',
    user_agent: 'Phone/1.0',
    ip: '203.0.113.7',
    opened_at: openedAt,
    rotated_at: rotatedAt,
    expires_at: rotatedAt + 2 * DAY * 1000,
    ends_at: openedAt + 30 * DAY * 1000,
    ...fields,
  };
}

/** The refresh token that version 1.0.0 signed for a row. */
const tokenOf = ({ sid, generation, rotated_at: rotatedAt, expires_at: expiresAt }: Row) =>
  jwt.sign(
    {
      typ: 'refresh',
      sid,
      gen: generation,
      iat: Math.floor(rotatedAt / 1000),
      exp: Math.floor(expiresAt / 1000),
    },
    REFRESH_SECRET,
    { algorithm: 'HS256' }
  );

/** The columns of version 1.0.0. PostgreSQL and MySQL return a bigint as text, SQLite a boolean as a number. */
const plain = (row: Record<string, any>): Row => ({
  sid: row.sid,
  user_id: row.user_id,
  generation: row.generation,
  parent: row.parent,
  acknowledged: Boolean(row.acknowledged),
  transport: row.transport,
  description: row.description,
  user_agent: row.user_agent,
  ip: row.ip,
  opened_at: Number(row.opened_at),
  rotated_at: Number(row.rotated_at),
  expires_at: Number(row.expires_at),
  ends_at: Number(row.ends_at),
});

async function tableOf({ db }: Core.Strapi) {
  const { tables } = await db.dialect.schemaInspector.getSchema();
  const table = tables.find(({ name }) => name === 'up_refresh_sessions')!;
  const sorted = <T extends { name: string }>(parts: T[]) =>
    [...parts].sort((a, b) => (a.name < b.name ? -1 : 1));
  return { columns: sorted(table.columns), indexes: sorted(table.indexes) };
}

const ADA = { username: 'ada', email: 'ada@test.local' };

describe('After the upgrade', () => {
  let database: Database;
  let old: ReturnType<typeof processOfVersion1>;
  let server: Server;
  let ada: number;
  let before: Record<string, any>[];
  let after: Record<string, any>[];

  const current = rowOf(0);
  const answerLost = rowOf(0, {
    acknowledged: false,
    description: null,
    user_agent: null,
    ip: null,
  });
  const neverRefreshed = rowOf(0, { transport: 'cookie', generation: 0, parent: null });

  beforeAll(async () => {
    database = await testDatabase();
    old = processOfVersion1(database);
    const prepare = async (first: Server) => {
      ada = (await first.user(ADA)).id;
      for (const row of [current, answerLost, neverRefreshed]) {
        await old.insert(Object.assign(row, { user_id: ada }));
      }
      // So that the connection prepares the statement before the table changes.
      const refreshed = rowOf(ada);
      await old.insert(refreshed);
      await old.advance(refreshed, NOON - 60_000);
      return first.rows();
    };
    before = await whileUp(database, prepare, version1);
    server = await bootOn(database);
    after = await server.rows();
  });
  afterAll(async () => {
    // Whatever there is if the preparation failed.
    await server?.stop();
    await old?.stop();
    await database?.drop();
  });

  test('every session is still there, unchanged', () => {
    expect(after.map(plain)).toEqual(before.map(plain));
    expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    expect(after.map((row) => row.device_id)).toEqual([null, null, null, null]);
  });

  test('a refresh token from 1.0.0 is exchanged for new tokens that work', async () => {
    const { refresh, me } = calls(server);
    const refreshed = await refresh(tokenOf(current));
    expect(outcome(refreshed)).toBe('200');
    expect((await me(refreshed.body.jwt)).body.username).toBe('ada');
    const row = (await server.rows()).find(({ sid }) => sid === current.sid)!;
    expect(plain(row)).toMatchObject({
      generation: 4,
      parent: 3,
      description: 'Ada’s phone',
      opened_at: current.opened_at,
      ends_at: current.ends_at,
    });
    expect(outcome(await refresh(refreshed.body.refreshToken))).toBe('200');
    expect(outcome(await refresh(tokenOf(current)))).toBe('401 refresh_token_reused');
  });

  test('a client that never got the last response of 1.0.0 refreshes with the previous token', async () => {
    const { refresh } = calls(server);
    const refreshed = await refresh(tokenOf({ ...answerLost, generation: 2 }));
    expect(outcome(refreshed)).toBe('200');
    expect(claims(refreshed.body.refreshToken).gen).toBe(4);
  });

  test('the table has three indexes and no columns of a content type', async () => {
    const { columns, indexes } = await tableOf(server.strapi);
    const names = columns.map(({ name }) => name);
    if (!since('5.8.0')) {
      // Those releases cannot drop a column that has an index: the old ones stay, and nothing uses them.
      expect(names).toContain('device_id');
      return;
    }
    for (const name of CONTENT_TYPE_COLUMNS) expect(names).not.toContain(name);
    expect(indexes).toEqual([
      expect.objectContaining({ columns: ['sid'], type: 'unique' }),
      expect.objectContaining({ columns: ['user_id'] }),
    ]);
    // The third one, the primary key, is not listed there.
    const again = { ...rowOf(ada), id: (await server.rows())[0].id };
    const insert = server.strapi.db.connection('up_refresh_sessions').insert(again);
    await expect(insert).rejects.toHaveProperty(
      'code',
      expect.stringMatching(/^(SQLITE_CONSTRAINT_PRIMARYKEY|23505|ER_DUP_ENTRY)$/)
    );
  });

  describe('while a 1.0.0 process is still running,', () => {
    test('both versions refresh the same session in turn', async () => {
      const { refresh, me } = calls(server);
      const row = rowOf(ada, { generation: 0, parent: null, acknowledged: false });
      await old.insert(row);

      const here = await refresh(tokenOf(row));
      expect(outcome(here)).toBe('200');
      expect((await me(here.body.jwt)).body.username).toBe('ada');
      const seen = plain(await old.find(row.sid));
      expect(seen).toMatchObject({ generation: 1, parent: 0, acknowledged: true, user_id: ada });

      const next = { ...seen, generation: 2, parent: 1, acknowledged: false, rotated_at: NOON };
      const advanced = await old.advance(seen, NOON);
      if (database.client === 'mysql') expect(await old.rotate(seen, next)).toBe(true);
      else expect(plain(advanced!)).toMatchObject({ generation: 2, parent: 1, rotated_at: NOON });
      expect(outcome(await refresh(tokenOf(next)))).toBe('200');
    });

    test('only one of two requests with the same token rotates it', async () => {
      const { refresh } = calls(server);
      const row = rowOf(ada);
      await old.insert(row);
      const here = await refresh(tokenOf(row));
      expect(claims(here.body.refreshToken).gen).toBe(4);
      expect(await old.rotate(row, { ...row, generation: 4, parent: 3 })).toBe(false);
      expect(await old.advance(row, NOON)).toBeUndefined();

      const other = rowOf(ada);
      await old.insert(other);
      const next = { ...other, generation: 4, parent: 3, acknowledged: false, rotated_at: NOON };
      expect(await old.rotate(other, next)).toBe(true);
      // Within the grace period the other request gets the same new token.
      const racing = await refresh(tokenOf(other));
      expect(claims(racing.body.refreshToken)).toMatchObject({ sid: other.sid, gen: 4 });
    });

    test('1.0.0 still acknowledges, replaces, lists and deletes sessions', async () => {
      const row = rowOf(ada, { acknowledged: false });
      await old.insert(row);
      expect(await old.replace(row, { ...row, generation: 4 })).toBe(true);
      expect(await old.acknowledge({ ...row, generation: 4 })).toBe(true);
      expect(await old.replace({ ...row, generation: 4 }, { ...row, generation: 5 })).toBe(false);

      const idle = rowOf(ada, { expires_at: NOON - 10 * DAY * 1000 });
      await old.insert(idle);
      await old.sweep(NOON, NOON - 9 * DAY * 1000);
      const sids = (await old.list(ada)).map(({ sid }) => sid);
      expect(sids).toContain(row.sid);
      expect(sids).not.toContain(idle.sid);
    });

    test('1.0.0 finds and ends a session that this version opened', async () => {
      const { signIn, refresh, me } = calls(server);
      const { body } = await signIn(await server.user(), { sessionDescription: 'Tablet' });
      const { sid } = claims(body.jwt);
      expect(plain(await old.find(sid))).toMatchObject({ generation: 0, description: 'Tablet' });
      expect(await old.end(sid)).toBe(true);
      expect((await me(body.jwt)).status).toBe(401);
      expect(outcome(await refresh(body.refreshToken))).toBe('401 session_ended');
    });
  });
});

test('Booting 1.0.0 again after the upgrade keeps every session and loses only the device ids', async () => {
  const database = await testDatabase();
  const old = processOfVersion1(database);
  const row = rowOf(0);
  try {
    const insert = async (server: Server) =>
      void (await old.insert(Object.assign(row, { user_id: (await server.user(ADA)).id })));
    await whileUp(database, insert, version1);
    const { table, rows } = await whileUp(database, async (server) => {
      await calls(server).signIn(await server.user(), { deviceId: 'tablet-1' });
      return { table: await tableOf(server.strapi), rows: await server.rows() };
    });
    expect(rows.map((each) => each.device_id)).toEqual([null, 'tablet-1']);

    const found = await whileUp(database, (server) => server.rows(), version1);
    expect(found.map(plain)).toEqual(rows.map(plain));

    await whileUp(database, async (server) => {
      expect(await server.rows()).toEqual(rows.map((each) => ({ ...each, device_id: null })));
      expect(await tableOf(server.strapi)).toEqual(table);
      expect(outcome(await calls(server).refresh(tokenOf(row)))).toBe('200');
    });
  } finally {
    await old.stop();
    await database.drop();
  }
});

// Older releases do not read content types from the folder of an extension.
if (since('5.45.0')) {
  test('A leftover schema of 1.0.0 stops the boot before the table changes, and the message says what to delete', async () => {
    const database = await testDatabase();
    const project = currentProject();
    addSchemaOfVersion1(project);
    try {
      await whileUp(database, async (server) => {
        await calls(server).signIn(await server.user());
        const look = async () => ({ ...(await tableOf(server.strapi)), rows: await server.rows() });
        const before = await look();

        // In a separate process: Strapi adds what it reads from the folder to the plugin's module, which survives a boot.
        const { status, output } = await strapiCommand(project, 'start');
        expect(output).toContain(
          'Delete src/extensions/users-permissions/content-types/refresh-session'
        );
        expect(status).toBe(1);
        expect(await look()).toEqual(before);
      });
    } finally {
      project.remove();
      await database.drop();
    }
  });
}
