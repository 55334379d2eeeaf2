import { randomBytes } from 'crypto';
import { mkdtempSync, rmSync } from 'fs';
import { tmpdir } from 'os';
import path from 'path';
import mysql from 'mysql2/promise';
import { Client } from 'pg';

export const CLIENTS = ['sqlite', 'postgres', 'mysql'] as const;
export type DatabaseClient = (typeof CLIENTS)[number];

/** A database of a test's own. */
export interface Database {
  client: DatabaseClient;
  /** What a Strapi needs to use it. */
  env: Record<string, string>;
  drop(): Promise<void>;
}

const settings = {
  postgres: {
    host: process.env.TEST_POSTGRES_HOST || '127.0.0.1',
    port: Number(process.env.TEST_POSTGRES_PORT || 5432),
    user: process.env.TEST_POSTGRES_USER || 'postgres',
    password: process.env.TEST_POSTGRES_PASSWORD || '',
  },
  mysql: {
    host: process.env.TEST_MYSQL_HOST || '127.0.0.1',
    port: Number(process.env.TEST_MYSQL_PORT || 3306),
    user: process.env.TEST_MYSQL_USER || 'root',
    password: process.env.TEST_MYSQL_PASSWORD || '',
  },
};

/** Runs one statement as the server's own user. @returns its rows, if it answers any */
export async function runOnServer(
  server: 'postgres' | 'mysql',
  statement: string
): Promise<Record<string, any>[]> {
  if (server === 'postgres') {
    const client = new Client({ ...settings.postgres, database: 'postgres' });
    await client.connect();
    return (await client.query(statement).finally(() => client.end())).rows;
  }
  const connection = await mysql.createConnection(settings.mysql);
  const [rows] = await connection.query(statement).finally(() => connection.end());
  return rows as Record<string, any>[];
}

/**
 * Makes an empty database.
 *
 * @param client which kind
 * @throws Error if the server is not there: a database that was asked for is never skipped
 */
export async function createDatabase(client: DatabaseClient): Promise<Database> {
  if (client === 'sqlite') {
    const folder = mkdtempSync(path.join(tmpdir(), 'refresh-token-'));
    return {
      client,
      env: { DATABASE_CLIENT: client, DATABASE_FILENAME: path.join(folder, 'data.db') },
      drop: async () => rmSync(folder, { recursive: true, force: true }),
    };
  }

  const name = `refresh_token_${randomBytes(6).toString('hex')}`;
  const charset = client === 'mysql' ? ' CHARACTER SET utf8mb4' : '';
  await runOnServer(client, `CREATE DATABASE ${name}${charset}`);
  const { host, port, user, password } = settings[client];
  return {
    client,
    env: {
      DATABASE_CLIENT: client,
      DATABASE_HOST: host,
      DATABASE_PORT: String(port),
      DATABASE_USERNAME: user,
      DATABASE_PASSWORD: password,
      DATABASE_NAME: name,
    },
    async drop() {
      const force = client === 'postgres' ? ' WITH (FORCE)' : '';
      await runOnServer(client, `DROP DATABASE ${name}${force}`);
    },
  };
}
