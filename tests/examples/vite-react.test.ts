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
/** What the browser's console calls an error, except for failed responses. Those of a gateway lack CORS headers. */
let complaints: string[];
beforeEach(async () => {
  context = await browser.newContext();
  page = await context.newPage();
  gateway.asked.length = 0;
  complaints = [];
  page.on('pageerror', ({ message }) => complaints.push(message));
  page.on('console', (message) => {
    const isResponse = /^(Failed to load resource|Access to fetch at)/.test(message.text());
    if (message.type() === 'error' && !isResponse) complaints.push(message.text());
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

async function signIn(username: string, on = page) {
  await on.getByLabel('User name').fill(username);
  await on.getByLabel('Password').fill(PASSWORD);
  await clickOn('Sign in', on);
  await shows(username, on);
}

async function signedIn() {
  const user = await newUser();
  await page.goto(url);
  await signIn(user.username);
  gateway.asked.length = 0;
  return user;
}

/** The requests so far. Preflights depend on what the browser remembers. */
const asked = () => gateway.asked.filter((line) => !line.startsWith('OPTIONS'));

test('A visitor sees the form, and nothing is requested', async () => {
  await page.goto(url);
  await asks();
  expect(asked()).toEqual([]);
});

test('A wrong password shows the reason, and a right one signs in', async () => {
  const { username } = await newUser();
  await page.goto(url);
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password').fill('wrong horse 2');
  await clickOn('Sign in');
  await page.getByRole('alert').filter({ hasText: 'Invalid identifier or password' }).waitFor();
  await signIn(username);
});

test('After a reload, one refresh is enough for everything on the page', async () => {
  const { username } = await signedIn();
  await page.reload();
  await shows(username);
  expect(asked()).toEqual([REFRESH, ME, `${DEVICES} 200`]);
});

test('A 401 is followed by a refresh, and the query succeeds', async () => {
  const { username } = await signedIn();
  const start = Date.now();
  try {
    // The access token lives six minutes.
    await strapi.ask('setClock', start + 400_000);
    const answered = page.waitForResponse(
      (response) => response.url().endsWith('/users/me/sessions') && response.ok()
    );
    await clickOn('Update');
    await answered;
    await shows(username);
    expect(asked()).toEqual([`${DEVICES} 401`, REFRESH, `${DEVICES} 200`]);
  } finally {
    await strapi.ask('setClock', null as never);
  }
});

test('A page that is offline keeps its session, and updates when it is back online', async () => {
  const { username } = await signedIn();
  await context.setOffline(true);
  await clickOn('Update');
  await page.getByText('You are offline.').waitFor();
  await shows(username);
  expect(asked()).toEqual([]);

  await context.setOffline(false);
  await page.getByText('You are offline.').waitFor({ state: 'hidden' });
  await shows(username);
  expect(asked()).toContain(`${DEVICES} 200`);
});

test.each([503, 'dropped'] as const)(
  'While Strapi answers %s, a reloaded page shows neither signed in nor out, and recovers',
  async (failure) => {
    const { username } = await signedIn();
    gateway.fail(failure);
    await page.reload();
    await page.getByText('The server cannot be reached.').waitFor();
    await clickOn('Try again');
    await page.getByText('The server cannot be reached.').waitFor();
    gateway.fail(null);
    await clickOn('Try again');
    await shows(username);
  }
);

test('A sign-out that does not reach the server says so, and can be repeated', async () => {
  await signedIn();
  gateway.fail('dropped');
  await clickOn('Sign out');
  await asks();
  await page.getByRole('alert').filter({ hasText: 'could not be reached' }).waitFor();
  gateway.fail(null);
  await clickOn('Sign out again');
  await page.getByRole('alert').waitFor({ state: 'hidden' });
  expect(asked()).toEqual(['POST /api/token/revoke 200']);
  await page.reload();
  await asks();
});

test('Two tabs share one session, its refresh and its end', async () => {
  const { username } = await signedIn();
  const second = await context.newPage();
  await second.goto(url);
  await shows(username, second);
  await clickOn('Sign out', second);
  await asks();
  await asks(second);
  expect(await page.getByRole('alert').count()).toBe(0);

  const other = await newUser();
  await signIn(other.username);
  await shows(other.username, second);
});

test('Another user’s sign-in in a second tab leaves nothing of the first user', async () => {
  await signedIn();
  const second = await context.newPage();
  await second.goto(url);
  const other = await newUser();
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
  await clickOn('Update');
  await shows(other.username);
  await shows(other.username, second);
  expect(await page.getByRole('listitem').count()).toBe(1);
});

test('The page lists the devices, and can sign out the others', async () => {
  const { id, username } = await signedIn();
  await strapi.ask('signIn', id);
  await clickOn('Update');
  await page.waitForFunction(() => document.querySelectorAll('li').length === 2);
  await clickOn('Sign out everywhere else');
  await page.waitForFunction(() => document.querySelectorAll('li').length === 1);
  await shows(username);
});

test('When the session is ended elsewhere, the page says why', async () => {
  const { id } = await signedIn();
  await strapi.ask('signOut', { userId: id });
  await clickOn('Update');
  await page.getByText('You were signed out on another device').waitFor();
  await asks();
});
