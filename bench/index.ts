/**
 * `npm run bench`: this extension beside Strapi's own `jwtManagement: 'refresh'` and beside Strapi as it is by default, each in a
 * process and on a database of its own. They are measured in turns, so that a busy machine disturbs both.
 */
import { readFileSync, writeFileSync } from 'fs';
import os from 'os';
import path from 'path';
import { performance } from 'perf_hooks';
import { parseArgs } from 'util';
import { CLIENTS } from '../tests/support/database';
import { cleanUp } from './boot';
import { chart } from './chart';
import { runPlan } from './plan';
import type { Options } from './plan';
import { ratio, report, summary } from './report';

const USAGE = `npm run bench -- [options]
  --database sqlite|postgres|mysql   default sqlite
  --sessions 1000,100000,1000000     sizes of the table, default 1000
  --rounds 5                         of each measurement
  --seconds 5                        a round
  --refreshes 1000                   after which rows are counted
  --soak 0                           refreshes of 5,000 sessions that the memory is watched over, such as 200000
  --only "refresh, 1000 sessions, 8" measure only what is called so in the progress
  --json FILE                        write all figures
  --chart FILE                       write the chart, an SVG
  --node-options="--cpu-prof"        for the servers' processes`;

/** @throws Error with one line for the terminal */
function readArguments() {
  const { values } = parseArgs({
    options: {
      database: { type: 'string', default: 'sqlite' },
      sessions: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '5' },
      refreshes: { type: 'string', default: '1000' },
      soak: { type: 'string', default: '0' },
      only: { type: 'string', default: '' },
      json: { type: 'string' },
      chart: { type: 'string' },
      'node-options': { type: 'string', default: '' },
      help: { type: 'boolean', default: false },
    },
  });
  const database = CLIENTS.find((name) => name === values.database);
  if (!database) {
    throw new Error(`--database ${values.database}: expected one of ${CLIENTS.join(', ')}`);
  }
  const number = (option: string, text: string, fits: (value: number) => boolean) => {
    if (!fits(Number(text))) throw new Error(`--${option} ${text}: expected a number above 0`);
    return Number(text);
  };
  const whole = (option: string, text: string) =>
    number(option, text, (value) => Number.isInteger(value) && value > 0);
  const options: Options = {
    database,
    sessions: values.sessions
      .split(',')
      .map((size) => whole('sessions', size))
      .sort((a, b) => a - b),
    rounds: whole('rounds', values.rounds),
    seconds: number('seconds', values.seconds, (value) => value > 0),
    refreshes: whole('refreshes', values.refreshes),
    soak: values.soak === '0' ? 0 : whole('soak', values.soak),
    only: values.only,
    nodeOptions: values['node-options'].split(' ').filter(Boolean),
  };
  return { options, json: values.json, chart: values.chart, help: values.help };
}

/** What a run depends on, so that two of them can be compared. */
function versions(): Record<string, string> {
  const manifest = readFileSync(path.resolve(__dirname, '../../package.json'), 'utf8');
  const { version, dependencies } = JSON.parse(manifest);
  return { extension: version, node: process.version, ...dependencies };
}

const began = performance.now();

/** One line that is rewritten; in a file or a pipe, a line a step. */
function tell(step: string): void {
  const { isTTY, columns } = process.stderr;
  const line = step && `${Math.round((performance.now() - began) / 1000)} s: ${step}`;
  if (isTTY) process.stderr.write(`\r\x1b[K${line.slice(0, columns - 1)}`);
  else if (line) process.stderr.write(`${line}\n`);
}

async function main(): Promise<void> {
  const asked = readArguments();
  if (asked.help) {
    console.log(USAGE);
    return;
  }
  const results = await runPlan(asked.options, tell);
  tell('');
  console.log(report(results));
  if (asked.json) {
    const [{ model }] = os.cpus();
    const machine = {
      cpu: model,
      cores: os.cpus().length,
      memory: os.totalmem(),
      system: `${os.type()} ${os.release()}`,
    };
    const comparisons = results.comparisons.map((comparison) => ({
      ...comparison,
      medians: comparison.sides.map(summary),
      ratio: ratio(comparison),
    }));
    const all = { machine, versions: versions(), options: asked.options, ...results, comparisons };
    writeFileSync(asked.json, `${JSON.stringify(all, null, 2)}\n`);
  }
  if (asked.chart) writeFileSync(asked.chart, chart(results));
}

for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => {
    // What fails from now on fails because of it.
    console.error = () => {};
    void cleanUp().finally(() => process.exit(status));
  });
}

main()
  .catch((error: Error) => {
    tell('');
    console.error(error.message);
    process.exitCode = 1;
  })
  .finally(() => void cleanUp());
