/**
 * `npm run bench`: compares this extension with Strapi's own `jwtManagement: 'refresh'` and with Strapi's defaults. Each
 * server has its own process and database. They are measured in turns, so that a busy machine affects all of them.
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
  --sessions 1000,100000,1000000     table sizes, default 1000
  --rounds 5                         per measurement
  --seconds 5                        per round
  --refreshes 1000                   how many before rows are counted
  --soak 0                           refreshes of 5,000 sessions while memory is recorded, such as 200000
  --only "refresh, 1000 sessions, 8" measure only what the progress shows under this name
  --json FILE                        write all results
  --chart FILE                       write the chart, an SVG
  --node-options="--cpu-prof"        for the server processes`;

/** @throws Error with a one-line message for the terminal */
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

/** The conditions of a run, so that runs can be compared. */
function versions(): Record<string, string> {
  const manifest = readFileSync(path.resolve(__dirname, '../../package.json'), 'utf8');
  const { version, dependencies } = JSON.parse(manifest);
  return { extension: version, node: process.version, ...dependencies };
}

const began = performance.now();

/** One line that is overwritten; in a file or a pipe, one line per step. */
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
    // Anything that fails from now on fails because of the interrupt.
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
