import { execFileSync } from 'child_process';
import { readFileSync } from 'fs';
import path from 'path';

const ROOT = path.join(__dirname, '../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

test('The page of Strapi releases shows the last results, and the README names only releases that pass', () => {
  const script = path.join(ROOT, 'tests/strapi-versions/index.mjs');
  const tables = execFileSync(process.execPath, [script, '--table'], { encoding: 'utf8' });
  const page = read('docs/strapi-releases.md');
  expect(page.slice(page.indexOf('| Strapi |'))).toBe(tables);

  const results: { strapi: string; failed: string[] }[] = JSON.parse(
    read('tests/strapi-versions/results.json')
  );
  const passing = results.filter(({ failed }) => failed.length === 0).map(({ strapi }) => strapi);
  const named = /API tests pass on (\S+), (\S+) and\s\[(\d+) releases between them\]/;
  const [, oldest, newest, others] = named.exec(read('README.md'))!;
  expect(passing).toEqual(expect.arrayContaining([oldest, newest]));
  expect(passing).toHaveLength(2 + Number(others));
});
