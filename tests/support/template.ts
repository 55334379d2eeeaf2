/** The database on which a run boots Strapi once and that its tests copy, so that not every boot creates Strapi's tables. */
import { fork } from 'child_process';
import { once } from 'events';
import path from 'path';
import { CLIENTS, createDatabase } from './database';
import type { Database, DatabaseClient } from './database';
import { askChild } from './ipc';
import type { Answers } from './strapi';

export const STRAPI_SCRIPT = path.resolve(__dirname, '../../dist/tests/support/strapi.js');

const variable = (client: DatabaseClient) => `TEST_TEMPLATE_${client.toUpperCase()}`;
const made = new Map<DatabaseClient, Database>();

/**
 * The kind of database that this run of the suite is for.
 *
 * @throws Error if TEST_DATABASES names one that does not exist
 */
export function databaseClient(globals: object = globalThis): DatabaseClient {
  const { TEST_DATABASE: asked } = globals as { TEST_DATABASE?: string };
  const client = CLIENTS.find((name) => name === asked);
  if (!client) throw new Error(`TEST_DATABASES holds "${asked}": expected ${CLIENTS.join(', ')}.`);
  return client;
}

/** Boots this project on an empty database, stops it, and tells this process's workers where the database is. */
export async function makeTemplate(client: DatabaseClient): Promise<void> {
  const database = await createDatabase(client);
  made.set(client, database);
  const child = fork(STRAPI_SCRIPT, [JSON.stringify(database.env)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const { booted, ask } = askChild<Answers, number>(
    child,
    (problem) => `The template for ${client} ${problem}.`
  );
  await booted;
  const exit = once(child, 'exit');
  await ask('stop');
  child.disconnect();
  await exit;
  process.env[variable(client)] = JSON.stringify(database.env);
}

export async function dropTemplate(client: DatabaseClient): Promise<void> {
  await made.get(client)?.drop();
}

/** A new database with Strapi's tables, as after a boot of this project. */
export function copyTemplate(): Promise<Database> {
  const client = databaseClient();
  return createDatabase(client, JSON.parse(process.env[variable(client)]!));
}
