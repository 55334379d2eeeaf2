// `npm run copy-into -- ../their-project`: copies the extension into a Strapi 5 project, or upgrades the copy that is
// there. It prints what it does, and never edits the owner's existing lines.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import semver from 'semver';
import { bundle, FOLDER, uncommitted } from './copy-into/bundle.mjs';
import { findRefreshMode, reviewCors } from './copy-into/configuration.mjs';
import { compare, CONFLICT_SUFFIX, planFolder } from './copy-into/copy.mjs';
import { applyChanges, hasFile, readOwners, reasonOf } from './copy-into/files.mjs';
import { isIgnored } from './copy-into/git.mjs';
import { reviewOwnCode } from './copy-into/own-code.mjs';
import { detectProject, versionOf } from './copy-into/project.mjs';
import { planDependencies, planVariables } from './copy-into/settings.mjs';
import { readStamp } from './copy-into/stamp.mjs';
import { UserError } from './copy-into/user-error.mjs';

const USAGE = `Usage: npm run copy-into -- <project> [--dry-run] [--combine] [--check]

Copies ${FOLDER} into a Strapi 5 project, in TypeScript or
JavaScript, or upgrades the copy that is there and keeps its owner's edits.

  --dry-run   only prints what it would change
  --combine   if the project has its own strapi-server: renames it, and applies both
  --check     prints whether the copy is intact, edited or behind, and reviews config/middlewares;
              exit status 1 if there is something to do`;

const REPOSITORY = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const ours = (name) => readFileSync(path.join(REPOSITORY, name), 'utf8');

const COMMANDS = {
  npm: ['npm install', 'npm run develop'],
  yarn: ['yarn install', 'yarn develop'],
  pnpm: ['pnpm install', 'pnpm develop'],
};

async function main() {
  const { folder, dryRun, combine, check } = readArguments();
  const project = detectProject(folder, REPOSITORY);
  const { root } = project;
  const manifest = JSON.parse(ours('package.json'));
  const stamp = readStamp(root);
  if (stamp && semver.gt(stamp.version, manifest.version)) {
    throw new UserError(
      `The copy is version ${stamp.version}, but this repository is ${manifest.version}: update the repository first.`
    );
  }
  if (check && !stamp) {
    throw new UserError(`In ${root} there is no copy that this command has made.`);
  }
  if (!stamp) versionOf(project);

  const delivered = await bundle(REPOSITORY, project.language);
  const inFolder = planFolder(root, stamp, manifest.version, delivered, combine);
  // The stamp comes last: until it is there, a second run does what a first one could not.
  const changes = [
    ...planDependencies(project, delivered, manifest),
    ...planVariables(root, ours('.env.example'), stamp === null),
    ...inFolder.changes,
  ];
  // Refuses links and the like, also where nothing is written.
  for (const { path: name } of changes) hasFile(root, name);
  const byHand = findRefreshMode(root);
  const notes = [
    ...inFolder.remarks,
    ...uncommitted(REPOSITORY),
    ...noteOfSecrets(root, stamp === null),
    ...(check ? reviewCors(root) : []),
    ...reviewOwnCode(root, project.manifest, delivered, changes, inFolder.moves),
  ];
  const [install, start] = COMMANDS[project.packageManager];
  const isInstalled = stamp && !changes.some((change) => change.path === 'package.json');

  const language = project.language === 'ts' ? 'TypeScript' : 'JavaScript';
  const strapi = project.strapi ?? project.manifest.dependencies['@strapi/strapi'];
  console.log(`${root}: Strapi ${strapi}, ${language}, ${project.packageManager}`);
  const waiting = check ? printStatus(root, stamp, manifest.version) : [];
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

/** @throws {UserError} which tells the usage */
function readArguments() {
  const option = { type: 'boolean', default: false };
  const options = { 'dry-run': option, combine: option, check: option };
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    if (positionals.length !== 1) throw new Error('Name one project.');
    // npm runs a script in its own package, wherever it was called.
    const folder = path.resolve(process.env.INIT_CWD ?? '.', positionals[0]);
    return { ...values, folder, dryRun: values['dry-run'] };
  } catch (error) {
    throw new UserError(`${error.message}\n\n${USAGE}`);
  }
}

/** @returns {string[]} the files that wait for their owner to merge them */
function printStatus(root, stamp, latest) {
  const { edited, deleted, beside } = compare(root, stamp);
  const state = edited.length + deleted.length > 0 ? 'edited' : 'intact';
  console.log(`\nA copy of version ${stamp.version} (this repository: ${latest}), ${state}.`);
  if (edited.length > 0) console.log(`  edited: ${edited.join(', ')}`);
  if (deleted.length > 0) console.log(`  deleted: ${deleted.join(', ')}`);
  return beside.map(
    (name) => `merge ${name} with ${name}${CONFLICT_SUFFIX}, and delete the latter`
  );
}

/** What happens to the folder, by what it is; what happens outside of it, by file. */
function inGroups(changes) {
  const groups = new Map();
  for (const { path: name, why, to } of changes) {
    const within = name.startsWith(`${FOLDER}/`) && name.slice(FOLDER.length + 1);
    const moved = to ? `${within} to ${to.slice(FOLDER.length + 1)}` : within;
    const [title, item] = within ? [`${FOLDER}, ${why}`, moved] : [name, why];
    groups.set(title, [...(groups.get(title) ?? []), item]);
  }
  return [...groups].map(([title, items]) => `${title}: ${items.join(', ')}`);
}

/** @returns {string[]} where the secret was not looked for, and where it may be seen */
function noteOfSecrets(root, isFirstCopy) {
  return [
    ...(!isFirstCopy && readOwners(root, '.env') === null
      ? [
          'There is no .env here, as in a fresh clone: the server must get REFRESH_SECRET from its environment',
        ]
      : []),
    ...(isIgnored(root, '.env') === false
      ? ['.env holds secrets, and git does not ignore it: add it to .gitignore']
      : []),
  ];
}

function print(title, lines) {
  if (lines.length > 0) console.log(`\n${title}\n${lines.map((line) => `  - ${line}`).join('\n')}`);
}

main().catch((error) => {
  process.exitCode = 1;
  if (error instanceof UserError) return console.error(error.message);
  // Whatever fails while files are written is a UserError: this is one that could not be read.
  if (error.syscall && error.path) {
    return console.error(
      `${error.path} could not be read: ${reasonOf(error)}. Nothing was changed.`
    );
  }
  return console.error(error);
});
