import { randomBytes } from 'crypto';
import type { Knex } from './database';

type Values = { [name: string]: string | number | null };

/** What a driver's connection offers, as far as it is needed here. */
interface Connections {
  sqlite: { prepare(text: string): { run(values: Values): { changes: number } } };
  postgres: { query(query: object): Promise<{ rowCount: number | null }> };
  mysql: {
    execute(
      text: string,
      values: unknown[],
      callback: (error: unknown, result: { affectedRows: number }) => void
    ): unknown;
  };
}

/** The server has no such prepared statement, or already has it: a pooler gave us a different server connection. */
const RETRY_UNPREPARED = ['26000', '42P05'];

/** "cached plan must not change result type": a column of the table has since been changed or dropped. */
const OUTDATED = '0A000';

/** Unique to this process: through a pooler, others prepare their own statements on the same server connection. */
const newName = () => `refresh-session-${randomBytes(8).toString('hex')}`;

/**
 * A statement of fixed text that changes rows, which each connection of the pool prepares once: building, parsing and
 * planning it anew would take longer than running it.
 *
 * @param text with values as `:name` and identifiers in double quotes
 * @returns what runs it, on a connection of the pool or the one of a transaction, and returns how many rows it matched
 * @throws (when run) the driver's own errors
 * @see knex lib/client.js, acquireConnection: within a transaction it returns that transaction's connection
 */
export function prepared(client: keyof Connections, text: string) {
  const sqlite = new WeakMap<object, ReturnType<Connections['sqlite']['prepare']>>();
  const order = [...text.matchAll(/:(\w+)/g)].map(([match]) => match.slice(1));
  const names = [...new Set(order)];
  const numbered = text.replace(/:(\w+)/g, (_, value) => `$${names.indexOf(value) + 1}`);
  const marked = text.replace(/:\w+/g, '?').replace(/"/g, '`');
  let name: string | undefined = newName();

  const run = {
    async sqlite(connection: Connections['sqlite'], values: Values) {
      const statement = sqlite.get(connection) ?? connection.prepare(text);
      sqlite.set(connection, statement);
      return statement.run(values).changes;
    },

    async postgres(connection: Connections['postgres'], values: Values, alone: boolean) {
      const query = { text: numbered, values: names.map((value) => values[value]) };
      const count = async (named: object) => (await connection.query(named)).rowCount ?? 0;
      // An error would abort the surrounding transaction.
      if (!name || !alone) return count(query);
      const used = name;
      try {
        return await count({ ...query, name: used });
      } catch (error) {
        const code = (error as { code?: string }).code ?? '';
        // Nothing has run yet in any of these cases, so the statement can be sent again.
        if (code === OUTDATED) {
          // Prepare it anew, unless another request has already done so.
          if (name === used) name = newName();
        } else if (RETRY_UNPREPARED.includes(code)) {
          // A pooler between here and the server (PgBouncer in its transaction mode): from now on without a name.
          name = undefined;
        } else {
          throw error;
        }
        return count(query);
      }
    },

    mysql: (connection: Connections['mysql'], values: Values) =>
      new Promise<number>((resolve, reject) => {
        const ordered = order.map((value) => values[value]);
        connection.execute(marked, ordered, (error, result) =>
          error ? reject(error) : resolve(result.affectedRows)
        );
      }),
  };

  return async (knex: Knex, values: Values): Promise<number> => {
    // The connection may be back in the pool. knex checks this only for queries that it builds itself.
    if (isOver(knex)) throw new Error('The transaction has already ended.');
    const connection = await knex.client.acquireConnection();
    try {
      return await run[client](connection, values, !knex.isTransaction);
    } finally {
      await knex.client.releaseConnection(connection);
    }
  };
}

const isOver = (knex: Knex): boolean =>
  Boolean(knex.isTransaction) && (knex as unknown as { isCompleted(): boolean }).isCompleted();
