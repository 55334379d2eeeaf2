// `npm run test:strapi-versions`: runs the API tests on several releases of Strapi 5, each actually installed, on SQLite.
// Prints the rows of the README's table. To choose the releases: `npm run test:strapi-versions -- 5.20.0 5.54.0`.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The oldest, the last one before Strapi's own refresh mode, two in between, and the one in the lock file. */
const RELEASES = ['5.0.0', '5.12.5', '5.23.6', '5.40.0', '5.54.0'];

/** Only the installed project is needed there, and not every file in it works with every release. */
const LEFT_OUT = ['create-strapi', 'newman', '@types/newman', 'playwright-core', 'echarts'];

/** Runs a command in a project. @throws Error with its output, if it fails */
const run = (folder, command, ...options) =>
  execFileSync(command, options, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });

/** Creates this project again, with that release. */
function install(release, folder) {
  const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' });
  for (const name of tracked.split('\0').filter(Boolean)) {
    // Deleted, but not yet committed.
    if (existsSync(path.join(ROOT, name))) cpSync(path.join(ROOT, name), path.join(folder, name));
  }
  // It locks the versions of one release.
  rmSync(path.join(folder, 'package-lock.json'));

  const manifest = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  for (const section of [manifest.dependencies, manifest.devDependencies]) {
    for (const name of Object.keys(section)) {
      if (name.startsWith('@strapi/')) section[name] = release;
      if (LEFT_OUT.includes(name)) delete section[name];
    }
  }
  // Today's npm puts it where old releases do not look.
  manifest.dependencies['@strapi/email'] = release;
  // The upload plugin of old releases requires a version whose binary is downloaded from another host; we do not test it.
  manifest.overrides.sharp = '0.33.5';
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify(manifest));
  run(folder, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error');
}

/** @returns {{ passed: number, failures: string[] }} of the tests, and of compiling the folder as its owner would */
function test(folder) {
  // The compiler of `strapi build`, which is older in older releases. The rest of this project is written for one release.
  const { resolve } = createRequire(path.join(folder, 'node_modules/@strapi/strapi/package.json'));
  const compiler = resolve('typescript/bin/tsc');
  const { stdout } = spawnSync(process.execPath, [compiler, '--noEmitOnError', 'false'], {
    cwd: folder,
    encoding: 'utf8',
  });
  const types = stdout.split('\n').filter((line) => line.startsWith('src/extensions/'));

  const report = path.join(folder, 'report.json');
  spawnSync('npx', ['jest', '--selectProjects', 'sqlite', '--json', '--outputFile', report], {
    cwd: folder,
    env: { ...process.env, TEST_DATABASES: 'sqlite' },
    stdio: 'ignore',
  });
  const { numPassedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
  const failed = testResults.filter(({ status }) => status !== 'passed');
  return { passed: numPassedTests, failures: [...types, ...failed.map(({ message }) => message)] };
}

console.log('| Strapi | Node | passed | failed |\n| --- | --- | ---: | ---: |');
const { positionals } = parseArgs({ allowPositionals: true });
for (const release of positionals.length > 0 ? positionals : RELEASES) {
  const folder = mkdtempSync(path.join(tmpdir(), `refresh-token-strapi-${release}-`));
  try {
    install(release, folder);
    const { passed, failures } = test(folder);
    for (const failure of failures) console.error(failure);
    console.log(`| ${release} | ${process.versions.node} | ${passed} | ${failures.length} |`);
    if (failures.length > 0 || passed === 0) process.exitCode = 1;
  } catch (error) {
    console.error(error.message);
    console.log(`| ${release} | ${process.versions.node} | not installed | |`);
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
