#!/usr/bin/env node
// Copies the extension into a Strapi 5 project, or upgrades an existing copy. It prints what it does, and never edits the
// owner's existing lines. It needs nothing installed, and Git only to merge edits.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { planApp, reviewPackages } from './lib/admin-panel.mjs';
import { findRefreshMode, reviewCors } from './lib/configuration.mjs';
import { compare, CONFLICT_SUFFIX, planCopy } from './lib/copy.mjs';
import { deliver, readExample, REPOSITORY, VERSION } from './lib/delivery.mjs';
import { diffOf, LEFT_OUT } from './lib/diff.mjs';
import { applyChanges, hasFile, readOwners, reasonOf } from './lib/files.mjs';
import { isIgnored } from './lib/git.mjs';
import { ADMIN, FOLDER, PANEL } from './lib/names.mjs';
import { reviewOwnCode } from './lib/own-code.mjs';
import { detectProject, versionOf } from './lib/project.mjs';
import { planDependencies, planVariables } from './lib/settings.mjs';
import { readStamp } from './lib/stamp.mjs';
import { UserError } from './lib/user-error.mjs';
import { compareVersions } from './lib/versions.mjs';

const USAGE = `Usage: ${REPOSITORY ? 'node cli/copy-into.mjs' : 'npx strapi-refresh-token'} <project> [--dry-run] [--diff] [--check]
         [--combine] [--without admin | --with admin]

Copies ${FOLDER} and its admin panel, ${PANEL},
into a Strapi 5 project, in TypeScript or JavaScript, or upgrades an existing copy and keeps its
owner's edits.

  --dry-run         only print what would change
  --diff            only print what would change as a unified diff; exit status 0 if nothing, 1 if
                    something would change, 2 if it fails
  --combine         if the project has its own strapi-server, rename it and apply both
  --check           print whether the copy is intact, edited or behind, and review
                    config/middlewares; exit status 1 if there is anything left to do
  --without admin   leave out the admin panel and its routes, now and in later upgrades, or
                    remove them
  --with admin      add them again`;

const COMMANDS = {
  npm: ['npm install', 'npm run develop'],
  yarn: ['yarn install', 'yarn develop'],
  pnpm: ['pnpm install', 'pnpm develop'],
};

async function main() {
  const { folder, dryRun, diff, combine, check, ...parts } = readArguments();
  const project = detectProject(folder, REPOSITORY);
  const { root } = project;
  const stamp = readStamp(root);
  if (stamp && compareVersions(stamp.version, VERSION) > 0) {
    throw new UserError(
      `The copy is version ${stamp.version}, but this command is version ${VERSION}. Run a newer one.`
    );
  }
  if (check && !stamp) {
    throw new UserError(`${root} has no copy made by this command. Run it without --check first.`);
  }
  if (!stamp) versionOf(project);

  const without = parts.with ? null : (parts.without ?? stamp?.without ?? null);
  const { files: delivered, remarks } = await deliver(project.language, without);
  const next = { version: VERSION, without, files: delivered };
  const copy = planCopy(root, stamp, next, combine);
  const app = planApp(root, project.language, without, copy.changes);
  // The stamp is written last: until it is there, a second run finishes what the first one could not.
  const changes = [
    ...planDependencies(project, delivered),
    ...planVariables(root, readExample(), stamp === null),
    ...app.changes,
    ...copy.changes,
  ];
  // Refuses links and the like, even if nothing is written.
  for (const { path: name } of changes) hasFile(root, name);
  if (diff) {
    process.stdout.write(diffOf(root, changes, process.stdout.isTTY));
    const leftOut = changes.filter(({ path: name }) => LEFT_OUT.includes(name));
    for (const { path: name, why } of leftOut) console.error(`${name}, not shown: ${why}`);
    process.exitCode = changes.length > 0 ? 1 : 0;
    return;
  }
  const byHand = [...findRefreshMode(root), ...app.steps];
  const notes = [
    ...copy.remarks,
    ...remarks,
    ...(without === ADMIN ? [] : reviewPackages(project)),
    ...(stamp ? noteOfBuild(changes) : []),
    ...noteOfSecrets(root, stamp === null),
    ...(check ? reviewCors(root) : []),
    ...reviewOwnCode(root, project.manifest, delivered, changes, copy.moves),
  ];
  const [install, start] = COMMANDS[project.packageManager];
  const isInstalled = stamp && !changes.some((change) => change.path === 'package.json');

  const language = project.language === 'ts' ? 'TypeScript' : 'JavaScript';
  const strapi = project.strapi ?? project.manifest.dependencies['@strapi/strapi'];
  console.log(`${root}: Strapi ${strapi}, ${language}, ${project.packageManager}`);
  const waiting = check ? printStatus(root, stamp) : [];
  const onlySays = dryRun || check;
  if (!onlySays) applyChanges(root, changes);
  print(onlySays ? 'Would change:' : 'Done:', inGroups(changes));
  print('Notes:', notes);
  print('Next steps:', [
    ...waiting,
    ...byHand,
    ...(isInstalled ? [] : [install]),
    ...(stamp ? [] : [start]),
  ]);

  const todo = changes.length + waiting.length + byHand.length;
  if (todo === 0) console.log('\nNothing to do.');
  if (check && todo > 0) process.exitCode = 1;
}

/** @throws {UserError} with the usage */
function readArguments() {
  const option = { type: 'boolean', default: false };
  const part = { type: 'string' };
  const options = {
    'dry-run': option,
    diff: option,
    combine: option,
    check: option,
    with: part,
    without: part,
  };
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const part = values.with ?? values.without ?? ADMIN;
    if (part !== ADMIN) throw new Error(`"${part}" is not a part that can be left out.`);
    if (values.with && values.without) throw new Error('Pass --with or --without, not both.');
    if (positionals.length !== 1) throw new Error('Pass the path of one project.');
    // npm runs the scripts of a checkout in its root, wherever it was called.
    const called = (REPOSITORY && process.env.INIT_CWD) ?? '.';
    const folder = path.resolve(called, positionals[0]);
    return { ...values, folder, dryRun: values['dry-run'] };
  } catch (error) {
    throw new UserError(`${error.message}\n\n${USAGE}`);
  }
}

/** @returns {string[]} the files that their owner still has to merge */
function printStatus(root, stamp) {
  const { edited, deleted, beside } = compare(root, stamp);
  const state = edited.length + deleted.length > 0 ? 'edited' : 'intact';
  const parts = stamp.without ? ` without ${stamp.without}` : '';
  console.log(`\nA copy of version ${stamp.version}${parts} (this command: ${VERSION}), ${state}.`);
  if (edited.length > 0) console.log(`  edited: ${edited.join(', ')}`);
  if (deleted.length > 0) console.log(`  deleted: ${deleted.join(', ')}`);
  return beside.map((name) => `merge ${name}${CONFLICT_SUFFIX} into ${name}, then delete it`);
}

/** Changes to the copy, grouped by folder and kind; other changes, by file. */
function inGroups(changes) {
  const groups = new Map();
  for (const { path: name, why, to } of changes) {
    const folder = [FOLDER, PANEL].find((each) => name.startsWith(`${each}/`));
    const within = folder && name.slice(folder.length + 1);
    const moved = to ? `${within} to ${to.slice(folder.length + 1)}` : within;
    const [title, item] = within ? [`${folder}, ${why}`, moved] : [name, why];
    groups.set(title, [...(groups.get(title) ?? []), item]);
  }
  return [...groups].map(([title, items]) => `${title}: ${items.join(', ')}`);
}

/** @returns {string[]} when a change to the panel takes effect */
function noteOfBuild(changes) {
  return changes.some(({ path: name }) => name.startsWith('src/admin/'))
    ? [
        'The admin panel has changed. Strapi shows that after the next build (strapi develop or strapi build)',
      ]
    : [];
}

/** @returns {string[]} that the secret may be missing, or exposed by git */
function noteOfSecrets(root, isFirstCopy) {
  return [
    ...(!isFirstCopy && readOwners(root, '.env') === null
      ? [
          'There is no .env here, as in a fresh clone. Set REFRESH_SECRET in the environment of the server',
        ]
      : []),
    ...(isIgnored(root, '.env') === false
      ? ['.env contains secrets, but git does not ignore it: add it to .gitignore']
      : []),
  ];
}

function print(title, lines) {
  if (lines.length > 0) console.log(`\n${title}\n${lines.map((line) => `  - ${line}`).join('\n')}`);
}

main().catch((error) => {
  process.exitCode = process.argv.includes('--diff') ? 2 : 1;
  if (error instanceof UserError) return console.error(error.message);
  // A failure to write files is a UserError, so this file could not be read.
  if (error.syscall && error.path) {
    return console.error(
      `${error.path} could not be read: ${reasonOf(error)}. Nothing was changed.`
    );
  }
  return console.error(error);
});
