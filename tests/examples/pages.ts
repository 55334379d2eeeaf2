import type { Page } from 'playwright-core';
import { PASSWORD } from '../faults/processes';
import type { Process } from '../faults/processes';

/** What the tests of the examples share. The pages of the two single-page applications look the same. */

let users = 0;

/** Registers a user, with PASSWORD. */
export async function newUser(strapi: Process) {
  users += 1;
  const username = `user-${users}`;
  const fields = { username, email: `${username}@test.local`, password: PASSWORD };
  return { username, id: await strapi.ask('user', fields) };
}

export const clickOn = (page: Page, name: string) =>
  page.getByRole('button', { name, exact: true }).click();

/** Waits for the form. */
export const asks = (page: Page) =>
  page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();

/** Waits for the user's page, with everything on it. */
export async function shows(page: Page, username: string) {
  await page.getByRole('heading', { name: `Signed in as ${username}`, exact: true }).waitFor();
  await page.getByText('(this browser)').waitFor();
}

/** Fills in the form. */
export async function signIn(page: Page, username: string) {
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password').fill(PASSWORD);
  await clickOn(page, 'Sign in');
  await shows(page, username);
}

/**
 * @param expected what the console says of a failed response
 * @returns everything else that it will call an error or a warning, such as a failed hydration
 */
export function complaintsOf(page: Page, expected = /^Failed to load resource/): string[] {
  const complaints: string[] = [];
  page.on('pageerror', ({ message }) => complaints.push(message));
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type())) return;
    if (!expected.test(message.text())) complaints.push(message.text());
  });
  return complaints;
}

export async function expectNoReuse(strapi: Process) {
  const log = await strapi.ask('log');
  expect(log.filter((line) => line.includes('reuse of a refresh token'))).toEqual([]);
}
