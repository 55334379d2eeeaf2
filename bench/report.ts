/** The table that is printed at the end. */
import Table from 'cli-table3';
import { median } from './plan';
import type { Comparison, Figure, Results, Rounds } from './plan';
import type { Round } from './load';

const count = (value: number) =>
  value >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));

/** The medians of a side's rounds. */
export const summary = ({ rounds }: Rounds): Omit<Round, 'operations'> => {
  const of = (figure: keyof Round) => median(rounds.map((round) => round[figure]));
  return { perSecond: of('perSecond'), p50: of('p50'), p99: of('p99'), cpu: of('cpu') };
};

/** Throughput of the first side as a multiple of the second's, round by round. */
export function ratio({ sides: [ours, others] }: Comparison) {
  const ratios = ours.rounds.map(({ perSecond }, n) => perSecond / others.rounds[n].perSecond);
  return { median: median(ratios), lowest: Math.min(...ratios), highest: Math.max(...ratios) };
}

/** All that was measured, a row each. */
export function report({ comparisons, figures }: Results): string {
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
    ],
    colAligns: [
      'left',
      'right',
      'right',
      'right',
      'right',
      'right',
      'right',
      'left',
      'right',
      'right',
      'right',
      'right',
      'right',
      'right',
    ],
  });
  for (const comparison of comparisons) {
    const { name, sessions, connections, sides } = comparison;
    const { median: middle, lowest, highest } = ratio(comparison);
    table.push([
      name,
      count(sessions),
      connections,
      ...cells(sides[0]),
      sides[1].name,
      ...cells(sides[1]),
      `${count(middle)} x`,
      `${count(lowest)}–${count(highest)}`,
    ]);
  }
  for (const figure of figures) table.push(...figureRows(figure));
  return table.toString();
}

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
  ]);
}
