/** `npm run bench:table -- FILE…`: prints the figures for the documentation, from the `--json` output of a run on each database. */
import { readFileSync } from 'fs';
import type { Comparison, Results } from './plan';
import { growth, ratio, summary } from './report';

type Run = Results & { options: { sessions: number[] } };

const NAMES: Record<string, string> = {
  sqlite: 'SQLite',
  postgres: 'PostgreSQL',
  mysql: 'MariaDB',
};

const rounded = (value: number) =>
  value >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));

/** Finds one comparison of a run, by its name, its table size and the other server. */
const find = (run: Run, name: string, sessions: number, other?: string): Comparison | undefined =>
  run.comparisons.find(
    (one) =>
      one.name === name &&
      one.sessions === sessions &&
      (name !== 'refresh' || one.connections === 8) &&
      (!other || one.sides[1].name === other)
  );

type Row = [string, (run: Run) => string];

const side = (index: 0 | 1, figure: 'perSecond' | 'cpu') => (comparison?: Comparison) => {
  if (!comparison) return '';
  const value = summary(comparison.sides[index])[figure];
  return rounded(figure === 'cpu' ? value / 1000 : value);
};
const times = (comparison?: Comparison) => (comparison ? rounded(ratio(comparison).median) : '');
const range = (comparison?: Comparison) => {
  if (!comparison) return '';
  const { median, lowest, highest } = ratio(comparison);
  return `${rounded(median)} (${rounded(lowest)}–${rounded(highest)})`;
};
const p50 = (comparison?: Comparison) => (comparison ? rounded(ratio(comparison).p50) : '');

const rows = (sizes: number[]): Row[] => {
  const [least] = sizes;
  const most = sizes[sizes.length - 1];
  const floor = (run: Run) => find(run, 'refresh and a no-op', least);
  const me = (run: Run) => find(run, 'GET /users/me', least);
  const bySize = sizes.flatMap((size): Row[] => {
    const compared = (run: Run) => find(run, 'refresh', size, 'built-in');
    const at = `${size.toLocaleString('en')} sessions`;
    return [
      [`refreshes a second, ${at}`, (run) => side(0, 'perSecond')(compared(run))],
      [`Strapi's refresh mode, ${at}`, (run) => side(1, 'perSecond')(compared(run))],
      [`ratio (lowest and highest round), ${at}`, (run) => range(compared(run))],
    ];
  });
  return [
    ...bySize,
    [
      `p50 with ${most.toLocaleString('en')} sessions, as a multiple of that with ${least.toLocaleString('en')}`,
      (run) => p50(find(run, 'refresh', most, `itself with ${least}`)),
    ],
    ['throughput of a refresh, as a multiple of a no-op route', (run) => range(floor(run))],
    ['`GET /users/me`, as a multiple of stock Strapi', (run) => range(me(run))],
    ['sign-in, as a multiple of stock Strapi', (run) => range(find(run, 'sign-in', least))],
    [
      "sign-out, as a multiple of Strapi's refresh mode",
      (run) => times(find(run, 'sign-out', least)),
    ],
    ['CPU time of a refresh, ms', (run) => side(0, 'cpu')(floor(run))],
    ['CPU time of a no-op route, ms', (run) => side(1, 'cpu')(floor(run))],
    ['CPU time of `GET /users/me`, ms', (run) => side(0, 'cpu')(me(run))],
    ['CPU time of `GET /users/me` in stock Strapi, ms', (run) => side(1, 'cpu')(me(run))],
    [
      'heap after 200,000 refreshes, growth after the first tenth',
      ({ soak }) => (soak ? `${(growth(soak) * 100).toFixed(1)} %` : ''),
    ],
    [
      'memory of the process meanwhile, MB',
      ({ soak }) =>
        soak ? `${Math.min(...soak.rss).toFixed(0)}–${Math.max(...soak.rss).toFixed(0)}` : '',
    ],
  ];
};

const runs = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file, 'utf8')) as Run);
if (runs.length === 0) {
  console.error('npm run bench:table -- FILE… (each from npm run bench -- --json FILE)');
  process.exit(2);
}
const titles = runs.map(({ databaseVersion }) => {
  const [client, version] = databaseVersion.split(' ');
  return `${NAMES[client]} ${version.match(/[\d.]+/)![0]}`;
});
console.log(`| | ${titles.join(' | ')} |`);
console.log(`| --- |${' ---: |'.repeat(runs.length)}`);
for (const [name, cell] of rows(runs[0].options.sessions)) {
  console.log(`| ${name} | ${runs.map(cell).join(' | ')} |`);
}
