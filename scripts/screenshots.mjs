// `npm run screenshots`: takes the README's screenshots of the demo page. Needs a running `npm run demo`, and Chromium in
// TEST_BROWSER.
import { chromium } from 'playwright-core';

const url = `http://127.0.0.1:${process.env.PORT || 1337}`;
const browser = await chromium.launch({
  executablePath: process.env.TEST_BROWSER || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-background-networking'],
});

for (const [name, viewport] of [
  ['desktop', { width: 1100, height: 1000 }],
  ['phone', { width: 390, height: 1000 }],
]) {
  const context = await browser.newContext({ viewport });
  const page = await context.newPage();
  const clickOn = (button) => page.getByRole('button', { name: button, exact: true }).click();
  await page.goto(url);
  await clickOn('Sign in');
  await page.getByText('Signed in as ada').waitFor();
  await clickOn('Sign out everywhere else');
  await clickOn('Sign in on another device');
  await clickOn('Refresh now');
  await page.waitForTimeout(9_000);
  await page.screenshot({ path: `docs/page-${name}.png` });
  await context.close();
}
await browser.close();
