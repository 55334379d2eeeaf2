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
const made: Database[] = [];

/** The kind of database that this run of the suite is for. */
export const databaseClient = (): DatabaseClient =>
  known((globalThis as { TEST_DATABASE?: string }).TEST_DATABASE);

function known(asked: string | undefined): DatabaseClient {
  const client = CLIENTS.find((name) => name === asked);
  if (!client) throw new Error(`TEST_DATABASES holds "${asked}": expected ${CLIENTS.join(', ')}.`);
  return client;
}

/**
 * Boots this project on an empty database of each kind, stops it, and tells the workers where the databases are.
 *
 * @throws Error if a name is unknown, or a server isn't there
 */
export async function makeTemplates(clients: string[]): Promise<void> {
  await Promise.all(clients.map(async (client) => makeTemplate(known(client))));
}

async function makeTemplate(client: DatabaseClient): Promise<void> {
  const database = await createDatabase(client);
  made.push(database);
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

export async function dropTemplates(): Promise<void> {
  await Promise.all(made.map(({ drop }) => drop()));
}

/** A new database with Strapi's tables, as after a boot of this project. */
export function copyTemplate(): Promise<Database> {
  const client = databaseClient();
  return createDatabase(client, JSON.parse(process.env[variable(client)]!));
}
