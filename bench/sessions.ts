/** Users and sessions of the servers that are measured, made as each server itself makes them. */
import type { Core } from '@strapi/strapi';

/** This repository; Strapi with `jwtManagement: 'refresh'`; Strapi as it is by default. */
export type Kind = 'extension' | 'built-in' | 'stock';

export const PASSWORD = 'correct horse 1';
export const USERS = 1000;

/** A session's tokens. */
export interface Tokens {
  user: string;
  jwt: string;
  refreshToken: string;
}

export const TABLES = {
  extension: { table: 'up_refresh_sessions', sid: 'sid', user: 'user_id', text: false },
  'built-in': { table: 'strapi_sessions', sid: 'session_id', user: 'user_id', text: true },
  // Keeps no sessions.
  stock: { table: 'up_users', sid: '', user: '', text: false },
} as const;

const SQL: Record<string, { sid: string; settle: (table: string) => string[] }> = {
  sqlite: {
    sid: 'lower(hex(randomblob(16)))',
    settle: () => ['ANALYZE', 'PRAGMA wal_checkpoint(TRUNCATE)'],
  },
  postgres: {
    sid: 'md5(random()::text || clock_timestamp()::text)',
    settle: (table) => [`VACUUM ANALYZE ${table}`, 'CHECKPOINT'],
  },
  mysql: {
    sid: 'md5(concat(uuid_short(), rand()))',
    settle: (table) => [`ANALYZE TABLE ${table}`],
  },
};

/** The newest row that belongs to the seeded table; what came later is one round's. */
let seeded = 0;
let firstUser = 0;

/**
 * Fills the table to a number of sessions: the first is opened by the server itself, the others are copies of it with a sid
 * and a user of their own. Doubling the table is SQL that all databases have, and quick.
 */
export async function seed(strapi: Core.Strapi, kind: Kind, count: number): Promise<void> {
  await makeUsers(strapi);
  if (kind === 'stock') return;

  const { table, sid, user, text } = TABLES[kind];
  const knex = strapi.db.connection;
  const { sid: randomSid, settle } = SQL[strapi.db.dialect.client];

  await trim(strapi, kind);
  let [{ rows }] = await knex(table).count({ rows: '*' });
  if (Number(rows) === 0) await open(strapi, kind, 1);
  const columns = Object.keys(await knex(table).first()).filter(
    (name) => !['id', sid, user].includes(name)
  );
  const owner = `${firstUser} + id % ${USERS}`;
  for (rows = Math.max(Number(rows), 1); Number(rows) < count;) {
    const more = Math.min(Number(rows), count - Number(rows));
    await knex.raw(
      `INSERT INTO ${table} (${[...columns, sid, user].join(', ')})
       SELECT ${columns.join(', ')}, ${randomSid}, ${text ? `concat(${owner})` : owner}
       FROM ${table} ORDER BY id LIMIT ${more}`
    );
    rows = Number(rows) + more;
  }
  seeded = Number((await knex(table).max({ id: 'id' }))[0].id);
  for (const statement of settle(table)) await knex.raw(statement);
}

/** Takes out what the last round added, so that every round begins with the same number of sessions. */
export async function trim(strapi: Core.Strapi, kind: Kind): Promise<void> {
  if (kind === 'stock' || seeded === 0) return;
  await strapi.db.connection(TABLES[kind].table).where('id', '>', seeded).delete();
}

/** Opens sessions by the server's own service, one for each of as many users. */
export async function open(strapi: Core.Strapi, kind: Kind, count: number): Promise<Tokens[]> {
  const tokens: Tokens[] = [];
  for (let n = 0; n < count; n += 1) {
    const id = firstUser + (n % USERS);
    tokens.push({ user: nameOf(n % USERS), ...(await signIn[kind](strapi, id)) });
  }
  return tokens;
}

const signIn = {
  async extension(strapi: Core.Strapi, id: number) {
    return strapi.service('plugin::users-permissions.refresh-session')!.signIn(id);
  },
  async 'built-in'(strapi: Core.Strapi, id: number) {
    const manager = strapi.sessionManager('users-permissions');
    const options = { type: 'refresh', metadata: { deviceName: 'benchmark' } } as any;
    const { token } = await manager.generateRefreshToken(String(id), undefined, options);
    const access = await manager.generateAccessToken(token);
    if ('error' in access) throw new Error(access.error);
    return { jwt: access.token, refreshToken: token };
  },
  async stock(strapi: Core.Strapi, id: number) {
    const jwt: string = strapi.service('plugin::users-permissions.jwt')!.issue({ id });
    return { jwt, refreshToken: '' };
  },
};

const nameOf = (n: number) => `user-${n}`;

/** One user by the plugin, so that the hash is its own; the others are copies. */
async function makeUsers(strapi: Core.Strapi): Promise<void> {
  if (firstUser) return;
  const knex = strapi.db.connection;
  const role = await strapi.db
    .query('plugin::users-permissions.role')
    .findOne({ where: { type: 'authenticated' } });
  const first = await strapi.service('plugin::users-permissions.user')!.add({
    username: nameOf(0),
    email: `${nameOf(0)}@bench.local`,
    password: PASSWORD,
    provider: 'local',
    confirmed: true,
    role: role.id,
  });
  firstUser = first.id;

  const row = await knex('up_users').where({ id: firstUser }).first();
  const link = await knex('up_users_role_lnk').where({ user_id: firstUser }).first();
  const others = Array.from({ length: USERS - 1 }, (_, n) => n + 1);
  await knex.batchInsert(
    'up_users',
    others.map((n) => ({
      ...row,
      id: firstUser + n,
      document_id: `${n}`.padStart(24, 'u'),
      username: nameOf(n),
      email: `${nameOf(n)}@bench.local`,
    })),
    50
  );
  await knex.batchInsert(
    'up_users_role_lnk',
    others.map((n) => ({ ...link, id: link.id + n, user_id: firstUser + n })),
    100
  );
}
