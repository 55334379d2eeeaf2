// `npm run screenshots:admin`: takes the screenshots of the admin panel for the README and docs. Needs `npm run build`, and
// Chromium in TEST_BROWSER. Starts Strapi on a temporary SQLite file, as in production behind a proxy that terminates TLS.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { chromium } from 'playwright-core';

const PORT = process.env.PORT || '1338';
const URL = `http://127.0.0.1:${PORT}`;
const FILE = '.tmp/screenshots.db';
const PASSWORD = 'Correct-horse-1';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const CHROMIUM = (system) =>
  `Mozilla/5.0 (${system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36`;
const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1';
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0';
const WINDOWS = CHROMIUM('Windows NT 10.0; Win64; x64');
const EDGE = `${WINDOWS} Edg/141.0.0.0`;
const ANDROID = CHROMIUM('Linux; Android 10; K');
const MAC = CHROMIUM('Macintosh; Intel Mac OS X 10_15_7');

/** Sign-ins, the oldest first: how long ago, and how long ago the last activity was. */
const SIGN_INS = [
  ['grace', MAC, '198.51.100.23', 26 * DAY, 3 * HOUR, {}],
  ['alan', FIREFOX, '192.0.2.41', 19 * DAY, 26 * HOUR, {}],
  [
    'ada',
    IPHONE,
    '203.0.113.88',
    12 * DAY,
    40 * MINUTE,
    { requestRefresh: true, sessionDescription: 'Ada’s phone' },
  ],
  ['margaret', ANDROID, '2001:db8:3::9a42', 5 * DAY, 12 * MINUTE, { requestRefresh: true }],
  [
    'ada',
    'curl/8.5.0',
    '192.0.2.200',
    3 * DAY,
    2 * DAY - 5 * HOUR,
    { requestRefresh: true, sessionDescription: 'Nightly import' },
  ],
  ['linus', EDGE, '192.0.2.17', 2 * DAY, 9 * HOUR, {}],
  ['grace', IPHONE, '203.0.113.150', 21 * HOUR, 4 * MINUTE, { requestRefresh: true }],
  ['ada', WINDOWS, '203.0.113.7', 2 * HOUR, MINUTE, {}],
];

const env = {
  ...process.env,
  NODE_ENV: 'production',
  HOST: '127.0.0.1',
  PORT,
  DATABASE_CLIENT: 'sqlite',
  DATABASE_FILENAME: FILE,
  RATE_LIMIT_MAX: '1000',
  TRUST_PROXY: 'true',
  STRAPI_TELEMETRY_DISABLED: 'true',
  APP_KEYS: 'one-app-key,another-app-key',
  REFRESH_ALLOWED_ORIGINS: 'https://shop.example.com',
  REFRESH_SECRET: [secret(), secret()].join(),
};
for (const name of [
  'API_TOKEN_SALT',
  'ADMIN_JWT_SECRET',
  'TRANSFER_TOKEN_SALT',
  'ENCRYPTION_KEY',
  'JWT_SECRET',
]) {
  env[name] = secret();
}

function secret() {
  return randomBytes(32).toString('hex');
}

async function post(route, body, userAgent = WINDOWS, ip = '203.0.113.7', headers = {}) {
  const response = await fetch(URL + route, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      'User-Agent': userAgent,
      'X-Forwarded-For': ip,
      'X-Forwarded-Proto': 'https',
      ...headers,
    },
    body: JSON.stringify(body),
  });
  if (!response.ok)
    throw new Error(`${route} returned ${response.status}: ${await response.text()}`);
  return response.json();
}

const signIn = ([username, userAgent, ip, , , fields]) =>
  post('/api/auth/local', { identifier: username, password: PASSWORD, ...fields }, userAgent, ip);

/** Someone replays a token of a phone. */
async function steal() {
  const phone = ['linus', IPHONE, '203.0.113.61'];
  const { refreshToken } = await signIn([...phone, 0, 0, { requestRefresh: true }]);
  const { jwt } = await post('/api/token/refresh', { refreshToken }, ...phone.slice(1));
  await fetch(`${URL}/api/users/me`, { headers: { Authorization: `Bearer ${jwt}` } });
  // The grace period.
  await sleep(11_000);
  const replay = post('/api/token/refresh', { refreshToken }, FIREFOX, '192.0.2.250');
  await replay.then(
    () => Promise.reject(new Error('The replay was not caught.')),
    () => {}
  );
}

async function fill() {
  const names = [...new Set(SIGN_INS.map(([username]) => username))];
  for (const username of names) {
    const email = `${username}@example.com`;
    await post('/api/auth/local/register', { username, email, password: PASSWORD });
  }
  const database = new Database(FILE);
  database.prepare('DELETE FROM up_refresh_sessions').run();
  for (const signedIn of SIGN_INS) await signIn(signedIn);
  await steal();

  const rows = database.prepare('SELECT id FROM up_refresh_sessions ORDER BY id').all();
  const age = database.prepare(
    'UPDATE up_refresh_sessions SET opened_at = opened_at - ?, ends_at = ends_at - ?, rotated_at = rotated_at - ?, expires_at = min(expires_at - ?, ends_at - ?) WHERE id = ?'
  );
  SIGN_INS.forEach(([, , , opened, active], index) =>
    age.run(opened, opened, active, active, opened, rows[index].id)
  );
  database.prepare('UPDATE up_refresh_incidents SET at = at - ?').run(5 * HOUR);
  database.close();
}

async function openPage(browser, height) {
  const context = await browser.newContext({
    viewport: { width: 1280, height },
    extraHTTPHeaders: { 'X-Forwarded-Proto': 'https' },
  });
  await context.route(
    (address) => address.hostname !== '127.0.0.1',
    (route) => route.abort()
  );
  const page = await context.newPage();
  await page.goto(`${URL}/admin/auth/login`);
  await page.locator('input[name=email]').fill('root@example.com');
  await page.locator('input[name=password]').fill(PASSWORD);
  await page.getByRole('button', { name: 'Login' }).click();
  await page.waitForURL(/\/admin\/?$/);
  await closeNews(page);
  return page;
}

/** Strapi's announcements have nothing to do with this. */
async function closeNews(page) {
  const close = page.getByRole('button', { name: /close|dismiss|skip/i });
  await page.waitForTimeout(2_000);
  for (let count = await close.count(); count > 0; count -= 1) await close.first().click();
}

async function takePictures() {
  const browser = await chromium.launch({
    executablePath: process.env.TEST_BROWSER || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-background-networking'],
  });
  const page = await openPage(browser, 1120);
  await page.goto(`${URL}/admin/settings/users-permissions/sessions`);
  await page.getByText('REFRESH_SECRET').waitFor();
  await page.getByText('Nightly import').waitFor();
  await page.waitForTimeout(500);
  await page.screenshot({ path: 'docs/admin-sessions.png' });

  await page.setViewportSize({ width: 1280, height: 820 });
  await page.getByRole('link', { name: 'ada', exact: true }).first().click();
  await page.getByText('Nightly import').waitFor();
  await page.waitForTimeout(500);
  await page.screenshot({ path: 'docs/admin-user.png' });
  await browser.close();
}

for (const suffix of ['', '-wal', '-shm']) rmSync(FILE + suffix, { force: true });
const strapi = spawn(process.execPath, ['node_modules/@strapi/strapi/bin/strapi.js', 'start'], {
  env,
  stdio: ['ignore', 'ignore', 'inherit'],
});
try {
  for (let tries = 0; ; tries += 1) {
    if (tries > 120) throw new Error('Strapi did not start.');
    await sleep(1_000);
    if (await fetch(`${URL}/_health`).catch(() => null)) break;
  }
  const admin = { firstname: 'Root', lastname: 'Admin', email: 'root@example.com' };
  await post('/admin/register-admin', { ...admin, password: PASSWORD });
  await fill();
  await takePictures();
} finally {
  strapi.kill();
}
