import { spawnSync } from 'node:child_process';

/** Git sets these in a hook, where they name the repository that the hook belongs to. */
const OF_ANOTHER_REPOSITORY = [
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_COMMON_DIR',
  'GIT_INDEX_FILE',
  'GIT_OBJECT_DIRECTORY',
  'GIT_PREFIX',
];

/**
 * Runs git in a folder, without anything that the repository there has configured to run with it.
 *
 * @param {string} folder
 * @param {...string} options
 * @returns {import('node:child_process').SpawnSyncReturns<string>} with an `error` if git is not installed
 */
export function git(folder, ...options) {
  const env = { ...process.env };
  for (const name of OF_ANOTHER_REPOSITORY) delete env[name];
  return spawnSync('git', ['-c', 'core.fsmonitor=false', '--no-optional-locks', ...options], {
    cwd: folder,
    encoding: 'utf8',
    env,
    maxBuffer: 64 * 1024 * 1024,
  });
}

/** @returns {boolean | null} whether git ignores a file of a folder, existing or not; null without git */
export function isIgnored(folder, name) {
  const { status } = git(folder, 'check-ignore', '--quiet', name);
  return status === 0 || status === 1 ? status === 0 : null;
}
