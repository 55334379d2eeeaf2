// `npm run test:strapi-versions`: runs the API tests on several releases of Strapi 5, each actually installed, on SQLite. Keeps
// the results in results.json, and writes the tables of docs/strapi-releases.md. Run it again to resume: a release without
// failures isn't repeated. To start over, delete results.json.
//
// `npm run test:strapi-versions -- 5.20.0` runs the releases that you name and keeps no results. `--table` only prints the tables.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RESULTS = fileURLToPath(new URL('results.json', import.meta.url));
const PAGE = path.join(ROOT, 'docs/strapi-releases.md');

/** As in the table: the last of each minor release for which all packages of Strapi exist. */
const RELEASES = [
  '5.54.0',
  '5.53.0',
  '5.52.3',
  '5.51.2',
  '5.50.2',
  '5.49.0',
  '5.48.0',
  '5.46.0',
  '5.45.1',
  '5.40.0',
  // The last minor release without Strapi's own refresh mode is 5.23.
  '5.23.6',
  '5.12.4',
  '5.0.0',
];
const NEWEST = RELEASES[0];

/** What API tests don't use. */
const LEFT_OUT = [
  '@apollo/client',
  '@strapi/client',
  '@stryker-mutator/instrumenter',
  '@types/newman',
  '@urql/core',
  '@vitejs/plugin-react-swc',
  '@vitejs/plugin-vue',
  'axe-core',
  'create-strapi',
  'echarts',
  'eslint',
  'newman',
  'playwright-core',
  'prettier',
  'typescript-eslint',
  'vite',
  'vue',
];

/** The project in which a release is installed. It is kept, so that the next run installs only what has changed. */
const folderOf = (release) => path.join(tmpdir(), 'refresh-token-strapi-versions', release);

/** Creates this project again, with that release. @throws Error if npm fails */
function install(release, folder) {
  mkdirSync(folder, { recursive: true });
  const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' });
  const files = tracked.split('\0').filter(Boolean);
  for (const name of [...new Set(files.map((file) => file.split('/')[0])), 'dist', '.tmp']) {
    rmSync(path.join(folder, name), { recursive: true, force: true });
  }
  for (const name of files) {
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

  const { dependencies, devDependencies, overrides } = manifest;
  const wanted = JSON.stringify([process.version, dependencies, devDependencies, overrides]);
  const installed = path.join(folder, 'node_modules/.installed.json');
  if (existsSync(installed) && readFileSync(installed, 'utf8') === wanted) return;
  rmSync(path.join(folder, 'node_modules'), { recursive: true, force: true });
  const quietly = ['--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'];
  execFileSync('npm', ['install', '--ignore-scripts', '--no-package-lock', ...quietly], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  // Where there is no prebuilt one, building it takes longer than all the rest.
  const binary = 'node_modules/better-sqlite3/build/Release/better_sqlite3.node';
  cpSync(path.join(ROOT, binary), path.join(folder, binary));
  writeFileSync(installed, wanted);
}

const reportOf = (folder) => path.join(folder, '.tmp/report.json');

/** @returns {string[]} the titles of the tests that a report is about, of those with that status if one is given */
const titlesOf = (report, status) =>
  report.testResults.flatMap(({ assertionResults }) =>
    assertionResults
      .filter((result) => !status || result.status === status)
      .map(({ fullName }) => fullName)
  );

/**
 * Compiles the project and runs its API tests.
 *
 * @returns {{ titles: string[], passed: number, failed: string[] }} with the compiler's messages about the folder in `failed`
 * @throws Error if Jest writes no report
 */
function test(folder) {
  // The compiler of `strapi build`, which is older in older releases. The rest of this project is written for one release.
  const { resolve } = createRequire(path.join(folder, 'node_modules/@strapi/strapi/package.json'));
  const compiler = resolve('typescript/bin/tsc');
  const { stdout } = spawnSync(process.execPath, [compiler, '--noEmitOnError', 'false'], {
    cwd: folder,
    encoding: 'utf8',
  });
  const types = stdout.split('\n').filter((line) => line.startsWith('src/extensions/'));

  mkdirSync(path.join(folder, '.tmp'), { recursive: true });
  const config = ['--config', 'tests/together/jest.config.mjs', '--selectProjects', 'sqlite'];
  spawnSync('npx', ['jest', ...config, '--json', '--outputFile', reportOf(folder)], {
    cwd: folder,
    env: { ...process.env, TEST_DATABASES: 'sqlite' },
    stdio: 'ignore',
  });
  const report = JSON.parse(readFileSync(reportOf(folder), 'utf8'));
  const broken = report.testResults.filter(({ status }) => status !== 'passed');
  for (const message of [...types, ...broken.map(({ message }) => message)]) console.error(message);
  // A file that does not load has no tests.
  const unloaded = broken.filter(({ assertionResults }) => assertionResults.length === 0);
  return {
    titles: titlesOf(report),
    passed: report.numPassedTests,
    failed: [
      ...types,
      ...titlesOf(report, 'failed'),
      ...unloaded.map(({ name }) => path.relative(folder, name)),
    ],
  };
}

/** Installs a release and tests it. @returns its result, with the titles of all tests */
function measure(release) {
  const { version: node } = process;
  const result = {
    strapi: release,
    node: node.slice(1),
    date: new Date().toISOString().slice(0, 10),
  };
  const folder = folderOf(release);
  try {
    install(release, folder);
    return { ...result, ...test(folder) };
  } catch (error) {
    console.error(error.message);
    return {
      ...result,
      titles: [],
      passed: 0,
      failed: [`not tested: ${error.message.split('\n')[0]}`],
    };
  }
}

/** The row of the page for a result. */
const row = ({ strapi, node, date, passed, failed }) =>
  `| ${strapi} | ${node} | ${date} | ${passed} | ${failed.length} |\n`;

/** @returns the tables of the page: the results, which tests failed, and which do not apply to which releases */
function tables(results) {
  const oldestWith = new Map();
  for (const title of new Set(results.flatMap(({ notApplicable }) => notApplicable))) {
    const having = results.filter(({ notApplicable }) => !notApplicable.includes(title));
    oldestWith.set(title, having.at(-1).strapi);
  }
  const failures = [...new Set(results.flatMap(({ failed }) => failed))].map((title) => {
    const having = results.filter(({ failed }) => failed.includes(title));
    return [title, having.map(({ strapi }) => strapi).join(', ')];
  });
  const lines = (all) =>
    all.map(([title, releases]) => `| ${title.replaceAll('|', '\\|')} | ${releases} |\n`);
  return [
    '| Strapi | Node | Date | Passed | Failed |\n| --- | --- | --- | ---: | ---: |\n',
    ...results.map(row),
    ...(failures.length > 0 ? ['\n| Test that failed | On |\n| --- | --- |\n'] : []),
    ...lines(failures),
    '\n| Test that does not apply to all of them | The oldest to which it applies |\n| --- | --- |\n',
    ...lines([...oldestWith]),
  ].join('');
}

/** Writes the results, and the tables of the page. */
function save(results) {
  writeFileSync(RESULTS, `${JSON.stringify(results, null, 2)}\n`);
  const page = readFileSync(PAGE, 'utf8');
  writeFileSync(PAGE, `${page.slice(0, page.indexOf('| Strapi |'))}${tables(results)}`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { table: { type: 'boolean' } },
});
const known = existsSync(RESULTS) ? JSON.parse(readFileSync(RESULTS, 'utf8')) : [];
let results = known.filter(({ strapi }) => RELEASES.includes(strapi));
if (values.table) {
  process.stdout.write(tables(results));
} else if (positionals.length > 0) {
  const measured = positionals.map(measure);
  process.stdout.write(measured.map(row).join(''));
  if (measured.some(({ failed }) => failed.length > 0)) process.exitCode = 1;
} else {
  const isDone = (release) =>
    results.some(({ strapi, failed }) => strapi === release && failed.length === 0);
  const newest = reportOf(folderOf(NEWEST));
  // The newest first, because the others are compared with it. Then the oldest, which differ most.
  const order = [NEWEST, ...RELEASES.slice(1).reverse()];
  const rest = order.filter((release) => !isDone(release));
  if (rest.length > 0 && rest[0] !== NEWEST && !existsSync(newest)) rest.unshift(NEWEST);
  for (const release of rest) {
    const { titles, ...result } = measure(release);
    const all = existsSync(newest) ? titlesOf(JSON.parse(readFileSync(newest, 'utf8'))) : [];
    const notApplicable = all.filter((title) => titles.length > 0 && !titles.includes(title));
    const others = results.filter(({ strapi }) => strapi !== release);
    results = [...others, { ...result, notApplicable }].sort(
      (one, other) => RELEASES.indexOf(one.strapi) - RELEASES.indexOf(other.strapi)
    );
    save(results);
    process.stdout.write(row(result));
  }
  if (results.some(({ failed }) => failed.length > 0)) process.exitCode = 1;
}
