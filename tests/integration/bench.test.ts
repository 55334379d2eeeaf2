import { execFile } from 'child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'fs';
import { tmpdir } from 'os';
import path from 'path';
import { promisify } from 'util';

const ROOT = path.resolve(__dirname, '../..');

const bench = (...options: string[]) =>
  promisify(execFile)(process.execPath, [path.join(ROOT, 'dist/bench/index.js'), ...options], {
    cwd: ROOT,
    env: { PATH: process.env.PATH },
  });

test('npm run bench measures everything, writes its results and its chart, and cleans up', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-'));
  const [json, chart] = [path.join(folder, 'all.json'), path.join(folder, 'chart.svg')];
  const size = [
    '--sessions',
    '100',
    '--rounds',
    '1',
    '--seconds',
    '0.2',
    '--refreshes',
    '20',
    '--soak',
    '100',
  ];
  try {
    const { stdout } = await bench(...size, '--json', json, '--chart', chart);
    const all = JSON.parse(readFileSync(json, 'utf8'));
    const { comparisons, figures, soak, versions, machine } = all;

    expect(
      comparisons.map((of: any) => `${of.name}, ${of.connections}: ${of.sides[1].name}`)
    ).toEqual([
      'refresh, 1: built-in',
      'refresh, 8: built-in',
      'refresh, 32: built-in',
      'refresh and a no-op, 8: no-op',
      'refresh, then GET /users/me, 8: built-in',
      'GET /users/me, 8: stock',
      'sign-in, 2: stock',
      'sign-out, 8: built-in',
    ]);
    for (const { medians, ratio } of comparisons) {
      for (const figure of Object.values({ ...medians[0], ...medians[1], ...ratio })) {
        expect(figure).toBeGreaterThan(0);
      }
    }
    expect(figures.map(({ unit }: any) => unit)).toEqual(['rows', 'MB', 'ms']);
    expect(figures[0].values).toEqual({ extension: 1, 'built-in': 21 });
    expect(soak).toMatchObject({ sessions: 100, refreshes: 100 });
    expect([soak.heap, soak.rss].map((values) => values.length)).toEqual([10, 10]);
    expect(versions).toMatchObject({ node: process.version, '@strapi/strapi': '5.54.0' });
    expect(machine.cores).toBeGreaterThan(0);
    expect(stdout).toMatch(/sign-out[^]*100 refreshes of 100 sessions/);
    expect(readFileSync(chart, 'utf8')).toMatch(/^<svg/);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 900_000);

test('npm run bench fails with the reason when a server returns anything unexpected', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-'));
  const script = path.join(folder, 'refuse.cjs');
  writeFileSync(
    script,
    `const { ServerResponse } = require('http');
     const { end } = ServerResponse.prototype;
     ServerResponse.prototype.end = function (...args) {
       if (this.req.url === '/api/token/refresh') this.statusCode = 503;
       return end.apply(this, args);
     };`
  );
  try {
    const size = ['--sessions', '10', '--rounds', '1', '--seconds', '0.1'];
    await expect(bench(...size, `--node-options=--require ${script}`)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('POST /api/token/refresh returned 503'),
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 900_000);

test('npm run bench reports an invalid option in one line', async () => {
  await expect(bench('--database', 'oracle')).rejects.toMatchObject({
    code: 1,
    stderr: '--database oracle: expected one of sqlite, postgres, mysql\n',
  });
});
