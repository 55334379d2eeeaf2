import { execFile } from 'child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'fs';
import { tmpdir } from 'os';
import path from 'path';
import { stripVTControlCharacters } from 'util';
import schema from '../fixtures/1.0.0/schema.json';

const ROOT = path.resolve(__dirname, '../..');

/** The path of the extension in a project. */
export const EXTENSION = 'src/extensions/users-permissions';

/** A JavaScript project for one test: Strapi runs its files as they are. */
export interface Project {
  folder: string;
  remove(): void;
}

/** Has this repository's compiled configuration and no extension yet. */
function bareProject(): Project {
  const folder = mkdtempSync(path.join(tmpdir(), 'refresh-token-project-'));
  cpSync(path.join(ROOT, 'package.json'), path.join(folder, 'package.json'));
  cpSync(path.join(ROOT, 'dist/config'), path.join(folder, 'config'), { recursive: true });
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  mkdirSync(path.join(folder, EXTENSION), { recursive: true });
  // The upload plugin requires it.
  mkdirSync(path.join(folder, 'public/uploads'), { recursive: true });
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A project with the compiled extension. */
export function currentProject(): Project {
  const project = bareProject();
  cpSync(path.join(ROOT, 'dist', EXTENSION), path.join(project.folder, EXTENSION), {
    recursive: true,
  });
  return project;
}

/** A project with the compiled extension and Strapi's GraphQL plugin, which is loaded where it is a dependency. */
export function graphqlProject(): Project {
  const project = currentProject();
  const manifest = path.join(project.folder, 'package.json');
  const { dependencies, devDependencies, ...rest } = JSON.parse(readFileSync(manifest, 'utf8'));
  const plugin = '@strapi/plugin-graphql';
  const all = { ...dependencies, [plugin]: devDependencies[plugin] };
  writeFileSync(manifest, JSON.stringify({ ...rest, dependencies: all }));
  return project;
}

/**
 * A project that customized the plugin before it copied the extension in, as `copy-into --combine` puts both together.
 *
 * @param mine the project's own `strapi-server`, as JavaScript
 */
export function customizedProject(mine: string): Project {
  const project = currentProject();
  const file = (name: string) => path.join(project.folder, EXTENSION, name);
  renameSync(file('strapi-server.js'), file('ours.js'));
  writeFileSync(file('mine.js'), mine);
  writeFileSync(
    file('strapi-server.js'),
    `const ours = require('./ours');
     const mine = require('./mine');
     module.exports = async (plugin) => ours.default((await mine(plugin)) ?? plugin);`
  );

  // Changes that a project makes to the plugin object itself stay for the lifetime of the process.
  const plugin = jest.requireActual('@strapi/plugin-users-permissions/strapi-server')();
  const originals = { services: { ...plugin.services }, controllers: { ...plugin.controllers } };
  return {
    ...project,
    remove() {
      project.remove();
      Object.assign(plugin.services, originals.services);
      Object.assign(plugin.controllers, originals.controllers);
    },
  };
}

/** A project with the content type of version 1.0.0 and nothing else of that version: Strapi creates its table. */
export function projectOfVersion1(): Project {
  const project = bareProject();
  // In code, as in 1.0.0: Strapi reads content types from this folder only since 5.45.
  const contentTypes = {
    'refresh-session': {
      schema: {
        ...schema,
        plugin: 'users-permissions',
        globalId: 'UsersPermissionsRefreshSession',
      },
    },
  };
  writeFileSync(
    path.join(project.folder, EXTENSION, 'strapi-server.js'),
    `module.exports = (plugin) => ({
      ...plugin,
      contentTypes: { ...${JSON.stringify(contentTypes)}, ...plugin.contentTypes },
    });`
  );
  return project;
}

/** Adds the file of version 1.0.0 that is easily forgotten in a manual upgrade. */
export function addSchemaOfVersion1({ folder }: Project): void {
  const contentType = path.join(folder, EXTENSION, 'content-types/refresh-session');
  mkdirSync(contentType, { recursive: true });
  writeFileSync(path.join(contentType, 'schema.json'), JSON.stringify(schema));
}

/**
 * Runs the Strapi CLI in a project with this process's environment. Kills it after 90 seconds.
 *
 * @param options such as `'export', '--no-encrypt'`
 * @returns the exit status (null if it was killed) and the output without colors
 */
export function strapiCommand(
  { folder }: Project,
  ...options: string[]
): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [path.join(ROOT, 'node_modules/@strapi/strapi/bin/strapi.js'), ...options],
      {
        cwd: folder,
        env: { ...process.env, HOST: '127.0.0.1', PORT: '0' },
        timeout: 90_000,
        killSignal: 'SIGKILL',
        maxBuffer: 1e8,
      },
      (_error, stdout, stderr) => {
        resolve({ status: child.exitCode, output: stripVTControlCharacters(stdout + stderr) });
      }
    );
    // No one answers its prompts.
    child.stdin?.end();
  });
}
