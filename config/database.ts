import path from 'path';
import type { Core } from '@strapi/strapi';

const CLIENTS = ['sqlite', 'postgres', 'mysql'] as const;

const config = ({ env }: Core.Config.Shared.ConfigParams): Core.Config.Database => {
  const client = CLIENTS.find((name) => name === env('DATABASE_CLIENT', 'sqlite'));
  if (!client) {
    throw new Error(
      `DATABASE_CLIENT="${env('DATABASE_CLIENT')}": expected one of ${CLIENTS.join(', ')}.`
    );
  }

  const ports = { sqlite: 0, postgres: 5432, mysql: 3306 };
  const server = {
    host: env('DATABASE_HOST', '127.0.0.1'),
    port: env.int('DATABASE_PORT', ports[client]),
    database: env('DATABASE_NAME', 'strapi'),
    user: env('DATABASE_USERNAME', 'strapi'),
    password: env('DATABASE_PASSWORD', ''),
    ssl: env.bool('DATABASE_SSL', false),
  };
  const pool = { min: env.int('DATABASE_POOL_MIN', 2), max: env.int('DATABASE_POOL_MAX', 10) };

  const connections = {
    sqlite: {
      client,
      connection: {
        // Relative to dist/config, where this file runs.
        filename: path.resolve(__dirname, '..', '..', env('DATABASE_FILENAME', '.tmp/data.db')),
      },
      useNullAsDefault: true,
      pool: { afterCreate: tuneSqlite },
    },
    postgres: { client, connection: { ...server, schema: env('DATABASE_SCHEMA', 'public') }, pool },
    mysql: { client, connection: server, pool },
  };

  return {
    connection: {
      ...connections[client],
      acquireConnectionTimeout: env.int('DATABASE_CONNECTION_TIMEOUT', 60_000),
    },
  } as Core.Config.Database;
};

type SqliteConnection = { pragma(statement: string): unknown };

/** Readers work in parallel with one writer, with one fsync per checkpoint instead of per commit. In WAL mode, this survives a crash of the process. */
function tuneSqlite(
  connection: SqliteConnection,
  done: (error: unknown, c: SqliteConnection) => void
) {
  connection.pragma('journal_mode = WAL');
  connection.pragma('synchronous = NORMAL');
  // Milliseconds to wait for another process's write.
  connection.pragma('busy_timeout = 10000');
  done(null, connection);
}

export default config;
