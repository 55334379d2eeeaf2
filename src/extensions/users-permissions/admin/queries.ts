import type { Core } from '@strapi/strapi';
import { COLUMNS, createDatabase, fromRow } from '../sessions/database';
import type { Database, Knex } from '../sessions/database';
import type { Session } from '../types';
import { INCIDENT_TABLE } from './incidents';

type Query = ReturnType<Knex>;

const PAGE = 25;

/** How many users a search lists by id. */
const MAX_USERS = 1000;

interface Filter {
  userId?: number | undefined;
  /** The primary key of the row before which a page begins, or after which it ends. */
  before?: number | undefined;
  after?: number | undefined;
}

/** Newest first. `newer` and `older` are the `after` and the `before` of the neighboring pages. */
interface Page<T> {
  rows: T[];
  newer: number | null;
  older: number | null;
}

interface ShownUser {
  id: number;
  documentId: string;
  username: string | null;
  email: string | null;
}

/** Reads across users, for admins. */
export function createReads(strapi: Core.Strapi) {
  const database = createDatabase(strapi);
  const { run, sessions, users, userColumns } = database;
  const ofUser = ['u.id as uid', ...userColumns(['documentId', 'username', 'email'], 'u')];

  return {
    /** A page of active sessions. @param filter.search a part of the user's name or email address */
    async sessions(
      { search, ...filter }: Filter & { search?: string | undefined },
      now: number
    ): Promise<Page<{ session: Session; user: ShownUser | null }>> {
      const matches = search === undefined ? undefined : await searchUsers(database, search);
      const page = await run((knex) => {
        const query = knex(`${sessions} as t`)
          .leftJoin(`${users} as u`, 'u.id', 't.user_id')
          .where('t.expires_at', '>', now)
          .select('t.id', ...COLUMNS.map((column) => `t.${column}`), ...ofUser);
        if (matches) void query.where(matches);
        return readPage(database, knex, query, filter);
      });
      const rows = page.rows.map((row) => ({ session: fromRow(row), user: userOf(row) }));
      return { ...page, rows };
    },

    async countActive(now: number): Promise<number> {
      const [row] = await run((knex) =>
        knex(sessions).where('expires_at', '>', now).count({ active: '*' })
      );
      return Number(row!.active);
    },

    async incidents(filter: Filter) {
      const page = await run((knex) => {
        const query = knex(`${INCIDENT_TABLE} as t`)
          .leftJoin(`${users} as u`, 'u.id', 't.user_id')
          .select('t.*', ...ofUser);
        return readPage(database, knex, query, filter);
      });
      const rows = page.rows.map((row) => ({
        id: Number(row.id),
        at: new Date(Number(row.at)).toISOString(),
        user: userOf(row),
        session: {
          id: row.sid,
          description: row.description,
          userAgent: row.user_agent,
          ip: row.ip,
        },
        request: { userAgent: row.request_user_agent, ip: row.request_ip },
      }));
      return { ...page, rows };
    },
  };
}

const userOf = (row: any): ShownUser | null =>
  row.uid === null
    ? null
    : {
        id: row.uid,
        documentId: row.documentId,
        username: row.username ?? null,
        email: row.email ?? null,
      };

/**
 * Finds a page by primary key, so that the last page costs as much as the first, and rows that are added or removed in
 * the meantime shift no others.
 */
async function readPage(
  { client }: Database,
  knex: Knex,
  query: Query,
  { userId, before, after }: Filter
): Promise<Page<any>> {
  // PostgreSQL would refuse a value beyond the range of the column.
  const bigint = (value: number) =>
    client === 'postgres' ? knex.raw('?::bigint', [value]) : value;
  if (userId !== undefined) void query.where('t.user_id', bigint(userId));
  if (before !== undefined) void query.where('t.id', '<', bigint(before));
  if (after !== undefined) void query.where('t.id', '>', bigint(after));
  const found: any[] = await query
    .orderBy('t.id', after === undefined ? 'desc' : 'asc')
    .limit(PAGE + 1);

  const more = found.length > PAGE;
  const rows = found.slice(0, PAGE);
  if (after !== undefined) rows.reverse();
  // Even if this page has no rows left, it leads back to the page that the reader came from.
  const newest = rows.length > 0 ? Number(rows[0].id) : before! - 1;
  const oldest = rows.length > 0 ? Number(rows[rows.length - 1].id) : after! + 1;
  if (after !== undefined) return { rows, newer: more ? newest : null, older: oldest };
  return { rows, newer: before === undefined ? null : newest, older: more ? oldest : null };
}

/**
 * @returns a condition for sessions `t` of users `u` who have the text in their name or email address. A few users are
 *   matched by id, through an index. If there are many, the condition itself finds enough sessions for a page quickly.
 */
async function searchUsers({ run, client, users, userColumn }: Database, text: string) {
  const columns = ['username', 'email'].flatMap((field) => userColumn(field) ?? []);
  const pattern = `%${text.replace(/[!%_]/g, '!$&')}%`;
  const like = client === 'postgres' ? 'ilike' : 'like';
  const isMatch = (condition: Query) => {
    void condition.whereRaw('1 = 0');
    for (const column of columns) {
      void condition.orWhereRaw(`?? ${like} ? escape '!'`, [`u.${column}`, pattern]);
    }
  };

  const found = await run((knex) =>
    knex(`${users} as u`)
      .where(isMatch)
      .limit(MAX_USERS + 1)
      .select('u.id')
  );
  if (found.length > MAX_USERS) return isMatch;
  const ids = found.map(({ id }) => id as number);
  return (condition: Query) => void condition.whereIn('t.user_id', ids);
}
