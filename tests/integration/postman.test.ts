import { spawnSync } from 'child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'fs';
import { tmpdir } from 'os';
import path from 'path';
import { startDemo } from '../support/demo';
import { addedRoutes } from '../support/routes';

const ROOT = path.resolve(__dirname, '../..');
const FILE = path.join(ROOT, 'postman/refresh-token.postman_collection.json');
const ENVIRONMENT = path.join(ROOT, 'postman/refresh-token.postman_environment.json');

interface Request {
  name: string;
  request: { method: string; url: { path: string[] }; description: string };
  event: { listen: string; script: { exec: string[] } }[];
}
const collection = JSON.parse(readFileSync(FILE, 'utf8'));
const requests: Request[] = collection.item.flatMap(({ item }: { item: Request[] }) => item);
const pathOf = ({ request }: Request) => `/${request.url.path.join('/')}`;

let demo: Awaited<ReturnType<typeof startDemo>>;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'postman-'));
  demo = await startDemo();
});
afterAll(async () => {
  await demo?.stop();
  rmSync(folder, { recursive: true });
});

/** Imports the collection and the environment, and runs it. */
function run(file: string) {
  const report = path.join(folder, 'report.json');
  const { status } = spawnSync(
    path.join(ROOT, 'node_modules/.bin/newman'),
    [
      ...['run', file, '--environment', ENVIRONMENT, '--env-var', `baseUrl=${demo.url}`],
      ...['--reporters', 'json', '--reporter-json-export', report],
    ],
    { env: { PATH: process.env.PATH } }
  );
  const { stats, failures } = JSON.parse(readFileSync(report, 'utf8')).run;
  const failed = failures.map(({ source, error }: any) => `${source.name}: ${error.message}`);
  return { status, requests: stats.requests.total, failed };
}

describe('The Postman collection', () => {
  test('runs unchanged, and all its tests pass', () => {
    expect(run(FILE)).toEqual({ status: 0, requests: requests.length, failed: [] });
  });

  test('can be run again immediately', () => {
    expect(run(FILE)).toMatchObject({ status: 0, failed: [] });
  });

  test('fails if a response is different', () => {
    const wrong = readFileSync(FILE, 'utf8').replaceAll('refresh_token_reused', 'session_ended');
    const file = path.join(folder, 'wrong.json');
    writeFileSync(file, wrong);
    const { status, failed } = run(file);
    expect(status).toBe(1);
    expect(failed).toEqual([expect.stringContaining('A thief replays the first token')]);
  });

  test('calls every route of the extension, and checks every response', () => {
    const routes = addedRoutes();
    const called = requests.map(
      (one) => `${one.request.method} ${pathOf(one).replace(/\{\{(\w+)\}\}/, ':id')}`
    );
    const expected = routes.map(([method, at]) => `${method} ${at.replace(/:\w+/, ':id')}`);
    expect(expected.length).toBeGreaterThan(12);
    expect(called).toEqual(expect.arrayContaining(expected));

    for (const { request, event } of requests) {
      expect(request.description).toBeTruthy();
      expect(event.find(({ listen }) => listen === 'test')!.script.exec.join()).toContain(
        'have.status'
      );
    }
  });

  test('stays below Strapi’s limit of sign-ins per minute', () => {
    const signIns = requests.filter((one) => /^\/auth\/(local|token\/request)$/.test(pathOf(one)));
    expect(signIns.length).toBeLessThanOrEqual(10);
  });
});
