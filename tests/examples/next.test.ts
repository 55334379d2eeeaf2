/// <reference lib="dom" />
import { setTimeout as sleep } from 'timers/promises';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { launchWithBackForwardCache } from '../browser/browser';
import { createSite, PASSWORD } from '../faults/processes';
import type { Process, Site } from '../faults/processes';
import { freePort } from '../support/port';
import { createExample } from './example';
import type { Example, Running } from './example';
import { createGateway } from './gateway';
import type { Gateway } from './gateway';
import { newUser } from './pages';

/** `examples/next` in a browser. Strapi is behind a gateway that can fail. */

const REFRESH = '/api/token/refresh';

let example: Example;
let browser: Browser;
let site: Site;
beforeAll(async () => {
  [browser, site, example] = await Promise.all([
    launchWithBackForwardCache(),
    createSite(),
    createExample('next'),
  ]);
});
afterAll(async () => {
  await browser?.close();
  await example?.remove();
  await site?.end();
});

let strapi: Process;
let gateway: Gateway;
let next: Running;
let url: string;
/** The cookie of the access token, and the refresh cookie. */
let names: [access: string, refresh: string];

/** @param prefix of the cookies' names */
async function start(script: 'dev' | 'start', prefix: string) {
  names = [`${prefix}access-token`, `${prefix}refreshToken`];
  strapi = await site.start({
    env: { NODE_ENV: script === 'dev' ? 'development' : 'production', TRUST_PROXY: 'true' },
  });
  gateway = await createGateway(strapi.url);
  const port = await freePort();
  url = `http://localhost:${port}`;
  const command = ['run', script, '--', '--port', String(port)];
  next = await example.start(url, 'npm', command, { STRAPI_URL: gateway.url });
}
async function stop() {
  await next?.stop();
  await gateway?.stop();
  await strapi?.kill();
}

/** How many of them the log should report in the end. */
let reuses: number;
let context: BrowserContext;
let page: Page;
beforeEach(async () => {
  context = await browser.newContext();
  page = await context.newPage();
  reuses = await reusesInLog();
});
afterEach(async () => {
  gateway.reset();
  await context.close();
  expect(await reusesInLog()).toBe(reuses);
});

async function reusesInLog() {
  const log = await strapi.ask('log');
  return log.filter((line) => line.includes('reuse of a refresh token')).length;
}

/** @param from the page at which the visitor arrives */
async function fillIn(username: string, password: string, on = page, from = '/login') {
  await on.goto(url + from);
  await leaves(on);
  await on.getByLabel('User name').fill(username);
  await on.getByLabel('Password').fill(password);
}

async function signIn(username: string, on = page) {
  await fillIn(username, PASSWORD, on);
  await on.getByRole('button', { name: 'Sign in' }).click();
  await shows(username, on);
}

async function signedIn() {
  const user = await newUser(strapi);
  await signIn(user.username);
  gateway.asked.length = 0;
  return user;
}

/** The account page, when nothing is under way that could set another cookie: the browser's own request has its answer. */
async function shows(username: string, on = page) {
  await on.getByText(`Signed in as ${username}`, { exact: true }).waitFor();
  await on.getByRole('listitem').first().waitFor();
}
const leaves = (on = page) => on.waitForURL(({ pathname }) => pathname === '/login');

/** As if most of the access token's life had passed. */
const expireAccess = () => context.clearCookies({ name: names[0] });

const cookieNames = async () => (await context.cookies(url)).map(({ name }) => name).sort();

/** Moves Strapi's clock, which stands still from then on, beyond the grace period. */
let clock = 0;
async function pass(seconds: number) {
  clock = Math.max(clock, Date.now()) + seconds * 1000;
  await strapi.ask('setClock', clock);
}

/** Counts the refreshes of proxy.ts from now on. */
function watchProxy() {
  const refreshes = () =>
    gateway.askedByServers.filter((line) => line.startsWith(`POST ${REFRESH} `)).length;
  const before = refreshes();
  return () => refreshes() - before;
}

async function expectSignInRefreshAndSignOut() {
  const { username } = await newUser(strapi);
  const [access, refresh] = names;
  await fillIn(username, 'a wrong password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Invalid identifier or password').waitFor();
  expect(await cookieNames()).toEqual([]);

  await signIn(username);
  expect(await cookieNames()).toEqual([access, refresh, `${refresh}.sig`].sort());
  const cookies = await context.cookies(url);
  expect(cookies.map(({ httpOnly, sameSite }) => [httpOnly, sameSite])).toEqual(
    Array(3).fill([true, 'Lax'])
  );
  expect(cookies.map(({ secure }) => secure)).toEqual(Array(3).fill(access.startsWith('__Host-')));

  const proxied = watchProxy();
  await page.reload();
  await shows(username);
  expect(proxied()).toBe(0);
  await expireAccess();
  await page.reload();
  await shows(username);
  expect(proxied()).toBe(1);

  const sessions = (await strapi.ask('sids')).length;
  await page.getByRole('button', { name: 'Sign out' }).click();
  await leaves();
  expect(await cookieNames()).toEqual([]);
  expect(await strapi.ask('sids')).toHaveLength(sessions - 1);
  await page.goto(`${url}/me`);
  await leaves();
}

describe('Built, as in production', () => {
  beforeAll(async () => {
    await example.run('npm', ['run', 'build']);
    await start('start', '__Host-');
  });
  afterAll(stop);

  test('signs in by a server action, refreshes once in the life of an access token, and signs out', async () => {
    await expectSignInRefreshAndSignOut();
  });

  test('opens the page of the user after the visit to it led to the sign-in page, also after a sign-out', async () => {
    const { username } = await newUser(strapi);
    const visit = async () => {
      await fillIn(username, PASSWORD, page, '/me');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await shows(username);
    };
    await visit();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await leaves();
    await visit();
  });

  test('forgets all of its cookies with the browser, if the user does not want to be remembered', async () => {
    const { username } = await newUser(strapi);
    await fillIn(username, PASSWORD);
    await page.getByLabel('Stay signed in').uncheck();
    await page.getByRole('button', { name: 'Sign in' }).click();
    await shows(username);
    for (const access of ['alive', 'refreshed']) {
      if (access === 'refreshed') await expireAccess();
      await page.reload();
      await shows(username);
      const cookies = await context.cookies(url);
      expect(cookies.map(({ expires }) => expires)).toEqual([-1, -1, -1]);
    }
  });

  test('refreshes with a redirect to the same address, and uses no new token before the browser has it', async () => {
    await signedIn();
    const all = await context.cookies(url);
    const cookie = all
      .filter(({ name }) => name !== names[0])
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
    const response = await fetch(`${url}/me/settings?x=1`, {
      headers: { cookie },
      redirect: 'manual',
    });
    expect(response.status).toBe(307);
    expect(response.headers.get('location')).toBe('/me/settings?x=1');
    expect(response.headers.get('cache-control')).toBe('no-store');
    const set = response.headers.getSetCookie().map((line) => line.split('=')[0]);
    expect(set.sort()).toEqual(await cookieNames());
    expect(gateway.asked).toEqual([`POST ${REFRESH} 200`]);
  });

  test.each([REFRESH, '/api/users/me'])(
    'stays signed in after a page load that is interrupted while Next waits for %s',
    async (path) => {
      const { username } = await signedIn();
      await expireAccess();
      const held = gateway.hold(path);
      // With fetch: Playwright cannot reliably leave a page that is just arriving.
      await page.evaluate(() => {
        const load = new AbortController();
        fetch('/me', { signal: load.signal }).catch(() => {});
        addEventListener('interrupt', () => load.abort());
      });
      await held.reached;
      await page.evaluate(() => dispatchEvent(new Event('interrupt')));
      held.release();
      await sleep(500);

      for (let turn = 0; turn < 2; turn += 1) {
        await pass(60);
        await expireAccess();
        await page.goto(`${url}/me`);
        await shows(username);
      }
    }
  );

  test('restores four tabs at once', async () => {
    const { username } = await signedIn();
    const tabs = [page];
    while (tabs.length < 4) tabs.push(await context.newPage());
    for (let turn = 0; turn < 2; turn += 1) {
      await expireAccess();
      await pass(60);
      await Promise.all(tabs.map((tab) => tab.goto(`${url}/me`)));
      await Promise.all(tabs.map((tab) => shows(username, tab)));
    }
  });

  test('refreshes for a page that is opened, and not for one that is only prefetched', async () => {
    const { username } = await signedIn();
    await page.goto(`${url}/`);
    await expireAccess();
    const prefetched: string[] = [];
    context.on('request', (request) => {
      if ('next-router-prefetch' in request.headers()) prefetched.push(request.url());
    });
    const proxied = watchProxy();
    await page.reload({ waitUntil: 'networkidle' });
    expect(prefetched.join()).toContain('/me');
    expect(proxied()).toBe(0);

    await page.getByRole('link', { name: 'Account' }).click();
    await page.getByRole('heading', { name: `Hello ${username}` }).waitFor();
    expect(page.url()).toBe(`${url}/me`);
    expect(proxied()).toBe(1);
    await page.getByRole('link', { name: 'Settings' }).click();
    await page.getByRole('heading', { name: `Settings of ${username}` }).waitFor();
    expect(proxied()).toBe(1);
  });

  test('refreshes once for components that render in parallel', async () => {
    const { username } = await signedIn();
    await expireAccess();
    const proxied = watchProxy();
    gateway.asked.length = 0;
    await page.reload();
    await shows(username);
    await page.getByText('Devices signed in: 1').waitFor();
    expect(proxied()).toBe(1);
    expect(gateway.asked.filter((line) => line === 'GET /api/users/me 200')).toHaveLength(1);
  });

  test('runs a server action once, even if the access token has expired', async () => {
    const { username } = await newUser(strapi);
    const other = await browser.newContext();
    await signIn(username, await other.newPage());
    await signIn(username);
    await page.goto(`${url}/me/settings`);
    await expireAccess();
    gateway.asked.length = 0;
    await page.getByRole('button', { name: 'Sign out on all other devices' }).click();
    await page.getByText('Devices signed in: 1').waitFor();
    expect(gateway.asked.filter((line) => line.startsWith('DELETE'))).toEqual([
      'DELETE /api/users/me/sessions 200',
    ]);
    await other.close();
  });

  test('leaves every tab at a sign-out, and Back does not show the user’s pages', async () => {
    const { username } = await signedIn();
    await page.getByRole('link', { name: 'Settings' }).click();
    await page.getByRole('heading', { name: `Settings of ${username}` }).waitFor();
    await page.getByRole('link', { name: 'Home' }).click();
    await page.getByRole('heading', { name: 'Home' }).waitFor();

    const other = await context.newPage();
    await other.goto(`${url}/me`);
    await other.getByRole('listitem').first().waitFor();
    await other.getByRole('button', { name: 'Sign out' }).click();
    for (const tab of [page, other]) {
      await leaves(tab);
      await tab.goBack();
      await sleep(1000);
      expect(await tab.textContent('body')).not.toContain(username);
    }
    expect(await cookieNames()).toEqual([]);
  });

  test('waits for the server when the user signs out before the page has loaded', async () => {
    await signedIn();
    const sessions = (await strapi.ask('sids')).length;
    const refresh = gateway.hold(REFRESH);
    const revoke = gateway.hold('/api/token/revoke');
    await page.reload();
    await refresh.reached;
    await page.getByRole('button', { name: 'Sign out' }).click();
    const refused = page.waitForResponse(
      (response) => response.url() === `${url}/api/users/me/sessions` && !response.ok()
    );
    refresh.release();
    await Promise.all([refused, revoke.reached]);
    await sleep(500);
    revoke.release();
    await leaves();
    expect(await cookieNames()).toEqual([]);
    expect(await strapi.ask('sids')).toHaveLength(sessions - 1);
  });

  test('leaves the page when an admin ends the session, and a dead cookie causes no redirect loop', async () => {
    const { username, id } = await signedIn();
    await strapi.ask('signOut', { userId: id });
    await page.getByRole('link', { name: 'Settings' }).click();
    await page.waitForURL(`${url}/login?ended=session_ended`);
    await page.getByText('You have been signed out.').waitFor();

    for (const access of ['alive', 'expired']) {
      if (access === 'expired') await expireAccess();
      gateway.asked.length = 0;
      await page.goto(`${url}/me`);
      await leaves();
      await page.getByLabel('User name').waitFor();
      expect(await cookieNames()).toContain(names[1]);
      // Next.js, and then the browser.
      expect(gateway.asked).toEqual([
        access === 'alive' ? 'GET /api/users/me 401' : `POST ${REFRESH} 401`,
        `POST ${REFRESH} 401`,
        'GET /api/users/me 403',
      ]);
    }
    await signIn(username);
  });

  test('tells the user when someone else has used the refresh token', async () => {
    const { username } = await signedIn();
    const stolen = await context.cookies(url);
    await expireAccess();
    await page.reload();
    await shows(username);
    await pass(60);
    await context.addCookies(stolen);
    await expireAccess();
    await page.goto(`${url}/me`);
    await page.getByText('Someone else may have used your account.').waitFor();
    reuses += 1;
    await signIn(username);
  });

  test.each(['dropped', 503, 429, 401] as const)(
    'does not sign out when Strapi fails: %s',
    async (failure) => {
      const { username } = await signedIn();
      const before = await cookieNames();
      for (const access of ['alive', 'expired']) {
        if (access === 'expired') await expireAccess();
        gateway.fail(failure);
        const response = await page.goto(`${url}/me`);
        if (access === 'expired') expect(response!.status()).toBe(503);
        // A 401 for an access token may be a short failure of Strapi's database. It shows the sign-in page, once.
        if (failure === 401 && access === 'alive') await leaves();
        else await page.getByText('Please try again in a moment.').waitFor();
        gateway.fail(null);
        await page.goto(`${url}/me`);
        await shows(username);
        expect(await cookieNames()).toEqual(before);
      }

      gateway.fail(failure);
      await page.goto(`${url}/login`);
      await page.getByText('Please try again in a moment.').waitFor();
      gateway.fail(null);
      await page.getByRole('button', { name: 'Try again' }).click();
      await shows(username);

      await page.getByRole('link', { name: 'Home' }).click();
      gateway.fail(failure);
      await expireAccess();
      await page.getByRole('link', { name: 'Account' }).click();
      await page.getByText('Please try again in a moment.').waitFor();
      gateway.fail(null);
      await page.reload();
      await shows(username);
    }
  );

  test('shows a new user immediately, in all tabs', async () => {
    const { username } = await newUser(strapi);
    const other = await context.newPage();
    await fillIn(username, PASSWORD, other);
    await signedIn();
    await other.getByRole('button', { name: 'Sign in' }).click();
    for (const tab of [other, page]) await shows(username, tab);
  });

  test('shows a new user immediately on a page that itself requests nothing', async () => {
    const { username } = await newUser(strapi);
    const other = await context.newPage();
    await fillIn(username, PASSWORD, other);
    await signedIn();
    await page.goto(`${url}/me/settings`);
    await other.getByRole('button', { name: 'Sign in' }).click();
    await shows(username, other);
    await page.getByRole('heading', { name: `Settings of ${username}` }).waitFor();
  });

  test('does not show the kept page of another user on Back', async () => {
    const { username } = await newUser(strapi);
    const other = await context.newPage();
    await fillIn(username, PASSWORD, other);
    const before = await signedIn();
    await page.getByRole('link', { name: 'Settings' }).click();
    await page.getByRole('heading', { name: `Settings of ${before.username}` }).waitFor();
    await page.getByRole('link', { name: 'Home' }).click();
    await page.getByRole('heading', { name: 'Home' }).waitFor();
    await other.getByRole('button', { name: 'Sign in' }).click();
    await shows(username, other);
    await page.goBack();
    await page.getByRole('heading', { name: `Settings of ${username}` }).waitFor();
    await page.goBack();
    await shows(username);
  });

  test('shows the user who signed in elsewhere while a page was loading', async () => {
    const { username } = await newUser(strapi);
    const other = await context.newPage();
    await fillIn(username, PASSWORD, other);
    const before = await signedIn();
    let arrived = () => {};
    const scripts = new Promise<void>((resolve) => (arrived = resolve));
    await page.route('**/_next/static/**/*.js*', async (route) => {
      await scripts;
      await route.continue();
    });
    await page.goto(`${url}/me/settings`, { waitUntil: 'commit' });
    await page.getByText(`Signed in as ${before.username}`).waitFor({ state: 'attached' });
    await other.getByRole('button', { name: 'Sign in' }).click();
    await shows(username, other);
    arrived();
    await page.getByRole('heading', { name: `Settings of ${username}` }).waitFor();
  });

  test('asks for the password when the refresh cookie is gone and the access token has expired', async () => {
    const { username } = await signedIn();
    await context.clearCookies({ name: names[1] });
    const [access] = (await context.cookies(url)).filter(({ name }) => name === names[0]);
    const claims = Buffer.from(JSON.stringify({ iat: 1, exp: 2 })).toString('base64url');
    await context.addCookies([{ ...access, value: `a.${claims}.b` }]);
    await page.goto(`${url}/me`);
    await leaves();
    await signIn(username);
  });

  test('leads to the sign-in page if the session has ended before a server action', async () => {
    const { username, id } = await signedIn();
    const refreshed = page.waitForResponse((response) => response.url().endsWith(REFRESH));
    await page.goto(`${url}/me/settings`);
    await refreshed;
    await strapi.ask('signOut', { userId: id });
    await page.getByRole('button', { name: 'Sign out on all other devices' }).click();
    await leaves();
    await page.getByLabel('User name').waitFor();
    await signIn(username);
  });

  test('says to try again when Strapi does not respond within ten seconds', async () => {
    const { username } = await signedIn();
    const { release } = gateway.hold('/api/users/me');
    await page.goto(`${url}/me`);
    await page.getByText('Please try again in a moment.').waitFor();
    release();
    await page.getByRole('button', { name: 'Try again' }).click();
    await shows(username);
  });

  test('opens the page of the user who is still signed in at the sign-in page', async () => {
    const { username } = await signedIn();
    await page.goto(`${url}/login`);
    await shows(username);
  });

  test('refreshes if Strapi refuses an access token early, as after a change of JWT_SECRET', async () => {
    const { username } = await signedIn();
    const [access] = (await context.cookies(url)).filter(({ name }) => name === names[0]);
    const refused = `${access.value.slice(0, -8)}AAAAAAAA`;
    await context.addCookies([{ ...access, value: refused }]);
    await page.goto(`${url}/me`);
    await shows(username);
  });

  test('keeps what the user entered, except a wrong password', async () => {
    await fillIn('someone', 'a wrong password');
    await page.getByLabel('Stay signed in').uncheck();
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Invalid identifier or password').waitFor();
    expect(await page.getByLabel('User name').inputValue()).toBe('someone');
    expect(await page.getByLabel('Password').inputValue()).toBe('');
    expect(await page.getByLabel('Stay signed in').isChecked()).toBe(false);
  });

  test.each([
    ['refresh_token_reused', 'Someone else may have used your account.'],
    ['refresh_token_expired', 'You have been away for a while.'],
    ['session_ended', 'You have been signed out.'],
    ['constructor', ''],
    ['<script>', ''],
  ])('says on the sign-in page why a session ended: %s', async (code, reason) => {
    await page.goto(`${url}/login?ended=${encodeURIComponent(code)}`);
    await page.getByLabel('User name').waitFor();
    const [first] = await page.locator('main').getByRole('alert').allTextContents();
    expect(first.slice(0, reason.length || undefined)).toBe(reason);
  });

  test('refuses a sign-in with anything but a form, without an error in the log', async () => {
    const before = next.log();
    await page.route('**/login', async (route) => {
      if (route.request().method() !== 'POST') return route.continue();
      const headers = { ...route.request().headers(), 'content-type': 'text/plain;charset=UTF-8' };
      return route.continue({ headers, postData: '["text"]' });
    });
    await fillIn('someone', 'a password');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Invalid form.').waitFor();
    expect(next.log().slice(before.length)).toBe('');
  });

  test('answers 502 to the browser while Strapi is down', async () => {
    gateway.fail('dropped');
    expect((await fetch(`${url}/api/users/me`)).status).toBe(502);
  });

  test('accepts no cookie that another host of the domain could have set', async () => {
    await signedIn();
    const [access] = (await context.cookies(url)).filter(({ name }) => name === names[0]);
    const thief = await browser.newContext();
    await thief.addCookies([
      { name: 'access-token', value: access.value, url },
      { name: 'refreshToken', value: 'planted', url },
    ]);
    const victim = await thief.newPage();
    await victim.goto(`${url}/me`);
    await leaves(victim);
    await thief.close();
  });

  test('says which name of the cookie to set, if Strapi uses another one', async () => {
    const port = await freePort();
    const settings = { STRAPI_URL: gateway.url, REFRESH_COOKIE_NAME: 'refreshToken' };
    const command = ['run', 'start', '--', '--port', String(port)];
    const wrong = await example.start(`http://localhost:${port}`, 'npm', command, settings);
    const { username } = await newUser(strapi);
    await page.goto(`http://localhost:${port}/login`);
    await page.getByLabel('User name').fill(username);
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Please try again in a moment.').waitFor();
    expect(wrong.log()).toContain('Set REFRESH_COOKIE_NAME=__Host-refreshToken for Next.js.');
    await wrong.stop();
  });
});

describe('In development', () => {
  beforeAll(() => start('dev', ''));
  afterAll(stop);

  test('signs in by a server action, refreshes once in the life of an access token, and signs out', async () => {
    await expectSignInRefreshAndSignOut();
  });
});
