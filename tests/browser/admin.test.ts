/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { readFileSync } from 'fs';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { CHROME_ON_WINDOWS, openContext, startPanel } from './admin';
import type { Admin, Panel } from './admin';
import { launch } from './browser';

const PATH = '/admin/settings/users-permissions/sessions';
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

let panel: Panel;
let browser: Browser;
let close: () => Promise<void>;
/** What the page threw. Strapi itself logs to the console. */
let errors: string[];
/** Changes that the page asked for. */
let deletions: string[];

beforeAll(async () => {
  browser = await launch();
  panel = await startPanel({
    REFRESH_TOKEN_GRACE: '0',
    REFRESH_TOKEN_RESPONSE: 'body',
    // The server warns of it.
    JWT_SECRET_EXPIRES: '2h',
  });
});
afterAll(async () => {
  await browser?.close();
  await panel?.stop();
});
beforeEach(() => {
  errors = [];
  deletions = [];
});
afterEach(async () => {
  await close();
  await panel.clear();
  expect(errors).toEqual([]);
});

async function open(admin: Admin, options?: BrowserContextOptions): Promise<Page> {
  const { context, page } = await openContext(browser, panel, admin, options);
  close = () => context.close();
  page.on('pageerror', ({ message }) => errors.push(message));
  page.on('request', (request) => {
    const { pathname, search } = new URL(request.url());
    if (request.method() === 'DELETE') deletions.push(pathname + search);
  });
  return page;
}

/** Opens the page of sessions, and waits for its three parts. */
async function openSessions(admin: Admin, options?: BrowserContextOptions, query = '') {
  const page = await open(admin, options);
  await page.goto(panel.url + PATH + query);
  await page.getByText('REFRESH_SECRET').waitFor();
  return page;
}

const tableOf = (page: Page) => page.getByRole('grid', { name: 'Sessions' });
const rowsOf = (page: Page) => tableOf(page).locator('tbody tr');
const searchOf = (page: Page) => page.getByLabel('Search by username or email');
const untilRows = (page: Page, count: number) =>
  page.waitForFunction(
    (expected) => document.querySelectorAll('[aria-label=Sessions] tbody tr').length === expected,
    count
  );
const button = (scope: Page | Locator, name: string) =>
  scope.getByRole('button', { name, exact: true });
const dialogOf = (page: Page) => page.getByRole('alertdialog');
const seen = (scope: Page | Locator, text: string) =>
  scope.getByText(text, { exact: true }).first().waitFor();
const focused = (page: Page) =>
  page.evaluate(
    () => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent
  );

/** Clicks "End" of a row, and confirms. */
async function endRow(page: Page, user: string): Promise<void> {
  await rowsOf(page).filter({ hasText: user }).first().getByRole('button').click();
  await button(dialogOf(page), 'End session').click();
}

const openUser = async (page: Page, user: { documentId: string }) => {
  await page.goto(
    `${panel.url}/admin/content-manager/collection-types/plugin::users-permissions.user/${user.documentId}`
  );
  await page.getByRole('textbox', { name: 'username' }).waitFor();
};

const sidePanel = (page: Page) =>
  page.locator('aside').filter({ has: page.getByRole('heading', { name: 'Sessions' }) });

/** @returns the serious findings of axe in a part of the page */
async function axe(page: Page, selector: string): Promise<string[]> {
  // Strapi's Content-Security-Policy does not apply to what the debugger evaluates.
  await page.evaluate(AXE);
  // A dialog that is still fading in has too little contrast. Endless animations, such as a spinner, are not waited for.
  await page.evaluate(async () => {
    const ending = document
      .getAnimations()
      .filter((animation) => animation.effect?.getComputedTiming().endTime !== Infinity);
    await Promise.allSettled(ending.map(({ finished }) => finished));
  });
  const violations = await page.evaluate(async (scope) => {
    const results = await (window as any).axe.run(scope);
    return results.violations.map(({ id, impact, nodes }: any) => ({
      impact,
      text: `${id}: ${nodes.map(({ html }: any) => html).join(' | ')}`,
    }));
  }, selector);
  return violations
    .filter(({ impact }: { impact: string }) => ['serious', 'critical'].includes(impact))
    .map(({ text }: { text: string }) => text);
}

describe('The page of sessions', () => {
  test('is in the settings, and shows who is signed in where', async () => {
    const ada = await panel.user('ada');
    const now = Date.now();
    await panel.session(ada, {
      description: 'Ada’s phone',
      ip: '2001:db8::1',
      opened_at: now - 3 * DAY,
      rotated_at: now - 5 * HOUR,
    });
    const hourAgo = { opened_at: now - HOUR, rotated_at: now - HOUR };
    await panel.session(await panel.user('grace'), { user_agent: null, ip: null, ...hourAgo });

    const page = await open('root');
    await page.goto(`${panel.url}/admin/settings`);
    await page.getByRole('link', { name: 'Sessions' }).click();
    await rowsOf(page).first().waitFor();
    expect(await page.title()).toBe('Sessions | Strapi');
    await seen(page, '2 active sessions. A session is one sign-in on one device.');
    const cells = await rowsOf(page).evaluateAll((rows) =>
      rows.map((row) =>
        [...row.querySelectorAll('td')].map((cell) =>
          (cell as HTMLElement).innerText.replace(/\n+/g, '\n')
        )
      )
    );
    expect(cells).toEqual([
      [
        'grace',
        'Unknown device\nJSON body',
        'Unknown address',
        '1 hour ago',
        '1 hour ago',
        'in 2 days',
        'End',
      ],
      [
        'ada',
        'Ada’s phone\nChrome on Windows · JSON body',
        '2001:db8::1',
        '3 days ago',
        '5 hours ago',
        'in 2 days',
        'End',
      ],
    ]);

    const time = rowsOf(page).nth(1).locator('time').first();
    expect(await time.getAttribute('dateTime')).toBe(new Date(now - 3 * DAY).toISOString());
    expect(await time.getAttribute('title')).toMatch(
      /^[A-Z][a-z]{2} \d+, \d{4}, \d+:\d{2}:\d{2}\s[AP]M$/
    );
    expect(await page.getByText('Ada’s phone').getAttribute('title')).toBe(
      `Ada’s phone\n${CHROME_ON_WINDOWS}`
    );

    await page.getByRole('link', { name: 'ada', exact: true }).click();
    await page.getByRole('textbox', { name: 'username' }).waitFor();
    expect(page.url()).toContain(`plugin::users-permissions.user/${ada.documentId}`);
  });

  test('shows the configuration without secrets, and its warnings', async () => {
    const page = await openSessions('root');
    const variables = await page
      .getByRole('grid', { name: 'Configuration' })
      .locator('td:first-child')
      .allTextContents();
    expect(variables).toEqual(expect.arrayContaining(['REFRESH_SECRET', 'REFRESH_TOKEN_GRACE']));
    expect(await page.content()).not.toContain(process.env.REFRESH_SECRET);
    await seen(page, '1 key');
    const warnings = page.getByRole('list').filter({ hasText: 'JWT_SECRET_EXPIRES is 2h' });
    expect(await warnings.getByRole('listitem').count()).toBe(1);
    await seen(page, 'No one is signed in.');
  });

  test('shows a replayed token as an incident', async () => {
    await panel.replay(await panel.user('lovelace'));
    const page = await openSessions('root');
    const incident = page.getByRole('grid', { name: 'Incidents' }).locator('tbody tr').first();
    expect((await incident.innerText()).replace(/\s+/g, ' ')).toBe(
      'just now lovelace Firefox on Linux 127.0.0.1 curl 127.0.0.1'
    );
  });

  test('searches, says when nothing matches, and keeps the search in the URL', async () => {
    await panel.session(await panel.user('hopper'));
    await panel.session(await panel.user('turing'));
    const page = await openSessions('root');
    const field = searchOf(page);
    await field.fill('hopper@EXAMPLE');
    await field.press('Enter');
    await untilRows(page, 1);
    await page.reload();
    await seen(rowsOf(page), 'hopper');
    expect(await field.inputValue()).toBe('hopper@EXAMPLE');

    await field.fill('nobody');
    await field.press('Enter');
    await seen(page, 'No active session matches your search.');
    await page.goBack();
    await seen(rowsOf(page), 'hopper');
    expect(await field.inputValue()).toBe('hopper@EXAMPLE');
    await button(page, 'Clear the search').click();
    await seen(rowsOf(page), 'turing');
    expect(await rowsOf(page).count()).toBe(2);
  });

  test('drops a response that a later search has overtaken', async () => {
    await panel.session(await panel.user('slow'));
    await panel.session(await panel.user('fast'));
    const page = await openSessions('root');
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const isSlow = ({ pathname, search }: URL) =>
      pathname === '/users-permissions/sessions' && search === '?search=slow';
    const answered = new Promise<void>((resolve) => {
      void page.route(isSlow, async (route) => {
        const response = await route.fetch();
        await held;
        // The page may have aborted it.
        await route.fulfill({ response }).catch(() => {});
        resolve();
      });
    });
    const field = searchOf(page);
    await field.fill('slow');
    await field.press('Enter');
    await field.fill('fast');
    await field.press('Enter');
    await untilRows(page, 1);
    release();
    await answered;
    await page.waitForTimeout(500);
    expect(await rowsOf(page).locator('a').allTextContents()).toEqual(['fast']);
  });

  test('can be paged in both directions', async () => {
    const many = await panel.user('many');
    for (let count = 0; count < 30; count += 1)
      await panel.session(many, { ip: `192.0.2.${count}` });
    const page = await openSessions('root');
    const addresses = () =>
      rowsOf(page).evaluateAll((rows) => rows.map((row) => row.children[2]!.textContent!));
    const all = Array.from({ length: 30 }, (_, count) => `192.0.2.${29 - count}`);

    expect(await addresses()).toEqual(all.slice(0, 25));
    expect(await button(page, 'Newer').isDisabled()).toBe(true);
    await button(page, 'Older').click();
    await seen(page, '192.0.2.0');
    expect(await addresses()).toEqual(all.slice(25));
    expect(await button(page, 'Older').isDisabled()).toBe(true);
    expect(await focused(page)).toBe('Sessions');
    await button(page, 'Newer').click();
    await seen(page, '192.0.2.29');
    expect(await addresses()).toEqual(all.slice(0, 25));
  });

  test('returns to the newest page when the last row of an older one has ended', async () => {
    const many = await panel.user('pages');
    for (let count = 0; count < 26; count += 1)
      await panel.session(many, { ip: `192.0.2.${count}` });
    const page = await openSessions('root');
    await button(page, 'Older').click();
    await seen(page, '192.0.2.0');
    await endRow(page, 'pages');
    await seen(page, '192.0.2.25');
    expect(await rowsOf(page).count()).toBe(25);
  });
});

describe('Ending sessions', () => {
  test('one session: its next request is refused, and the focus is on the next row', async () => {
    const [first, second] = [await panel.user('first'), await panel.user('second')];
    const other = await panel.session(first);
    const ended = await panel.session(second);
    expect([await other.me(), await ended.me()]).toEqual([200, 200]);
    const page = await openSessions('root');
    await rowsOf(page).filter({ hasText: 'second' }).getByRole('button').click();
    await seen(dialogOf(page), 'End this session?');
    await button(dialogOf(page), 'Cancel').click();
    await dialogOf(page).waitFor({ state: 'detached' });
    expect(await focused(page)).toBe('End: second, Chrome on Windows');

    await rowsOf(page).filter({ hasText: 'second' }).getByRole('button').click();
    await button(dialogOf(page), 'End session').dblclick();
    await seen(page, '1 session ended.');
    await seen(page, '1 active session. A session is one sign-in on one device.');
    expect(await rowsOf(page).locator('a').allTextContents()).toEqual(['first']);
    expect(await focused(page)).toBe('End: first, Chrome on Windows');
    expect(deletions).toEqual([`/users-permissions/sessions/${ended.sid}`]);
    expect([await other.me(), await ended.me()]).toEqual([200, 401]);

    await endRow(page, 'first');
    await seen(page, 'No one is signed in.');
    expect(await focused(page)).toBe('Sessions');
  });

  test('one session that has ended in the meantime', async () => {
    await panel.session(await panel.user('gone'));
    const page = await openSessions('root');
    await panel.clear();
    await endRow(page, 'gone');
    await seen(page, 'This session had already ended.');
    await seen(page, 'No one is signed in.');
  });

  test('one session, when the server does not respond: the dialog stays, and a second try works', async () => {
    await panel.session(await panel.user('offline'));
    const page = await openSessions('root');
    const route = '**/users-permissions/sessions/*';
    await page.route(route, (request) =>
      request.request().method() === 'DELETE' ? request.abort() : request.fallback()
    );
    await endRow(page, 'offline');
    await page.getByRole('alert').filter({ hasText: /\S/ }).first().waitFor();
    await page.unroute(route);
    await button(dialogOf(page), 'End session').click();
    await seen(page, 'No one is signed in.');
  });

  test('everyone’s sessions, after a confirmation', async () => {
    const sessions = [
      await panel.session(await panel.user('one')),
      await panel.session(await panel.user('two')),
    ];
    const page = await openSessions('root');
    await button(page, 'End all sessions').click();
    await dialogOf(page).getByText('This ends 2 sessions.').waitFor();
    await button(dialogOf(page), 'End all sessions').click();
    await seen(page, '2 sessions ended.');
    await seen(page, 'No one is signed in.');
    expect(await Promise.all(sessions.map(({ me }) => me()))).toEqual([401, 401]);
    expect(deletions).toEqual(['/users-permissions/sessions?everyone=true']);
    await page.reload();
    await seen(page, 'No one is signed in.');
  });

  test('everyone’s sessions, if there are more than 100: only after a word is typed', async () => {
    const crowd = await panel.user('crowd');
    const session = await panel.session(crowd);
    await Promise.all(Array.from({ length: 100 }, () => panel.session(crowd)));
    const page = await openSessions('root');
    await button(page, 'End all sessions').click();
    await dialogOf(page).getByText('This ends 101 sessions.').waitFor();
    const confirm = button(dialogOf(page), 'End all sessions');
    const field = dialogOf(page).getByLabel('Type END ALL to confirm');
    expect(await confirm.isDisabled()).toBe(true);
    await field.fill('end');
    await field.press('Enter');
    expect(await confirm.isDisabled()).toBe(true);
    expect(await session.me()).toBe(200);

    await field.fill('END ALL');
    await field.press('Enter');
    await seen(page, '101 sessions ended.');
    await seen(page, 'No one is signed in.');
    expect(await session.me()).toBe(401);
    expect(deletions).toHaveLength(1);
  });
});

describe('The panel next to a user', () => {
  test('lists their sessions, and ends one or all', async () => {
    const user = await panel.user('beside');
    const [one, two, three] = [
      await panel.session(user, { ip: '198.51.100.1' }),
      await panel.session(user, { ip: '198.51.100.2' }),
      await panel.session(user, { ip: '198.51.100.3' }),
    ];
    const stranger = await panel.session(await panel.user('stranger'));
    const page = await open('root');
    await openUser(page, user);
    const aside = sidePanel(page);
    await seen(aside, '198.51.100.1');
    expect(await aside.getByRole('listitem').count()).toBe(3);

    await aside
      .getByRole('listitem')
      .filter({ hasText: '198.51.100.2' })
      .getByRole('button')
      .click();
    await button(dialogOf(page), 'End session').click();
    await page.waitForFunction(() => document.querySelectorAll('aside li').length === 2);
    expect(await Promise.all([one, two, three].map(({ me }) => me()))).toEqual([200, 401, 200]);

    await button(aside, 'End all sessions').click();
    await seen(dialogOf(page), 'End all sessions of beside?');
    await button(dialogOf(page), 'End all sessions').click();
    await seen(aside, 'This user is not signed in anywhere.');
    expect(await Promise.all([one, three, stranger].map(({ me }) => me()))).toEqual([
      401, 401, 200,
    ]);
    expect(await page.getByRole('textbox', { name: 'username' }).inputValue()).toBe('beside');
  });

  test('links to all sessions of a user who has many', async () => {
    const user = await panel.user('busy');
    for (let count = 0; count < 26; count += 1) await panel.session(user);
    await panel.session(await panel.user('quiet'));
    const page = await open('root');
    await openUser(page, user);
    await sidePanel(page).getByRole('link', { name: 'Show all sessions' }).click();
    await seen(page, 'Only sessions of busy');
    expect(await rowsOf(page).count()).toBe(25);
    expect(await button(page, 'End all sessions').count()).toBe(0);
    await button(page, 'End all sessions of busy').click();
    await button(dialogOf(page), 'End all sessions').click();
    await seen(page, '26 sessions ended.');
    await seen(page, 'This user is not signed in anywhere.');
    await button(page, 'Show all users').click();
    await seen(rowsOf(page), 'quiet');
  });

  test('is not next to a user who is being created', async () => {
    const page = await open('root');
    await openUser(page, { documentId: 'create' });
    await page.getByRole('button', { name: 'Save' }).waitFor();
    expect(await sidePanel(page).count()).toBe(0);
  });
});

describe('Permissions', () => {
  test('an editor without them sees neither the page nor the panel', async () => {
    const user = await panel.user('hidden');
    await panel.session(user);
    const page = await open('editor');
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await openUser(page, user);
    await page.waitForTimeout(1_000);
    expect(await sidePanel(page).count()).toBe(0);
    await page.goto(panel.url + PATH);
    await page.getByText("You don't have the permissions to access that content").waitFor();
    expect(await page.getByRole('link', { name: 'Sessions' }).count()).toBe(0);
    expect(asked.filter((path) => path.startsWith('/users-permissions/sessions'))).toEqual([]);
  });

  test('an admin who may only read sees no buttons that end sessions', async () => {
    const user = await panel.user('visible');
    await panel.session(user);
    await panel.session(user);
    const page = await openSessions('reader');
    await seen(rowsOf(page), 'visible');
    expect(await page.getByRole('button', { name: /^End/ }).count()).toBe(0);
    await openUser(page, user);
    await seen(sidePanel(page), '203.0.113.7');
    expect(await sidePanel(page).getByRole('button').count()).toBe(0);
  });

  test('an admin who loses them while the page is open sees a message', async () => {
    const page = await openSessions('temporary');
    await panel.withdraw('temporary');
    const field = searchOf(page);
    await field.fill('any');
    await field.press('Enter');
    await seen(page, 'You no longer have permission to see this.');
  });
});

describe('Everyone can use it', () => {
  test('a part that cannot be loaded says so, and can be loaded again', async () => {
    await panel.session(await panel.user('retry'));
    const page = await open('root');
    let isDown = true;
    const isList = ({ pathname }: URL) => pathname === '/users-permissions/sessions';
    await page.route(isList, (route) => (isDown ? route.abort() : route.continue()));
    await page.goto(panel.url + PATH);
    await seen(page, 'This could not be loaded.');
    await seen(page, 'REFRESH_SECRET');
    isDown = false;
    await button(page, 'Try again').click();
    await seen(rowsOf(page), 'retry');
  });

  test('it works with the keyboard alone', async () => {
    const users = [
      await panel.user('keys-1'),
      await panel.user('keys-2'),
      await panel.user('other'),
    ];
    const sessions = [];
    for (const user of users) sessions.push(await panel.session(user));
    const page = await openSessions('root');
    await button(page, 'End all sessions').focus();
    await page.keyboard.press('Tab');
    await page.keyboard.type('keys');
    expect(await searchOf(page).inputValue()).toBe('keys');
    await page.keyboard.press('Enter');
    await untilRows(page, 2);
    await seen(page.locator('#live-region-status'), '2 sessions on this page.');

    // Into the table and, as in every table of Strapi, from cell to cell with the arrows.
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('ArrowDown');
    expect(await focused(page)).toBe('keys-2');
    for (let column = 1; column < 7; column += 1) await page.keyboard.press('ArrowRight');
    expect(await focused(page)).toBe('End: keys-2, Chrome on Windows');
    await page.keyboard.press('Enter');
    await dialogOf(page).waitFor();
    expect(await focused(page)).toBe('Cancel');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Escape');
    await dialogOf(page).waitFor({ state: 'detached' });
    expect(await focused(page)).toBe('End: keys-2, Chrome on Windows');

    await page.keyboard.press('Enter');
    await dialogOf(page).waitFor();
    await page.keyboard.press('Tab');
    expect(await focused(page)).toBe('End session');
    await page.keyboard.press('Enter');
    await seen(page, '1 session ended.');
    await untilRows(page, 1);
    expect(await focused(page)).toBe('End: keys-1, Chrome on Windows');
    expect(await Promise.all(sessions.map(({ me }) => me()))).toEqual([200, 401, 200]);
  });

  test.each(['light', 'dark'])('axe finds nothing serious in the %s theme', async (theme) => {
    const user = await panel.user(`axe-${theme}`);
    await panel.session(user);
    await panel.session(user, { ip: null, description: 'A phone' });
    const page = await openSessions('root');
    await page.evaluate((name) => localStorage.setItem('STRAPI_THEME', name), theme);
    await page.reload();
    await seen(page, 'REFRESH_SECRET');
    await page.locator('tbody tr').first().waitFor();
    const color = await page
      .getByRole('heading', { name: 'Sessions' })
      .evaluate((heading) => getComputedStyle(heading).color);
    expect(color).toBe(theme === 'dark' ? 'rgb(255, 255, 255)' : 'rgb(50, 50, 77)');
    expect(await axe(page, 'main')).toEqual([]);
    await button(page, 'End all sessions').click();
    await dialogOf(page).waitFor();
    expect(await axe(page, '[role=alertdialog]')).toEqual([]);
    await openUser(page, user);
    await seen(sidePanel(page), 'A phone');
    expect(await axe(page, 'aside:has(li)')).toEqual([]);
  });

  test('nothing scrolls sideways at 1024 pixels', async () => {
    await panel.session(await panel.user('a-very-long-name-without-any-space-in-it'), {
      ip: '2001:db8:85a3:8d3:1319:8a2e:370:7348',
      user_agent: 'x'.repeat(200),
      opened_at: Date.now() - 27 * DAY,
    });
    await panel.replay(await panel.user('replayed'));
    const page = await openSessions('root', { viewport: { width: 1024, height: 800 } });
    await rowsOf(page).first().waitFor();
    const overflowing = await page.evaluate(() =>
      [document.documentElement, ...document.querySelectorAll('main, main :has(> table), main td')]
        .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
        .map((element) => element.outerHTML.slice(0, 200))
    );
    expect(overflowing).toEqual([]);
  });

  test('it is available in German', async () => {
    const user = await panel.user('sprache');
    await panel.session(user, { opened_at: Date.now() - 2 * DAY });
    const page = await open('root');
    await page.addInitScript(() => localStorage.setItem('strapi-admin-language', 'de'));
    await page.goto(panel.url + PATH);
    await page.getByRole('heading', { name: 'Sitzungen' }).waitFor();
    await page.getByRole('link', { name: 'Sitzungen' }).waitFor();
    const row = page.getByRole('grid', { name: 'Sitzungen' }).locator('tbody tr');
    expect((await row.innerText()).replace(/\s+/g, ' ')).toBe(
      'sprache Chrome auf Windows JSON-Body 203.0.113.7 vor 2 Tagen gerade eben in 2 Tagen Beenden'
    );
    await page.getByRole('heading', { name: 'Vorfälle' }).waitFor();
    await page.getByRole('heading', { name: 'Konfiguration' }).waitFor();
    await row.getByRole('button').click();
    await button(dialogOf(page), 'Sitzung beenden').click();
    await seen(page, 'Niemand ist angemeldet.');
  });
});
