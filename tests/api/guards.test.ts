import { createSecretKey, randomBytes } from 'crypto';
import { setTimeout as sleep } from 'timers/promises';
import { createSessionManager } from '../../src/extensions/users-permissions/sessions/manager';
import { createRepository } from '../../src/extensions/users-permissions/sessions/repository';
import type { Repository } from '../../src/extensions/users-permissions/sessions/repository';
import { boot, pass } from '../support/server';
import type { Server } from '../support/server';

/**
 * Two processes on one real database. One is paused between its read and its write while the other continues. Racing with
 * one token would not test the guards of the writes, because all racers would write the same.
 */

let server: Server;
beforeAll(async () => {
  server = await boot();
});
afterAll(() => server.stop());

const keys = [createSecretKey(randomBytes(32))] as const;
const DEVICE = { userAgent: null, ip: null, transport: 'body' as const };
const DAY = 86_400_000;

const processOn = (repository: Repository, sessionsPerUser = 0) =>
  createSessionManager({
    repository,
    keys,
    idleTtl: 2 * DAY,
    absoluteTtl: 30 * DAY,
    grace: 10_000,
    sessionsPerUser,
    policy: { readUser: async () => null },
    confirmationRequired: async () => false,
    now: () => Date.now(),
    randomSid: () => randomBytes(16).toString('hex'),
    emit: () => {},
  });

/** A process that pauses before one of its statements, the first time. */
function heldProcess(statement: keyof Repository, sessionsPerUser?: number) {
  const repository = createRepository(server.strapi);
  let arrive = () => {};
  let release = () => {};
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  const released = new Promise<void>((resolve) => (release = resolve));
  let held = false;
  const original = repository[statement] as (...args: unknown[]) => Promise<unknown>;
  const holding = async (...args: unknown[]) => {
    if (!held) {
      held = true;
      arrive();
      await released;
    }
    return original(...args);
  };
  return {
    // It takes the path of two statements, for the less ordinary cases.
    sessions: processOn(
      { ...repository, rotateIfNewest: async () => false, [statement]: holding } as Repository,
      sessionsPerUser
    ),
    arrived,
    release,
  };
}

const other = () => processOn(createRepository(server.strapi));
const rowOf = async (sid: string) => (await server.rows()).find((row) => row.sid === sid);

describe('A process that is paused between its read and its write', () => {
  test('does not roll the session back if others have rotated it twice meanwhile', async () => {
    const { sessions, arrived, release } = heldProcess('rotate');
    const grant = await other().open((await server.user()).id, DEVICE);
    const late = sessions.refresh(grant.refreshToken, DEVICE);
    await arrived;
    const second = await other().refresh(grant.refreshToken, DEVICE);
    const third = await other().refresh(second.refreshToken, DEVICE);
    release();

    await expect(late).rejects.toMatchObject({ code: 'refresh_token_reused' });
    await expect(other().refresh(third.refreshToken, DEVICE)).rejects.toMatchObject({
      code: 'session_ended',
    });
  });

  test('repeats the response of the process that was faster', async () => {
    const { sessions, arrived, release } = heldProcess('rotate');
    const grant = await other().open((await server.user()).id, DEVICE);
    const late = sessions.refresh(grant.refreshToken, DEVICE);
    await arrived;
    const faster = await other().refresh(grant.refreshToken, DEVICE);
    release();
    expect((await late).refreshToken).toBe(faster.refreshToken);
  });

  test('does not replace a token that has been used meanwhile', async () => {
    const { sessions, arrived, release } = heldProcess('rotate');
    const { id } = await server.user();
    const grant = await other().open(id, DEVICE);
    const { sid } = grant.session;
    await other().refresh(grant.refreshToken, DEVICE);
    pass(11);
    const late = sessions.refresh(grant.refreshToken, DEVICE);
    await arrived;
    expect(await other().isAccessTokenValid(sid, id, 1, fail)).toBe(true);
    release();
    await expect(late).rejects.toMatchObject({ code: 'refresh_token_reused' });
  });

  test('acknowledges only the generation it saw, because a newer token may still be lost', async () => {
    const { sessions, arrived, release } = heldProcess('acknowledge');
    const { id } = await server.user();
    const grant = await other().open(id, DEVICE);
    const { sid } = grant.session;
    const late = sessions.isAccessTokenValid(sid, id, 0, fail);
    await arrived;
    await other().refresh(grant.refreshToken, DEVICE);
    release();

    expect(await late).toBe(true);
    expect(Boolean((await rowOf(sid))!.acknowledged)).toBe(false);
    pass(60);
    expect((await other().refresh(grant.refreshToken, DEVICE)).session.generation).toBe(2);
  });

  test('does not revive a session that was ended meanwhile', async () => {
    const { sessions, arrived, release } = heldProcess('rotate');
    const grant = await other().open((await server.user()).id, DEVICE);
    const late = sessions.refresh(grant.refreshToken, DEVICE);
    await arrived;
    await other().end(grant.session.sid);
    release();
    await expect(late).rejects.toMatchObject({ code: 'session_ended' });
    expect(await rowOf(grant.session.sid)).toBeUndefined();
  });

  test('spares a session over the cap that was used meanwhile, and ends the one that is then least recently used', async () => {
    const { id } = await server.user();
    const first = await other().open(id, DEVICE);
    pass(1);
    const second = await other().open(id, DEVICE);
    pass(1);
    const { sessions, arrived, release } = heldProcess('end', 2);
    const late = sessions.open(id, DEVICE);
    await arrived;
    pass(1);
    await other().refresh(first.refreshToken, DEVICE);
    release();

    const third = await late;
    const left = (await other().list(id)).map(({ sid }) => sid);
    expect(left.sort()).toEqual([first.session.sid, third.session.sid].sort());
    expect(left).not.toContain(second.session.sid);
  });

  test('gets an error if newer sign-ins have used up the cap, instead of dead tokens', async () => {
    const { id } = await server.user();
    const { sessions, arrived, release } = heldProcess('surplus', 2);
    const before = await other().open((await server.user()).id, DEVICE);
    const late = sessions.open(id, DEVICE, { replaced: [before.session.sid] });
    await arrived;
    const newer = processOn(createRepository(server.strapi), 2);
    await newer.open(id, DEVICE);
    const last = await newer.open(id, DEVICE);
    release();

    await expect(late).rejects.toMatchObject({ code: 'session_ended' });
    // The browser did not get a new session, so it keeps the one that it had.
    expect(await rowOf(before.session.sid)).toBeDefined();
    expect((await newer.list(id)).map(({ sid }) => sid)).toContain(last.session.sid);
    expect(await newer.list(id)).toHaveLength(2);
  });

  test('ends a session over the cap even if it is refreshed all the time', async () => {
    const { id } = await server.user();
    const cap = 1;
    const repository = createRepository(server.strapi);
    const victim = processOn(repository);
    let { refreshToken } = await victim.open(id, DEVICE);
    // Its owner always refreshes before the end that was decided from an older read.
    const surplus: Repository['surplus'] = async (...args) => {
      const found = await repository.surplus(...args);
      pass(1);
      if (found.length > 0) ({ refreshToken } = await victim.refresh(refreshToken, DEVICE));
      return found;
    };
    const { session } = await processOn({ ...repository, surplus }, cap).open(id, DEVICE);
    expect((await victim.list(id)).map(({ sid }) => sid)).toEqual([session.sid]);
  });
});

if (hasRowLocks()) {
  describe('Ending very many sessions', () => {
    /** Another transaction that deletes one of them, and commits only when asked to. */
    const deletingOne = async (sid: string) => {
      const transaction = await server.strapi.db.connection.transaction();
      await transaction('up_refresh_sessions').where({ sid }).delete();
      return () => transaction.commit();
    };
    const manyOf = async (userId: number, count: number) => {
      await other().open(userId, DEVICE);
      const { id: _id, ...row } = (await server.rows()).pop()!;
      const rows = Array.from({ length: count }, (_, index) => ({
        ...row,
        sid: (userId * 10_000 + index).toString(16).padStart(32, '0'),
      }));
      await server.strapi.db.connection.batchInsert('up_refresh_sessions', rows, 100);
      return rows;
    };

    test.each<[string, (id: number) => Promise<unknown>]>([
      ['everyone’s', () => other().endMany('everyone', 'revoked')],
      ['a user’s', (id) => other().endMany({ userIds: [id] }, 'revoked')],
      [
        'those of a user whose password changes in bulk',
        (id) =>
          server.strapi.db
            .query('plugin::users-permissions.user')
            .updateMany({ where: { id }, data: { password: 'hash' } }),
      ],
    ])('does not stop if someone signs out meanwhile: %s', async (_whose, end) => {
      const { id } = await server.user();
      const rows = await manyOf(id, 1700);
      const commit = await deletingOne(rows[3].sid);
      const ending = end(id);
      await sleep(300);
      await commit();
      await ending;
      expect((await server.rows()).filter((row) => row.user_id === id)).toEqual([]);
    });
  });
}

/** SQLite has one writer, so two changes can never overlap. */
function hasRowLocks(): boolean {
  return (globalThis as { TEST_DATABASE?: string }).TEST_DATABASE !== 'sqlite';
}

function fail(error: unknown): never {
  throw error;
}
