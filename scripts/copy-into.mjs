// `npm run copy-into -- ../their-project`: copies the extension into a Strapi 5 project, or upgrades the copy that is
// there. It says what it does, and touches no line that is the owner's.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import semver from 'semver';
import { findRefreshMode, reviewCors } from './copy-into/configuration.mjs';
import { CONFLICT_SUFFIX, compare, planFolder, readStamp } from './copy-into/copy.mjs';
import { bundle, FOLDER } from './copy-into/bundle.mjs';
import { detectProject, UserError } from './copy-into/project.mjs';
import { planDependencies, planVariables } from './copy-into/settings.mjs';

const USAGE = `Usage: npm run copy-into -- <project> [--dry-run] [--combine] [--check]

Copies ${FOLDER} into a Strapi 5 project, in TypeScript or
JavaScript, or upgrades the copy that is there and keeps its owner's edits.

  --dry-run   only says what it would do
  --combine   where there is a strapi-server of the project's own: renames it, and applies both
  --check     says whether the copy is intact, edited or behind, and looks at config/middlewares;
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
      `The copy is of version ${stamp.version}, this repository of ${manifest.version}: update the repository first.`
    );
  }
  if (check && !stamp)
    throw new UserError(`In ${root} there is no copy that this command has made.`);

  const delivered = await bundle(REPOSITORY, project.language);
  const { changes, remarks } = planFolder(root, stamp, manifest.version, delivered, combine);
  changes.push(
    ...planDependencies(project, delivered, manifest),
    ...planVariables(root, ours('.env.example'))
  );
  const byHand = findRefreshMode(root);
  const [install, start] = COMMANDS[project.packageManager];
  const anew = changes.some((change) => change.path === 'package.json') ? [install] : [];

  const language = project.language === 'ts' ? 'TypeScript' : 'JavaScript';
  console.log(`${root}: Strapi ${project.strapi}, ${language}, ${project.packageManager}`);
  const waiting = check ? printStatus(root, stamp, manifest.version) : [];
  print(dryRun || check ? 'This would be done:' : 'This is done:', inGroups(changes));
  if (!dryRun && !check) changes.forEach((change) => apply(root, change));
  print('Worth knowing:', [...remarks, ...secretsInGit(root), ...(check ? reviewCors(root) : [])]);
  print('What is left to you:', [...waiting, ...byHand, ...anew, ...(stamp ? [] : [start])]);

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
  for (const { path: name, why } of changes) {
    const within = name.startsWith(`${FOLDER}/`) && name.slice(FOLDER.length + 1);
    const [title, item] = within ? [`${FOLDER}, ${why}`, within] : [name, why];
    groups.set(title, [...(groups.get(title) ?? []), item]);
  }
  return [...groups].map(([title, items]) => `${title}: ${items.join(', ')}`);
}

function apply(root, { path: name, text }) {
  const file = path.join(root, name);
  if (text === null) return rmSync(file);
  mkdirSync(path.dirname(file), { recursive: true });
  // A file that is there keeps its mode.
  return writeFileSync(file, text, name === '.env' ? { mode: 0o600 } : {});
}

function secretsInGit(root) {
  const { status } = spawnSync('git', ['check-ignore', '--quiet', '.env'], { cwd: root });
  return status === 1
    ? ['.env holds secrets, and git does not ignore it: add it to .gitignore']
    : [];
}

function print(title, lines) {
  if (lines.length > 0) console.log(`\n${title}\n${lines.map((line) => `  - ${line}`).join('\n')}`);
}

main().catch((error) => {
  console.error(error instanceof UserError ? error.message : error);
  process.exitCode = 1;
});
