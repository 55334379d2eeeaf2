/** The table printed at the end. */
import Table from 'cli-table3';
import { median } from './plan';
import type { Comparison, Figure, Results, Rounds, Soak } from './plan';
import type { Round } from './load';

const count = (value: number) =>
  value >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));

/** The medians of one server's rounds. */
export const summary = ({ rounds }: Rounds): Omit<Round, 'operations'> => {
  const of = (figure: keyof Round) => median(rounds.map((round) => round[figure]));
  return { perSecond: of('perSecond'), p50: of('p50'), p99: of('p99'), cpu: of('cpu') };
};

/** Throughput and p50 of the first server as a multiple of the second's, round by round. */
export function ratio({ sides: [ours, others] }: Comparison) {
  const ratios = (figure: 'perSecond' | 'p50') =>
    ours.rounds.map((round, n) => round[figure] / others.rounds[n][figure]);
  const throughput = ratios('perSecond');
  return {
    median: median(throughput),
    lowest: Math.min(...throughput),
    highest: Math.max(...throughput),
    p50: median(ratios('p50')),
  };
}

/** All results, one per row. */
export function report({ comparisons, figures, soak }: Results): string {
  const table = new Table({
    style: { head: [], border: [], compact: true },
    head: [
      '',
      'sessions',
      'at once',
      ...SIDE.map((column) => `ours: ${column}`),
      'beside',
      ...SIDE,
      'ratio',
      'spread',
      'p50 ratio',
    ],
    colAligns: ['left', ...right(2 + SIDE.length), 'left', ...right(SIDE.length + 3)],
  });
  for (const comparison of comparisons) {
    const { name, sessions, connections, sides } = comparison;
    const { median: middle, lowest, highest, p50 } = ratio(comparison);
    table.push([
      name,
      count(sessions),
      connections,
      ...cells(sides[0]),
      sides[1].name,
      ...cells(sides[1]),
      `${count(middle)} x`,
      `${count(lowest)}–${count(highest)}`,
      `${count(p50)} x`,
    ]);
  }
  for (const figure of figures) table.push(...figureRows(figure));
  return [table.toString(), ...(soak ? [soakLine(soak)] : [])].join('\n');
}

/** @returns how much the heap grew after the first tenth, when caches are full: 0.1 for 10 % */
export const growth = ({ heap: [first = NaN, ...later] }: Soak): number =>
  Math.max(...later) / first - 1;

function soakLine(soak: Soak): string {
  const list = (values: number[]) => values.map((value) => value.toFixed(1)).join(', ');
  return [
    `${count(soak.refreshes)} refreshes of ${count(soak.sessions)} sessions, MB after each tenth:`,
    `  heap in use ${list(soak.heap)} (${(growth(soak) * 100).toFixed(1)} % after the first tenth)`,
    `  process ${list(soak.rss)}`,
  ].join('\n');
}

const right = (columns: number) => Array<'right'>(columns).fill('right');

const SIDE = ['per second', 'p50 ms', 'p99 ms', 'CPU ms'];

function cells(side: Rounds): string[] {
  const { perSecond, p50, p99, cpu } = summary(side);
  return [count(perSecond), count(p50 / 1000), count(p99 / 1000), count(cpu / 1000)];
}

function figureRows({ name, unit, values: { extension, ...others } }: Figure) {
  return Object.entries(others).map(([other, value]) => [
    { content: name, colSpan: 3 },
    { content: `${count(extension)} ${unit}`, colSpan: 4 },
    other,
    { content: `${count(value)} ${unit}`, colSpan: 4 },
    `${count(extension / value)} x`,
    '',
    '',
  ]);
}
