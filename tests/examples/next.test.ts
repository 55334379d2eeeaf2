import { freePort } from '../support/port';
import { createExample } from './example';
import type { Example } from './example';

/** `examples/next`, built and started as in production. */

let example: Example;
let url: string;
beforeAll(async () => {
  example = await createExample('next');
  await example.run('npm', ['run', 'build']);
  const port = await freePort();
  url = `http://localhost:${port}`;
  await example.start(url, 'npm', ['run', 'start', '--', '--port', String(port)]);
});
afterAll(() => example?.remove());

test('The page is served', async () => {
  const response = await fetch(url);
  expect(response.status).toBe(200);
  expect(await response.text()).toContain('Home');
});
