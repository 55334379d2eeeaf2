import { createSecretKey, randomBytes } from 'crypto';
import fc from 'fast-check';
import jwt from 'jsonwebtoken';
import { SessionError } from '../../src/extensions/users-permissions/errors';
import { signRefreshToken } from '../../src/extensions/users-permissions/sessions/refresh-token';
import { createSessionManager } from '../../src/extensions/users-permissions/sessions/manager';
import { createRepository } from '../../src/extensions/users-permissions/sessions/repository';
import type { Repository } from '../../src/extensions/users-permissions/sessions/repository';
import type { Session } from '../../src/extensions/users-permissions/types';
import { boot, DAY } from '../support/server';
import type { Server } from '../support/server';

/**
 * The ordinary refresh is one statement that repeats part of the decision table in SQL. This compares it with the table
 * itself, for all kinds of rows and users.
 */

let server: Server;
beforeAll(async () => {
  server = await boot();
});
afterAll(() => server.stop());

const keys = [createSecretKey(randomBytes(32))] as const;
const DEVICE = { userAgent: 'Phone', ip: '10.0.0.1', transport: 'body' as const };
const IDLE_LIFE = 2 * DAY * 1000;

const sessionsOn = (repository: Repository) =>
  createSessionManager({
    repository,
    keys,
    idleTtl: IDLE_LIFE,
    absoluteTtl: 30 * DAY * 1000,
    grace: 10_000,
    sessionsPerUser: 0,
    policy: { readUser: async () => null },
    confirmationRequired: async () => true,
    now: () => Date.now(),
    randomSid: () => randomBytes(16).toString('hex'),
    emit: () => {},
  });

/** A refresh token from before version 2.1, which contains neither its user nor the end of its session. */
const signAsVersion2 = ({ sid, generation, rotatedAt, expiresAt }: Session) =>
  jwt.sign(
    {
      typ: 'refresh',
      sid,
      gen: generation,
      iat: Math.floor(rotatedAt / 1000),
      exp: Math.floor(expiresAt / 1000),
    },
    keys[0]
  );

const around = (moment: number) => fc.integer({ min: moment - 2, max: moment + 2 });
const rarely = <T>(usual: T, ...others: T[]) =>
  fc.oneof(
    { weight: 9, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) }
  );
const rows = fc.record({
  generation: fc.integer({ min: 0, max: 3 }),
  parent: fc.constantFrom(null, 0, 1, 2),
  acknowledged: fc.boolean(),
  age: fc.oneof(around(0), around(10_000)),
  endsIn: fc.oneof(around(0), around(IDLE_LIFE), fc.constant(20 * DAY * 1000)),
  /** Generations ahead of the row's. */
  ahead: fc.constantFrom(0, 0, 0, -1, -2, 1),
  /** How the token differs from the row: in its user, in its end in milliseconds, or by having neither. */
  otherUser: rarely(0, 1),
  otherEnd: rarely(0, 1000, -1000),
  isOld: rarely(false, true),
  persistent: fc.boolean(),
  idleTtl: fc.constantFrom(null, 60_000, IDLE_LIFE * 2),
  accessTtl: fc.constantFrom(null, 30_000),
});
const owners = fc.option(
  fc.record({
    blocked: fc.constantFrom(false, false, false, null, true),
    confirmed: fc.constantFrom(true, true, true, null, false),
  }),
  { freq: 8 }
);

test('The one statement refreshes the same sessions as the decision table, and writes the same values', async () => {
  const repository = createRepository(server.strapi);
  const { connection } = server.strapi.db;
  const { id: userId } = await server.user();
  const byTable = sessionsOn({ ...repository, rotateIfNewest: async () => false });
  let ordinary = 0;

  await fc.assert(
    fc.asyncProperty(rows, owners, async (row, owner) => {
      const session: Session = {
        sid: randomBytes(16).toString('hex'),
        userId,
        generation: row.generation,
        parent: row.parent,
        acknowledged: row.acknowledged,
        transport: 'cookie',
        deviceId: null,
        description: null,
        userAgent: null,
        ip: null,
        openedAt: Date.now() - DAY * 1000,
        rotatedAt: Date.now() - row.age,
        expiresAt: Date.now() + row.endsIn,
        endsAt: Date.now() + row.endsIn,
        persistent: row.persistent,
        idleTtl: row.idleTtl,
        accessTtl: row.accessTtl,
      };
      const twin = { ...session, sid: randomBytes(16).toString('hex') };
      await connection('up_users')
        .where({ id: userId })
        .update(owner ?? { blocked: false, confirmed: true });
      await repository.insert(session);
      await repository.insert(twin);
      if (!owner) {
        await connection('up_refresh_sessions')
          .whereIn('sid', [session.sid, twin.sid])
          .update({ user_id: null });
      }

      const presented = Math.max(0, row.generation + row.ahead);
      const outcome = async (sessions: typeof byTable, { sid }: Session) => {
        const claims = {
          ...session,
          sid,
          userId: userId + row.otherUser,
          generation: presented,
          expiresAt: Date.now() + 1e6,
          endsAt: session.endsAt + row.otherEnd,
        };
        const token = row.isOld ? signAsVersion2(claims) : signRefreshToken(claims, keys);
        const answer = await sessions.refresh(token, DEVICE).then(
          ({ refreshToken }) => {
            const { sid: _sid, ...others } = jwt.decode(refreshToken) as jwt.JwtPayload;
            return others;
          },
          (error: SessionError) => error.code
        );
        const [left] = await connection('up_refresh_sessions').where({ sid });
        // The statement compares the absolute end in whole seconds.
        const expires_at = left && Math.floor(Number(left.expires_at) / 1000);
        return { answer, left: left && { ...left, id: null, sid: null, expires_at } };
      };
      const before = ordinary;
      const byStatement = sessionsOn({
        ...repository,
        async rotateIfNewest(...args) {
          const done = await repository.rotateIfNewest(...args);
          if (done) ordinary += 1;
          return done;
        },
      });
      const found = await outcome(byStatement, session);
      expect(found).toEqual(await outcome(byTable, twin));
      // Everything else it leaves to the table, which must then refuse.
      const agree = presented === row.generation && row.otherUser === 0 && row.otherEnd === 0;
      const isOrdinary = agree && !row.isOld && typeof found.answer !== 'string';
      if (!isOrdinary) expect(ordinary).toBe(before);
    }),
    { numRuns: 300 }
  );
  expect(ordinary).toBeGreaterThan(20);
}, 120_000);

test('A refresh within a transaction is rolled back with it', async () => {
  const { db } = server.strapi;
  const sessions = sessionsOn(createRepository(server.strapi));
  const { session, refreshToken } = await sessions.open((await server.user()).id, DEVICE);
  const generation = async () =>
    (await db.connection('up_refresh_sessions').where({ sid: session.sid }))[0].generation;

  const rolledBack = db.transaction(async () => {
    await sessions.refresh(refreshToken, DEVICE);
    throw new Error('Something else went wrong.');
  });
  await expect(rolledBack).rejects.toThrow('Something else');
  expect(await generation()).toBe(0);

  await db.transaction(() => sessions.refresh(refreshToken, DEVICE));
  expect(await generation()).toBe(1);
});

const { TEST_DATABASE } = globalThis as { TEST_DATABASE?: string };

if (TEST_DATABASE === 'postgres') {
  describe('Behind a pooler that uses a different server connection each time,', () => {
    /** A session, and the name of the prepared statement on the connection. */
    const prepare = async () => {
      const sessions = sessionsOn(createRepository(server.strapi));
      const { refreshToken } = await sessions.open((await server.user()).id, DEVICE);
      const next = await sessions.refresh(refreshToken, DEVICE);
      const { rows: prepared } = await server.strapi.db.connection.raw(
        "SELECT name FROM pg_prepared_statements WHERE statement LIKE 'UPDATE%' ORDER BY prepare_time"
      );
      expect(prepared.length).toBeGreaterThan(0);
      const { name } = prepared[prepared.length - 1];
      return { sessions, refreshToken: next.refreshToken, name: name as string };
    };

    test('a refresh works even if the connection does not have its statement', async () => {
      const { sessions, refreshToken } = await prepare();
      await server.strapi.db.connection.raw('DEALLOCATE ALL');
      const next = await sessions.refresh(refreshToken, DEVICE);
      expect((await sessions.refresh(next.refreshToken, DEVICE)).session.generation).toBe(3);
    });

    test('a refresh works even if the connection already has a statement of that name', async () => {
      const { sessions, refreshToken, name } = await prepare();
      const { client } = server.strapi.db.connection;
      const first = await client.acquireConnection();
      const second = await client.acquireConnection();
      await second.query(`PREPARE "${name}" AS SELECT 1`);
      await client.releaseConnection(second);
      try {
        const next = await sessions.refresh(refreshToken, DEVICE);
        expect((await sessions.refresh(next.refreshToken, DEVICE)).session.generation).toBe(3);
      } finally {
        await client.releaseConnection(first);
      }
    });
  });

  test('After a change of the table, refreshes still work, and their statement is prepared again', async () => {
    const sessions = sessionsOn(createRepository(server.strapi));
    const { connection } = server.strapi.db;
    let { refreshToken } = await sessions.open((await server.user()).id, DEVICE);
    const refresh = async () =>
      ({ refreshToken } = await sessions.refresh(refreshToken, DEVICE)).session.generation;
    await refresh();
    for (const type of ['text', 'varchar(255)']) {
      await connection.raw(`ALTER TABLE up_refresh_sessions ALTER COLUMN ip TYPE ${type}`);
      const before = await refresh();
      expect(await refresh()).toBe(before + 1);
    }
    const { rows: prepared } = await connection.raw(
      "SELECT name FROM pg_prepared_statements WHERE statement LIKE 'UPDATE%up_refresh_sessions%'"
    );
    expect(prepared.length).toBeGreaterThan(0);
  });
}
