import knex from 'knex';
import type { Database } from './database';

/** A row as version 1.0.0 wrote it. */
export interface Row {
  sid: string;
  user_id: number;
  generation: number;
  parent: number | null;
  acknowledged: boolean;
  transport: string;
  description: string | null;
  user_agent: string | null;
  ip: string | null;
  opened_at: number;
  rotated_at: number;
  expires_at: number;
  ends_at: number;
}

/** The statements that `store.ts` of version 1.0.0 sent, quoted for SQLite and PostgreSQL. */
const INSERT = `insert into "up_refresh_sessions" ("acknowledged", "description", "ends_at", "expires_at", "generation", "ip", "opened_at", "parent", "rotated_at", "sid", "transport", "user_agent", "user_id") values (:acknowledged, :description, :ends_at, :expires_at, :generation, :ip, :opened_at, :parent, :rotated_at, :sid, :transport, :user_agent, :user_id)`;
const FIND = `select "s"."sid", "s"."user_id", "s"."generation", "s"."parent", "s"."acknowledged", "s"."transport", "s"."description", "s"."user_agent", "s"."ip", "s"."opened_at", "s"."rotated_at", "s"."expires_at", "s"."ends_at", "u"."id" as "uid", "u"."blocked" as "blocked", "u"."confirmed" as "confirmed" from "up_refresh_sessions" as "s" left join "up_users" as "u" on "u"."id" = "s"."user_id" where "s"."sid" = :sid limit 1`;
const ROTATE = `update "up_refresh_sessions" set "generation" = :generation, "parent" = :parent, "acknowledged" = :acknowledged, "transport" = :transport, "description" = :description, "user_agent" = :user_agent, "ip" = :ip, "rotated_at" = :rotated_at, "expires_at" = :expires_at, "ends_at" = :ends_at where "sid" = :sid and "generation" = :seen`;
const REPLACE = `${ROTATE} and "acknowledged" = :unacknowledged`;
const ACKNOWLEDGE = `update "up_refresh_sessions" set "acknowledged" = :acknowledged where "sid" = :sid and "generation" = :generation and "acknowledged" = :unacknowledged`;
const LIST = `select "sid", "user_id", "generation", "parent", "acknowledged", "transport", "description", "user_agent", "ip", "opened_at", "rotated_at", "expires_at", "ends_at" from "up_refresh_sessions" where "user_id" = :user_id order by "rotated_at" desc, "id" desc`;
const SWEEP = `delete from "up_refresh_sessions" where "id" > :after and "id" <= :last and ("ends_at" <= :now or "expires_at" <= :idle_before)`;
const END = `delete from "up_refresh_sessions" where "sid" = :sid`;

/** Not used on MySQL. Prepared once per connection. */
const ADVANCE = `UPDATE "up_refresh_sessions"
     SET generation = generation + 1, parent = generation, acknowledged = FALSE,
       rotated_at = :rotatedAt,
       expires_at = CASE WHEN ends_at < :idleEnd THEN ends_at ELSE :idleEnd END,
       transport = :transport, user_agent = :userAgent, ip = :ip
     WHERE sid = :sid AND generation = :generation AND ends_at > :rotatedAt
       AND EXISTS (
         SELECT 1 FROM "up_users" AS u
         WHERE u.id = "up_refresh_sessions".user_id
           AND u."blocked" IS NOT TRUE AND u."confirmed" IS TRUE
       )
     RETURNING sid, user_id, generation, parent, acknowledged, transport, description, user_agent, ip, opened_at, rotated_at, expires_at, ends_at`;

const DRIVERS = { sqlite: 'better-sqlite3', postgres: 'pg', mysql: 'mysql2' };

/**
 * A version 1.0.0 process, as the database sees it: one open connection that runs that version's statements.
 *
 * @param database the table must exist by the time of the first statement
 */
export function processOfVersion1({ client, env }: Database) {
  const own = knex({
    client: DRIVERS[client],
    useNullAsDefault: true,
    connection:
      client === 'sqlite'
        ? { filename: env.DATABASE_FILENAME }
        : {
            host: env.DATABASE_HOST,
            port: Number(env.DATABASE_PORT),
            user: env.DATABASE_USERNAME,
            password: env.DATABASE_PASSWORD,
            database: env.DATABASE_NAME,
          },
    // A prepared statement belongs to its connection.
    pool: { min: 1, max: 1 },
  });

  const run = async (statement: string, values: object) => {
    const text = client === 'mysql' ? statement.replaceAll('"', '`') : statement;
    const answer = await own.raw(text, values as Record<string, any>);
    const result = client === 'mysql' ? answer[0] : answer;
    return {
      rows: (result.rows ?? result) as Record<string, any>[],
      count: (result.rowCount ?? result.affectedRows ?? result.changes) as number,
    };
  };
  const changesOne = async (statement: string, values: object): Promise<boolean> =>
    (await run(statement, values)).count === 1;

  const names = [...new Set(ADVANCE.match(/(?<=:)\w+/g))];
  const numbered = ADVANCE.replace(/:(\w+)/g, (_, name) => `$${names.indexOf(name) + 1}`);
  let prepared: { all(values: object): Record<string, any>[] } | undefined;

  return {
    insert: (row: Row) => run(INSERT, row),
    find: async (sid: string) => (await run(FIND, { sid })).rows[0],
    list: async (userId: number) => (await run(LIST, { user_id: userId })).rows,
    rotate: (seen: Row, next: Row) => changesOne(ROTATE, { ...next, seen: seen.generation }),
    replace: (seen: Row, next: Row) =>
      changesOne(REPLACE, { ...next, seen: seen.generation, unacknowledged: false }),
    acknowledge: ({ sid, generation }: Row) =>
      changesOne(ACKNOWLEDGE, { sid, generation, acknowledged: true, unacknowledged: false }),
    end: (sid: string) => changesOne(END, { sid }),
    sweep: (now: number, idleBefore: number) =>
      run(SWEEP, { after: 0, last: 1000, now, idle_before: idleBefore }),

    /** The ordinary refresh in one statement. @returns the new row; undefined if nothing matched, and on MySQL */
    async advance({ sid, generation }: Row, rotatedAt: number) {
      if (client === 'mysql') return undefined;
      const values: Record<string, any> = {
        sid,
        generation,
        rotatedAt,
        idleEnd: rotatedAt + 2 * 24 * 60 * 60 * 1000,
        transport: 'body',
        userAgent: 'Phone/1.0',
        ip: '203.0.113.7',
      };
      const connection = await own.client.acquireConnection();
      try {
        if (client === 'sqlite') {
          prepared ??= connection.prepare(ADVANCE) as NonNullable<typeof prepared>;
          return prepared.all(values)[0];
        }
        const query = {
          name: 'advance',
          text: numbered,
          values: names.map((name) => values[name]),
        };
        return (await connection.query(query)).rows[0];
      } finally {
        await own.client.releaseConnection(connection);
      }
    },

    stop: () => own.destroy(),
  };
}
