/// <reference lib="dom" />
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

/** `examples/vite-react` as it is built for production, on another port than Strapi, which is behind a gateway that can fail. */

const REFRESH = 'POST /api/token/refresh 200';
const ME = 'GET /api/users/me 200';
const DEVICES = 'GET /api/users/me/sessions';

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
    createExample('vite-react', ['react.ts']),
  ]);
  strapi = await site.start({ env: { NODE_ENV: 'development' } });
  gateway = await createGateway(strapi.url);
  const settings = { VITE_STRAPI_URL: gateway.url.replace('127.0.0.1', 'localhost') };
  await example.run('npm', ['run', 'build'], settings);
  const port = await freePort();
  url = `http://localhost:${port}`;
  await example.start(url, 'npm', ['run', 'preview', '--', '--port', String(port), '--strictPort']);
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
  // Responses of the gateway itself have no CORS headers.
  complaints = complaintsOf(page, /^(Failed to load resource|Access to fetch at)/);
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

/** Waits for the list of devices. */
const listAnswered = () =>
  page.waitForResponse(
    (response) => response.url().endsWith('/users/me/sessions') && response.ok()
  );

/** The requests so far. Preflights depend on what the browser remembers. */
const asked = () => gateway.asked.filter((line) => !line.startsWith('OPTIONS'));

test('A visitor sees the form, and nothing is requested', async () => {
  await page.goto(url);
  await asks(page);
  expect(asked()).toEqual([]);
});

test('A wrong password shows the reason, and a right one signs in', async () => {
  const { username } = await newUser(strapi);
  await page.goto(url);
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password').fill('wrong horse 2');
  await clickOn(page, 'Sign in');
  await page.getByRole('alert').filter({ hasText: 'Invalid identifier or password' }).waitFor();
  await signIn(page, username);
});

test('After a reload, one refresh is enough for everything on the page', async () => {
  const { username } = await signedIn();
  await page.reload();
  await shows(page, username);
  expect(asked()).toEqual([REFRESH, ME, `${DEVICES} 200`]);
});

test('A 401 is followed by a refresh, and the query succeeds', async () => {
  const { username } = await signedIn();
  const start = Date.now();
  try {
    // The access token lives six minutes.
    await strapi.ask('setClock', start + 400_000);
    const answered = listAnswered();
    await clickOn(page, 'Update');
    await answered;
    await shows(page, username);
    expect(asked()).toEqual([`${DEVICES} 401`, REFRESH, `${DEVICES} 200`]);
  } finally {
    await strapi.ask('setClock', null as never);
  }
});

test('A page that is offline keeps its session, and updates when it is back online', async () => {
  const { username } = await signedIn();
  await context.setOffline(true);
  await clickOn(page, 'Update');
  await page.getByText('You are offline.').waitFor();
  await shows(page, username);
  expect(asked()).toEqual([]);

  const answered = listAnswered();
  await context.setOffline(false);
  await page.getByText('You are offline.').waitFor({ state: 'hidden' });
  await answered;
  await shows(page, username);
});

test.each([503, 'dropped'] as const)(
  'While Strapi answers %s, a reloaded page shows neither signed in nor out, and recovers',
  async (failure) => {
    const { username } = await signedIn();
    gateway.fail(failure);
    await page.reload();
    await page.getByText('The server cannot be reached.').waitFor();
    await clickOn(page, 'Try again');
    await page.getByText('The server cannot be reached.').waitFor();
    gateway.fail(null);
    await clickOn(page, 'Try again');
    await shows(page, username);
  }
);

test('A sign-out that does not reach the server says so, and can be repeated', async () => {
  await signedIn();
  gateway.fail('dropped');
  await clickOn(page, 'Sign out');
  await asks(page);
  await page.getByRole('alert').filter({ hasText: 'could not be reached' }).waitFor();
  gateway.fail(null);
  await clickOn(page, 'Sign out again');
  await page.getByRole('alert').waitFor({ state: 'hidden' });
  expect(asked()).toEqual(['POST /api/token/revoke 200']);
  await page.reload();
  await asks(page);
});

test('Two tabs share one session, its refresh and its end', async () => {
  const { username } = await signedIn();
  const second = await context.newPage();
  await second.goto(url);
  await shows(second, username);
  await clickOn(second, 'Sign out');
  await asks(page);
  await asks(second);
  expect(await page.getByRole('alert').count()).toBe(0);

  const other = await newUser(strapi);
  await signIn(page, other.username);
  await shows(second, other.username);
});

test('Another user’s sign-in in a second tab leaves nothing of the first user', async () => {
  await signedIn();
  const second = await context.newPage();
  await second.goto(url);
  const other = await newUser(strapi);
  // As on another front end of the same API.
  await second.evaluate(
    async ([api, identifier, password]) => {
      await fetch(`${api}/api/auth/local`, {
        method: 'POST',
        credentials: 'include',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ identifier, password }),
      });
    },
    [gateway.url.replace('127.0.0.1', 'localhost'), other.username, PASSWORD]
  );
  await clickOn(page, 'Update');
  await shows(page, other.username);
  await shows(second, other.username);
  expect(await page.getByRole('listitem').count()).toBe(1);
});

test('The page lists the devices, and can sign out the others', async () => {
  const { id, username } = await signedIn();
  await strapi.ask('signIn', id);
  await clickOn(page, 'Update');
  await page.waitForFunction(() => document.querySelectorAll('li').length === 2);
  await clickOn(page, 'Sign out everywhere else');
  await page.waitForFunction(() => document.querySelectorAll('li').length === 1);
  await shows(page, username);
});

test('When the session is ended elsewhere, the page says why', async () => {
  const { id } = await signedIn();
  await strapi.ask('signOut', { userId: id });
  await clickOn(page, 'Update');
  await page.getByText('You were signed out on another device').waitFor();
  await asks(page);
});
