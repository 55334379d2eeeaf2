/// <reference lib="dom" />
import { createServer, get } from 'http';
import type { AddressInfo } from 'net';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { launch } from '../browser/browser';
import { proxyTo } from './hosts';
import { createSite, PASSWORD } from '../faults/processes';
import type { Process, Site } from '../faults/processes';
import { freePort } from '../support/port';
import { createExample } from './example';
import type { Example } from './example';
import { createGateway } from './gateway';
import type { Gateway } from './gateway';

/** `examples/nuxt`, built and started by Node 22. Strapi is behind a gateway that can fail. */

const NODE_22 = ['--yes', '--package', 'node@22.23.3', '--', 'node'];
const DEVICES = 'GET /api/users/me/sessions';

const PROVIDER = 'https://provider.test/authorize?state=x';

/** Strapi has no provider here, so this answers in its place. The rest goes to the gateway. */
const server = createServer((request, response) => {
  if (request.url !== '/api/connect/house') return proxyTo(gateway.url)(request, response);
  const cookies = ['one=1; Path=/', 'two=2; Path=/'];
  return response.writeHead(302, { location: PROVIDER, 'set-cookie': cookies }).end();
});

let example: Example;
let browser: Browser;
let site: Site;
let strapi: Process;
let gateway: Gateway;
let url: string;
beforeAll(async () => {
  [browser, site, example] = await Promise.all([
    launch(),
    createSite(),
    createExample('nuxt', ['vue.ts']),
  ]);
  strapi = await site.start({
    env: { NODE_ENV: 'production', REFRESH_COOKIE_SECURE: 'false', TRUST_PROXY: 'true' },
  });
  gateway = await createGateway(strapi.url);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const strapiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const build = ['node_modules/nuxt/bin/nuxt.mjs', 'build'];
  await example.run('npx', [...NODE_22, ...build]);
  const port = await freePort();
  url = `http://localhost:${port}`;
  await example.start(url, 'npx', [...NODE_22, '.output/server/index.mjs'], {
    HOST: '127.0.0.1',
    PORT: String(port),
    NUXT_STRAPI_URL: strapiUrl,
  });
});
afterAll(async () => {
  await browser?.close();
  await example?.remove();
  server.close();
  server.closeAllConnections();
  await gateway?.stop();
  await site?.end();
});

let context: BrowserContext;
let page: Page;
/** What the browser's console calls an error or a warning, such as a failed hydration, except for failed responses. */
let complaints: string[];
beforeEach(async () => {
  context = await browser.newContext();
  page = await context.newPage();
  gateway.asked.length = 0;
  complaints = [];
  page.on('pageerror', ({ message }) => complaints.push(message));
  page.on('console', (message) => {
    const isResponse = message.text().startsWith('Failed to load resource');
    if (['error', 'warning'].includes(message.type()) && !isResponse) {
      complaints.push(message.text());
    }
  });
});
afterEach(async () => {
  gateway.fail(null);
  await context.close();
  expect(complaints).toEqual([]);
  const log = await strapi.ask('log');
  expect(log.filter((line) => line.includes('reuse of a refresh token'))).toEqual([]);
});

let users = 0;
async function newUser() {
  users += 1;
  const username = `user-${users}`;
  const fields = { username, email: `${username}@test.local`, password: PASSWORD };
  return { username, id: await strapi.ask('user', fields) };
}

const clickOn = (name: string, on = page) => on.getByRole('button', { name, exact: true }).click();
const asks = (on = page) => on.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
const shows = async (username: string, on = page) => {
  await on.getByRole('heading', { name: `Signed in as ${username}`, exact: true }).waitFor();
  await on.getByText('(this browser)').waitFor();
};

async function signedIn() {
  const user = await newUser();
  await page.goto(url);
  await page.getByLabel('User name').fill(user.username);
  await page.getByLabel('Password').fill(PASSWORD);
  await clickOn('Sign in');
  await shows(user.username);
  gateway.asked.length = 0;
  return user;
}

test('The server renders a page as loading, and asks Strapi nothing', async () => {
  const { username } = await signedIn();
  const html = await (await page.goto(url))!.text();
  expect(html).toContain('Loading …');
  expect(html).not.toContain(username);
  await shows(username);
  expect(gateway.asked).toEqual([
    'POST /api/token/refresh 200',
    'GET /api/users/me 200',
    `${DEVICES} 200`,
  ]);
});

test('A visitor sees the form, and nothing is requested', async () => {
  await page.goto(url);
  await asks();
  expect(gateway.asked).toEqual([]);
});

test('A 401 is followed by a refresh through the proxy, which passes both cookies on', async () => {
  const { username } = await signedIn();
  try {
    // The access token lives six minutes.
    await strapi.ask('setClock', Date.now() + 400_000);
    const answered = page.waitForResponse(
      (response) => response.url().endsWith('/users/me/sessions') && response.ok()
    );
    await clickOn('Update');
    await answered;
    await shows(username);
    expect(gateway.asked).toEqual([
      `${DEVICES} 401`,
      'POST /api/token/refresh 200',
      `${DEVICES} 200`,
    ]);
  } finally {
    await strapi.ask('setClock', null as never);
  }
});

test('A sign-out in one tab also shows in the other', async () => {
  const { username } = await signedIn();
  const second = await context.newPage();
  await second.goto(url);
  await shows(username, second);
  await clickOn('Sign out', second);
  await asks();
  await page.reload();
  await asks();
  const names = (await context.cookies()).map(({ name }) => name);
  expect(names).not.toContain('refreshToken');
});

test.each([503, 'dropped'] as const)(
  'While Strapi answers %s, the page shows neither signed in nor out, and recovers',
  async (failure) => {
    const { username } = await signedIn();
    gateway.fail(failure);
    await page.reload();
    await page.getByText('The server cannot be reached.').waitFor();
    gateway.fail(null);
    await clickOn('Try again');
    await shows(username);
  }
);

test('A foreign page cannot use the cookie through the proxy', async () => {
  await signedIn();
  for (const site of ['cross-site', 'same-site']) {
    const headers = { 'Sec-Fetch-Site': site, Origin: 'http://evil.test' };
    const response = await fetch(`${url}/api/token/refresh`, { method: 'POST', headers });
    expect(response.status).toBe(403);
  }
});

test('A social sign-in cannot be finished by opening its callback as a page', async () => {
  const response = await fetch(`${url}/api/auth/house/callback`, {
    headers: { Accept: 'text/html' },
  });
  expect([response.status, await response.text()]).toEqual([
    403,
    expect.stringContaining('Request it from your front end with fetch'),
  ]);
});

test('Over plain http, where browsers send no Sec-Fetch-Site, only its own pages can use the cookie', async () => {
  for (const [origin, status] of [
    [url, 400],
    ['http://evil.test', 403],
  ] as const) {
    const headers = { Origin: origin };
    const response = await fetch(`${url}/api/token/refresh`, { method: 'POST', headers });
    expect([origin, response.status]).toEqual([origin, status]);
  }
});

test('Nothing but /api is passed on', async () => {
  const { hostname, port } = new URL(url);
  const status = await new Promise((resolve, reject) => {
    // Not fetch, which would resolve the path itself.
    get({ hostname, port, path: '/api/%2e%2e/_health' }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).on('error', reject);
  });
  expect(status).toBe(404);
  expect(gateway.asked).toEqual([]);
});

test('A redirect to a provider is for the browser', async () => {
  const response = await fetch(`${url}/api/connect/house`, { redirect: 'manual' });
  expect([response.status, response.headers.get('location')]).toEqual([302, PROVIDER]);
  expect(response.headers.getSetCookie()).toEqual(['one=1; Path=/', 'two=2; Path=/']);
});
