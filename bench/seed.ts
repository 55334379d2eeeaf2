/** Users and sessions of the measured servers, created the way each server creates them. */
import type { Core } from '@strapi/strapi';

/** This repository; Strapi with `jwtManagement: 'refresh'`; Strapi with its defaults, which has no sessions. */
export type Kind = 'extension' | 'built-in' | 'stock';

/** A signed-in user. Stock Strapi has no refresh token. */
export interface Tokens {
  user: string;
  jwt: string;
  refreshToken: string;
}

export const PASSWORD = 'correct horse 1';

const USERS = 1000;

const TABLES = {
  extension: { table: 'up_refresh_sessions', sid: 'sid', userIdIsText: false },
  'built-in': { table: 'strapi_sessions', sid: 'session_id', userIdIsText: true },
  stock: null,
};

/** A random sid, and the statement that lets a table settle after it was filled. */
const SQL: Record<string, { sid: string; settle(table: string): string[] }> = {
  sqlite: {
    sid: 'lower(hex(randomblob(16)))',
    settle: () => ['ANALYZE', 'PRAGMA wal_checkpoint(TRUNCATE)'],
  },
  postgres: {
    sid: 'md5(random()::text || random()::text)',
    // A full vacuum. Otherwise new rows would fill gaps at the front, where a scan finds them early.
    settle: (table) => [`VACUUM FULL ANALYZE ${table}`, 'CHECKPOINT'],
  },
  mysql: {
    sid: 'md5(concat(uuid_short(), rand()))',
    settle: (table) => [`ANALYZE TABLE ${table}`],
  },
};

/** Fills one server's tables and opens the sessions for the load. */
export class Seed {
  private firstUser = 0;

  /** Id of the last row of the filled table; rows after it belong to a round. */
  private lastRow = 0;

  constructor(
    private readonly strapi: Core.Strapi,
    private readonly kind: Kind
  ) {}

  /**
   * Fills the table up to a number of sessions. The server opens the first; the others are copies of its row with their own
   * sid and user. Doubling the table repeatedly is fast, and works in every database.
   */
  async fill(count: number): Promise<void> {
    if (this.firstUser === 0) await this.makeUsers();
    const where = TABLES[this.kind];
    if (!where) return;

    const { table, sid, userIdIsText } = where;
    const knex = this.strapi.db.connection;
    const sql = SQL[this.strapi.db.dialect.client];

    await this.trim();
    if ((await this.rows()) === 0) await this.open(1);
    const owner = `${this.firstUser} + id % ${USERS}`;
    const copied = Object.keys(await knex(table).first()).filter(
      (column) => !['id', sid, 'user_id'].includes(column)
    );
    for (let rows = await this.rows(); rows < count; rows = await this.rows()) {
      await knex.raw(
        `INSERT INTO ${table} (${copied.join(', ')}, ${sid}, user_id)
         SELECT ${copied.join(', ')}, ${sql.sid}, ${userIdIsText ? `concat(${owner})` : owner}
         FROM ${table} ORDER BY id LIMIT ${count - rows}`
      );
    }
    this.lastRow = Number((await knex(table).max({ id: 'id' }))[0].id);
    for (const statement of sql.settle(table)) await knex.raw(statement);
  }

  /** Deletes the rows added since the table was filled, so that every round starts with the same table. */
  async trim(): Promise<void> {
    const where = TABLES[this.kind];
    if (!where || this.lastRow === 0) return;
    await this.strapi.db.connection(where.table).where('id', '>', this.lastRow).delete();
  }

  /** Gives each session of the filled table a user of its own. */
  async spread(): Promise<{ firstUser: number; lastRow: number }> {
    const knex = this.strapi.db.connection;
    const count = this.lastRow;
    const copied = Object.keys(await knex('up_users').first()).filter(
      (column) => !['id', 'username', 'email'].includes(column)
    );
    for (let users = USERS; users < count; users *= 2) {
      const id = `id + ${users}`;
      const name = `concat('user-', ${id} - ${this.firstUser})`;
      await knex.raw(
        `INSERT INTO up_users (${copied.join(', ')}, id, username, email)
         SELECT ${copied.join(', ')}, ${id}, ${name}, concat(${name}, '@bench.local')
         FROM up_users ORDER BY id LIMIT ${count - users}`
      );
    }
    await knex.raw(
      `UPDATE up_refresh_sessions SET user_id = ${this.firstUser} + (id * 7) % ${count}`
    );
    const { settle } = SQL[this.strapi.db.dialect.client]!;
    for (const table of ['up_users', 'up_refresh_sessions']) {
      for (const statement of settle(table)) await knex.raw(statement);
    }
    return { firstUser: this.firstUser, lastRow: count };
  }

  /** Opens sessions through the server's own service. */
  async open(count: number): Promise<Tokens[]> {
    const opened: Tokens[] = [];
    for (let n = 0; n < count; n += 1) {
      const user = n % USERS;
      const tokens = await signIn[this.kind](this.strapi, this.firstUser + user);
      opened.push({ user: nameOf(user), ...tokens });
    }
    return opened;
  }

  /** How many rows the table has. */
  async rows(): Promise<number> {
    const where = TABLES[this.kind];
    if (!where) return 0;
    const [{ rows }] = await this.strapi.db.connection(where.table).count({ rows: '*' });
    return Number(rows);
  }

  /** The plugin creates one user, for a real password hash; the others are copies. */
  private async makeUsers(): Promise<void> {
    const { db } = this.strapi;
    const role = await db
      .query('plugin::users-permissions.role')
      .findOne({ where: { type: 'authenticated' } });
    const { id } = await this.strapi.service('plugin::users-permissions.user')!.add({
      username: nameOf(0),
      email: `${nameOf(0)}@bench.local`,
      password: PASSWORD,
      provider: 'local',
      confirmed: true,
      role: role.id,
    });
    this.firstUser = id;

    const user = await db.connection('up_users').where({ id }).first();
    const link = await db.connection('up_users_role_lnk').where({ user_id: id }).first();
    const others = Array.from({ length: USERS - 1 }, (_, n) => n + 1);
    const users = others.map((n) => ({
      ...user,
      id: id + n,
      document_id: `user${n}`.padEnd(24, '-'),
      username: nameOf(n),
      email: `${nameOf(n)}@bench.local`,
    }));
    const links = others.map((n) => ({ ...link, id: link.id + n, user_id: id + n }));
    // A batch must stay below SQLite's limit on terms per statement.
    await db.connection.batchInsert('up_users', users, 50);
    await db.connection.batchInsert('up_users_role_lnk', links, 50);
  }
}

const nameOf = (n: number) => `user-${n}`;

const signIn = {
  async extension(strapi: Core.Strapi, id: number) {
    return strapi.service('plugin::users-permissions.refresh-session')!.signIn(id);
  },

  async 'built-in'(strapi: Core.Strapi, id: number) {
    const manager = strapi.sessionManager('users-permissions');
    // The same metadata as from its controller.
    const metadata = { deviceName: 'Unknown device', loginAt: new Date().toISOString() };
    const { token: refreshToken } = await manager.generateRefreshToken(String(id), undefined, {
      type: 'refresh',
      metadata,
    });
    const access = await manager.generateAccessToken(refreshToken);
    if ('error' in access) throw new Error(access.error);
    return { jwt: access.token, refreshToken };
  },

  async stock(strapi: Core.Strapi, id: number) {
    const jwt = strapi.service('plugin::users-permissions.jwt')!.issue({ id });
    return { jwt, refreshToken: '' };
  },
};
