import { randomBytes } from 'crypto';
import { copyFileSync, mkdtempSync, rmSync } from 'fs';
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
 * Creates a database.
 *
 * @param client which kind
 * @param template one of the same kind to copy, with no open connections; the new database is empty otherwise
 * @throws Error if the server is not there: a database that was asked for is never skipped
 */
export async function createDatabase(
  client: DatabaseClient,
  template?: Database['env']
): Promise<Database> {
  if (client === 'sqlite') {
    const folder = mkdtempSync(path.join(tmpdir(), 'refresh-token-'));
    const file = path.join(folder, 'data.db');
    if (template) copyFileSync(template.DATABASE_FILENAME, file);
    return {
      client,
      env: { DATABASE_CLIENT: client, DATABASE_FILENAME: file },
      drop: async () => rmSync(folder, { recursive: true, force: true }),
    };
  }

  const name = `refresh_token_${randomBytes(6).toString('hex')}`;
  if (client === 'postgres') {
    const source = template ? ` TEMPLATE ${template.DATABASE_NAME}` : '';
    await runOnServer(client, `CREATE DATABASE ${name}${source}`);
  } else {
    await runOnServer(client, `CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
    if (template) await copyTables(template.DATABASE_NAME, name);
  }
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

/** Copies all tables, with their rows and foreign keys, to another database of the MySQL server, which has no templates. */
async function copyTables(from: string, to: string): Promise<void> {
  const connection = await mysql.createConnection({ ...settings.mysql, multipleStatements: true });
  try {
    const [tables] = await connection.query(`SHOW TABLES FROM ${from}`);
    const names = (tables as object[]).map((table) => `\`${Object.values(table)[0]}\``);
    const shown = names.map((table) => `SHOW CREATE TABLE ${from}.${table};`);
    const [created] = await connection.query(shown.join(''));
    const statements = [
      `USE ${to}; SET foreign_key_checks = 0`,
      ...(created as Record<string, string>[][]).map(([table]) => table['Create Table']),
      ...names.map((table) => `INSERT INTO ${table} SELECT * FROM ${from}.${table}`),
    ];
    await connection.query(statements.join(';'));
  } finally {
    await connection.end();
  }
}
