import { chromium } from 'playwright-core';
import type { BrowserContext, Page } from 'playwright-core';

/** A host on this machine that is a different site than the demo's. */
export const ELSEWHERE = 'elsewhere.test';

/** Two hosts of one site on this machine. */
export const HOST = 'app.shop.test';
export const SISTER = 'blog.shop.test';

const LAUNCH = {
  // Set by TEST_BROWSER, without which this Jest project does not exist. A path without a browser fails.
  executablePath: process.env.TEST_BROWSER,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // Otherwise a background tab is throttled, and waits longer than the test.
    '--disable-background-timer-throttling',
    '--disable-renderer-backgrounding',
    `--host-resolver-rules=${[ELSEWHERE, HOST, SISTER].map((host) => `MAP ${host} 127.0.0.1`)}`,
  ],
};

/** @param rules more names of this machine, as Chromium's --host-resolver-rules */
export const launch = (rules: string[] = []) => chromium.launch(withRules(rules));

const withRules = (rules: string[]) => ({
  ...LAUNCH,
  args: LAUNCH.args.map((arg) =>
    arg.startsWith('--host-resolver-rules=') ? [arg, ...rules].join(',') : arg
  ),
});

/** A browser that keeps pages for the back button, which Playwright turns off. */
export const launchWithBackForwardCache = () =>
  chromium.launch({ ...LAUNCH, ignoreDefaultArgs: ['--disable-back-forward-cache'] });

/** A browser with a profile that persists. */
export const launchWithProfile = (folder: string, rules: string[] = []): Promise<BrowserContext> =>
  chromium.launchPersistentContext(folder, { ...withRules(rules), ignoreHTTPSErrors: true });

/** Signs in on the page, as ada, and waits until the page shows it. */
export async function signIn(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByText('Signed in as ada').waitFor();
}

/** @returns the paths of the POST requests that a context's pages make from now on */
export function watchPosts(context: BrowserContext): string[] {
  const paths: string[] = [];
  context.on('request', (request) => {
    if (request.method() === 'POST') paths.push(new URL(request.url()).pathname);
  });
  return paths;
}
