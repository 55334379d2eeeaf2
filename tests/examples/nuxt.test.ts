/// <reference lib="dom" />
import { get } from 'http';
import type { ServerResponse } from 'http';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { launch } from '../browser/browser';
import { createSite, PASSWORD } from '../faults/processes';
import type { Process, Site } from '../faults/processes';
import { freePort } from '../support/port';
import { createExample } from './example';
import type { Example } from './example';
import { createGateway } from './gateway';
import type { Gateway } from './gateway';
import { asks, clickOn, complaintsOf, expectNoReuse, newUser, shows, signIn } from './pages';

/** `examples/nuxt`, built and started by Node 22. Strapi is behind a gateway that can fail. */

const NODE_22 = ['--yes', '--package', 'node@22.23.3', '--', 'node'];
const DEVICES = 'GET /api/users/me/sessions';

const PROVIDER = 'https://provider.test/authorize?state=x';

/** Strapi has no provider here. */
const redirect = (response: ServerResponse) => {
  const cookies = ['one=1; Path=/', 'two=2; Path=/'];
  response.writeHead(302, { location: PROVIDER, 'set-cookie': cookies }).end();
};

/** Strapi's response after a visit to the provider: that of a sign-in, here with a password. */
const finish = async (response: ServerResponse) => {
  const { username } = await newUser(strapi);
  const answer = await fetch(`${strapi.url}/api/auth/local`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ identifier: username, password: PASSWORD }),
  });
  response.writeHead(answer.status, {
    'content-type': 'application/json',
    'set-cookie': answer.headers.getSetCookie(),
  });
  response.end(await answer.text());
};

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
  gateway = await createGateway(strapi.url, {
    '/api/connect/house': redirect,
    '/api/auth/house/callback': finish,
  });
  const build = ['node_modules/nuxt/bin/nuxt.mjs', 'build'];
  await example.run('npx', [...NODE_22, ...build]);
  const port = await freePort();
  url = `http://localhost:${port}`;
  await example.start(url, 'npx', [...NODE_22, '.output/server/index.mjs'], {
    HOST: '127.0.0.1',
    PORT: String(port),
    NUXT_STRAPI_URL: gateway.url,
  });
});
afterAll(async () => {
  await browser?.close();
  await example?.remove();
  await gateway?.stop();
  await site?.end();
});

let context: BrowserContext;
let page: Page;
let complaints: string[];
beforeEach(async () => {
  context = await browser.newContext();
  page = await context.newPage();
  gateway.asked.length = 0;
  complaints = complaintsOf(page);
});
afterEach(async () => {
  gateway.reset();
  await context.close();
  expect(complaints).toEqual([]);
  await expectNoReuse(strapi);
});

async function signedIn() {
  const user = await newUser(strapi);
  await page.goto(url);
  await signIn(page, user.username);
  gateway.asked.length = 0;
  return user;
}

test('The server renders a page as loading, and asks Strapi nothing', async () => {
  const { username } = await signedIn();
  const html = await (await page.goto(url))!.text();
  expect(html).toContain('Loading …');
  expect(html).not.toContain(username);
  await shows(page, username);
  expect(gateway.asked).toEqual([
    'POST /api/token/refresh 200',
    'GET /api/users/me 200',
    `${DEVICES} 200`,
  ]);
});

test('A visitor sees the form, and nothing is requested', async () => {
  await page.goto(url);
  await asks(page);
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
    await clickOn(page, 'Update');
    await answered;
    await shows(page, username);
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
  await shows(second, username);
  await clickOn(second, 'Sign out');
  await asks(page);
  await page.reload();
  await asks(page);
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
    await clickOn(page, 'Try again');
    await shows(page, username);
  }
);

test('An untrusted page cannot use the cookie through the proxy', async () => {
  await signedIn();
  for (const site of ['cross-site', 'same-site']) {
    const headers = { 'Sec-Fetch-Site': site, Origin: 'http://evil.test' };
    const response = await fetch(`${url}/api/token/refresh`, { method: 'POST', headers });
    expect(response.status).toBe(403);
  }
});

test('The page to which a social sign-in leads shows who is signed in, and Back does not repeat it', async () => {
  await page.goto(url);
  await asks(page);
  await page.goto(`${url}/connect/house/redirect`);
  await page.getByText('(this browser)').waitFor();
  expect(page.url()).toBe(`${url}/`);
  await page.goBack();
  await page.getByText('(this browser)').waitFor();
  expect(page.url()).toBe(`${url}/`);
});

test.each([
  ['?error=access_denied&error_description=You+declined', 'You declined'],
  ['?error=access_denied', 'access_denied'],
  ['', 'This browser did not come back from the provider'],
])(
  'A social sign-in that ends with "%s" shows the reason, and leads to the form',
  async (query, reason) => {
    await page.goto(`${url}/connect/github/redirect${query}`);
    await page.getByText(reason).waitFor();
    await page.getByRole('link', { name: 'Sign in another way' }).click();
    await asks(page);
  }
);

test('A social sign-in cannot be finished by opening its callback as a page', async () => {
  const response = await fetch(`${url}/api/auth/github/callback`, {
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
