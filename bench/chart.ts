import * as echarts from 'echarts';
import type { Results } from './plan';
import { summary } from './report';

const COLOURS = { ours: '#2563eb', builtIn: '#f59e0b', floor: '#6b7280' };

/**
 * Refreshes per second by table size, for the documentation: on white, so that it is also readable in dark mode.
 *
 * @returns an SVG
 */
export function chart({ comparisons, databaseVersion }: Results): string {
  const refreshes = comparisons.filter(
    ({ name, connections, sides }) =>
      name === 'refresh' && connections === 8 && sides[1].name === 'built-in'
  );
  const floor = comparisons.find(({ name }) => name === 'refresh and a no-op');
  const series = (side: 0 | 1) =>
    refreshes.map(({ sides }) => Number(summary(sides[side]).perSecond.toPrecision(3)));

  const bars = { type: 'bar', barMaxWidth: 70, label: { show: true, position: 'top' } } as const;
  const view = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 760, height: 400 });
  view.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    color: [COLOURS.builtIn, COLOURS.ours],
    title: {
      text: 'Refreshes a second, by the number of sessions in the table',
      subtext: `${databaseVersion}, 8 at a time; logarithmic`,
      left: 'center',
    },
    // Without a browser, text widths are estimates.
    legend: { bottom: 0, itemGap: 60 },
    grid: { left: 60, right: 90, top: 80, bottom: 60 },
    xAxis: {
      type: 'category',
      data: refreshes.map(({ sessions }) => sessions.toLocaleString('en')),
    },
    yAxis: { type: 'log', min: 0.1, startValue: 0.1 },
    series: [
      { ...bars, name: "Strapi's own refresh mode", data: series(1) },
      {
        ...bars,
        name: 'this folder',
        label: { show: true, position: 'insideTop', color: '#ffffff' },
        data: series(0),
        markLine: floor && {
          symbol: 'none',
          lineStyle: { color: COLOURS.floor },
          label: { formatter: 'a route that\ndoes nothing:\n{c}' },
          data: [{ yAxis: Number(summary(floor.sides[1]).perSecond.toPrecision(3)) }],
        },
      },
    ],
  });
  const svg = view.renderToSVGString();
  // Its timers would keep the process alive.
  view.dispose();
  return svg;
}
