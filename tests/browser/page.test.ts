/// <reference lib="dom" />
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'fs';
import { createServer } from 'http';
import type { AddressInfo } from 'net';
import { tmpdir } from 'os';
import path from 'path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { startDemo } from '../support/demo';
import {
  ELSEWHERE,
  HOST,
  launch,
  launchWithBackForwardCache,
  launchWithProfile,
  signIn,
  SISTER,
  watchPosts,
} from './browser';

const REFRESH = '/api/token/refresh';
const ADA = { identifier: 'ada', password: 'ada-password' };

let demo: Awaited<ReturnType<typeof startDemo>>;
let browser: Browser;
let context: BrowserContext;
let page: Page;
/** Errors in the browser's console, except for failed responses. */
let complaints: string[];

beforeAll(async () => {
  browser = await launch();
  demo = await startDemo();
});
afterAll(async () => {
  await browser?.close();
  await demo?.stop();
});
beforeEach(async () => {
  context = await browser.newContext();
  context.setDefaultTimeout(60_000);
  page = await context.newPage();
  complaints = [];
  page.on('pageerror', ({ message }) => complaints.push(message));
  page.on('console', (message) => {
    const isAnswer = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !isAnswer) complaints.push(message.text());
  });
});
afterEach(async () => {
  await context.close();
  expect(complaints).toEqual([]);
});

const clickOn = (name: string) => page.getByRole('button', { name, exact: true }).click();

/** The same page in another tab, signed in with the same cookie. */
async function openTab(): Promise<Page> {
  const tab = await context.newPage();
  await tab.goto(demo.url);
  await tab.getByText('Signed in as ada').waitFor();
  return tab;
}

/** The refreshes that a tab has counted: its own, and those that another tab shared. */
const countsOf = async (tab: Page) => ({
  own: Number(await tab.locator('#by-this').textContent()),
  told: Number(await tab.locator('#by-another').textContent()),
});

/** Waits until an access token that is about to expire has been replaced. */
async function untilReplaced(tab: Page): Promise<void> {
  const wait = { timeout: 40_000 };
  await tab.waitForFunction(
    () => Number(document.getElementById('left')!.textContent) < 10,
    null,
    wait
  );
  await tab.waitForFunction(
    () => Number(document.getElementById('left')!.textContent) > 20,
    null,
    wait
  );
}

test('The refresh cookie is invisible to scripts, and is actually sent', async () => {
  await signIn(page, demo.url);
  expect(await page.evaluate(() => document.cookie)).toBe('');
  const cookies = await context.cookies();
  expect(cookies.map(({ name, httpOnly }) => [name, httpOnly])).toEqual(
    expect.arrayContaining([
      ['refreshToken', true],
      ['refreshToken.sig', true],
    ])
  );

  const asked = page.waitForRequest(`**${REFRESH}`);
  await clickOn('Refresh now');
  const request = await asked;
  expect((await request.allHeaders()).cookie).toMatch(/refreshToken=eyJ.*refreshToken\.sig=/);
  expect(request.postData()).toBe('{}');
  expect((await request.response())!.status()).toBe(200);
});

test('When the token expires in two tabs at the same time, one of them refreshes for both', async () => {
  await signIn(page, demo.url);
  const second = await openTab();
  const before = [await countsOf(page), await countsOf(second)];

  const posts = watchPosts(context);
  // The demo's access tokens expire after 30 s.
  await Promise.all([untilReplaced(page), untilReplaced(second)]);
  await page.waitForTimeout(1_000);

  expect(posts).toEqual([REFRESH]);
  const after = [await countsOf(page), await countsOf(second)];
  const own = after.map((counts, tab) => counts.own - before[tab].own);
  const told = after.map((counts, tab) => counts.told - before[tab].told);
  expect(own.sort()).toEqual([0, 1]);
  expect(told.sort()).toEqual([0, 1]);
});

test('Concurrent requests without an access token share one refresh', async () => {
  await signIn(page, demo.url);
  const posts = watchPosts(context);
  // As a string, because TypeScript would compile the import for Node.
  const names = await page.evaluate(`(async () => {
    const { createSession } = await import('/demo/session.js');
    const session = createSession();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => session.fetch('/api/users/me'))
    );
    const users = await Promise.all(answers.map((answer) => answer.json()));
    session.close();
    return users.map(({ username }) => username);
  })()`);
  expect(names).toEqual(Array(8).fill('ada'));
  expect(posts).toEqual([REFRESH]);
});

test('Signing out in one tab also signs out the other, and revokes its access token', async () => {
  await signIn(page, demo.url);
  const second = await openTab();
  await clickOn('Sign out');
  await second.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
  expect(await second.locator('#notice').textContent()).toBe('You signed out.');
  await second.reload();
  await second.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
});

/** A request outside of the client, as from another front end of the same API. */
const post = (tab: Page, route: string, fields: object = {}) =>
  tab.evaluate(
    async ([url, body]) => {
      const headers = { 'Content-Type': 'application/json' };
      return (await fetch(url, { method: 'POST', headers, body })).status;
    },
    [route, JSON.stringify(fields)]
  );

test('A page shows the user who signed in outside of it, and sends no more requests of the previous user', async () => {
  await signIn(page, demo.url);
  const bob = { identifier: 'bob', password: 'bob-password' };
  expect(await post(page, '/api/auth/local', bob)).toBe(200);
  const asked: string[] = [];
  page.on('response', (response) => {
    if (response.url().endsWith('/users/me')) asked.push(`${response.status()}`);
  });
  await clickOn('Call the API');
  await page.getByText('Signed in as bob').waitFor();
  await page.getByText('GET /api/users/me returned 401.').waitFor();
  expect(asked).toEqual(['401', '200']);
});

test('A signed-out page notices a sign-in outside of it when it becomes visible again', async () => {
  await page.goto(demo.url);
  await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
  const other = await context.newPage();
  await other.goto(`${demo.url}/demo/style.css`);
  const bob = { identifier: 'bob', password: 'bob-password' };
  expect(await post(other, '/api/auth/local', bob)).toBe(200);
  // In a headless browser, every page counts as visible, so only the event is missing.
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await page.getByText('Signed in as bob').waitFor();
});

test('A page restored by the back button learns that its session has ended', async () => {
  const caching = await launchWithBackForwardCache();
  try {
    const tab = await caching.newPage();
    await signIn(tab, demo.url);
    await tab.evaluate(() => Object.assign(window, { isTheSamePage: true }));
    await tab.goto(`${demo.url}/demo/style.css`);
    expect(await post(tab, '/api/token/revoke')).toBe(200);
    // A restored page is not reloaded.
    await tab.goBack({ waitUntil: 'commit' });
    expect(await tab.evaluate(() => 'isTheSamePage' in window)).toBe(true);
    // Before the page would refresh anyway.
    const signInButton = tab.getByRole('button', { name: 'Sign in', exact: true });
    await signInButton.waitFor({ timeout: 5_000 });
  } finally {
    await caching.close();
  }
});

test('A reload keeps the session', async () => {
  await signIn(page, demo.url);
  await page.reload();
  await page.getByText('Signed in as ada').waitFor();
});

test('A restart of the browser keeps the session', async () => {
  const profile = mkdtempSync(path.join(tmpdir(), 'refresh-token-profile-'));
  try {
    const before = await launchWithProfile(profile);
    await signIn(await before.newPage(), demo.url);
    await before.close();

    const after = await launchWithProfile(profile);
    const tab = await after.newPage();
    await tab.goto(demo.url);
    await tab.getByText('Signed in as ada').waitFor();
    await after.close();
  } finally {
    rmSync(profile, { recursive: true, force: true });
  }
});

test('A restart of the browser ends the session of a user who does not want to be remembered', async () => {
  const profile = mkdtempSync(path.join(tmpdir(), 'refresh-token-profile-'));
  try {
    const before = await launchWithProfile(profile);
    const tab = await before.newPage();
    await tab.goto(demo.url);
    // As a string, because TypeScript would compile the import for Node.
    await tab.evaluate(`(async () => {
      const { createSession } = await import('/demo/session.js');
      const session = createSession();
      await session.signIn({ ...${JSON.stringify(ADA)}, rememberMe: false });
      await session.refresh();
      session.close();
    })()`);
    // It survives a reload, but not the browser.
    await tab.goto(demo.url);
    await tab.getByText('Signed in as ada').waitFor();
    expect((await before.cookies()).map(({ expires }) => expires)).toEqual([-1, -1]);
    await before.close();

    const after = await launchWithProfile(profile);
    const reopened = await after.newPage();
    await reopened.goto(demo.url);
    await reopened.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    expect(await after.cookies()).toEqual([]);
    await after.close();
  } finally {
    rmSync(profile, { recursive: true, force: true });
  }
});

test('A visitor whose browser blocks cookies sees the page and the sign-in form', async () => {
  const profile = mkdtempSync(path.join(tmpdir(), 'refresh-token-profile-'));
  const blocked = { profile: { default_content_setting_values: { cookies: 2 } } };
  mkdirSync(path.join(profile, 'Default'));
  writeFileSync(path.join(profile, 'Default/Preferences'), JSON.stringify(blocked));
  try {
    const blocking = await launchWithProfile(profile);
    const tab = await blocking.newPage();
    await tab.goto(demo.url);
    await tab.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    await blocking.close();
  } finally {
    rmSync(profile, { recursive: true, force: true });
  }
});

describe('A page on another', () => {
  let origin: string;
  let server: ReturnType<typeof createServer>;

  beforeAll(async () => {
    server = createServer((_, response) => {
      response.setHeader('Content-Type', 'text/html');
      response.end('<!doctype html><title>Elsewhere</title>');
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
  });
  afterAll(() => server.close());

  /** Calls the API with everything that the browser adds. @returns status and code, or the browser's error */
  const call = (tab: Page, address: string, mode: 'cors' | 'no-cors') =>
    tab.evaluate(
      async ([url, how]) => {
        try {
          const answer = await fetch(url, {
            method: 'POST',
            credentials: 'include',
            mode: how as RequestMode,
          });
          const { error } = answer.type === 'opaque' ? ({} as any) : await answer.json();
          return [answer.status, error?.details.code].filter(Boolean).join(' ');
        } catch (error) {
          return String(error);
        }
      },
      [address, mode]
    );

  test.each([
    ['site', '127.0.0.1', ELSEWHERE],
    ['host of the same site', HOST, SISTER],
  ])('%s can neither refresh nor sign out', async (_what, own, host) => {
    const at = demo.url.replace('127.0.0.1', own);
    await signIn(page, at);
    const before = await context.cookies();
    origin = `http://${host}:${(server.address() as AddressInfo).port}`;
    const foreign = await context.newPage();
    await foreign.goto(origin);

    expect(await call(foreign, at + REFRESH, 'cors')).toBe('403 origin_refused');
    await call(foreign, at + REFRESH, 'no-cors');
    const revoked = await call(foreign, `${at}/api/token/revoke`, 'cors');
    // If the browser does not send the cookie, there is nothing to refuse.
    expect(revoked).toBe(host === ELSEWHERE ? '200' : '403 origin_refused');
    await call(foreign, `${at}/api/token/revoke`, 'no-cors');

    expect(await context.cookies()).toEqual(before);
    await clickOn('Refresh now');
    await clickOn('Call the API');
    await page.getByText('GET /api/users/me returned 200: you are ada.').waitFor();
  });

  test('site cannot sign the visitor in as someone else with a form', async () => {
    await signIn(page, demo.url);
    const before = await context.cookies();
    const foreign = await context.newPage();
    await foreign.goto(`http://${ELSEWHERE}:${(server.address() as AddressInfo).port}`);
    const [answer] = await Promise.all([
      foreign.waitForResponse('**/api/auth/local'),
      foreign.evaluate((url) => {
        const form = document.createElement('form');
        form.method = 'POST';
        form.action = `${url}/api/auth/local`;
        form.innerHTML =
          '<input name="identifier" value="bob" /><input name="password" value="bob-password" />';
        document.body.append(form);
        form.submit();
      }, demo.url),
    ]);
    expect([answer.status(), (await answer.json()).error.details.code]).toEqual([
      403,
      'origin_refused',
    ]);
    expect(await context.cookies()).toEqual(before);
  });
});

test('The theft is caught: the thief is refused, and the page says why its session is over', async () => {
  await signIn(page, demo.url);
  await clickOn('Steal the token');
  await page.getByText('The thief is caught: refresh_token_reused.').waitFor();
  await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
  await page.reload();
  await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
});

test('The list shows the sessions of the account, and can end the session of another device', async () => {
  await signIn(page, demo.url);
  await clickOn('Sign out everywhere else');
  const sessions = page.locator('#sessions li');
  await page.waitForFunction(() => document.querySelectorAll('#sessions li').length === 1);
  expect(await sessions.first().textContent()).toContain('this browser');

  await clickOn('Sign in on another device');
  await page.waitForFunction(() => document.querySelectorAll('#sessions li').length === 2);
  await clickOn('Sign out A phone (simulated by this page)');
  await page.waitForFunction(() => document.querySelectorAll('#sessions li').length === 1);
  expect(await sessions.first().textContent()).toContain('this browser');
});

test('The page can be used with only the keyboard', async () => {
  await page.goto(demo.url);
  await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
  const focus = () => page.evaluate(() => document.activeElement?.textContent?.trim());
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  expect(await focus()).toBe('Sign in');
  await page.keyboard.press('Enter');
  await page.getByText('Signed in as ada').waitFor();

  const reached = new Set<string | undefined>();
  for (let press = 0; press < 12; press += 1) {
    await page.keyboard.press('Tab');
    reached.add(await focus());
  }
  for (const name of ['Sign out', 'Refresh now', 'Call the API', 'Steal the token']) {
    expect(reached).toContain(name);
  }
});

test('A wrong password shows an error next to the button', async () => {
  await page.goto(demo.url);
  await page.getByLabel('Password').fill('wrong');
  await clickOn('Sign in');
  await page.getByText('Invalid identifier or password').waitFor();
});

test('Nothing scrolls sideways on a phone that is 360 pixels wide', async () => {
  await page.setViewportSize({ width: 360, height: 740 });
  await signIn(page, demo.url);
  await clickOn('Sign in on another device');
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
});
