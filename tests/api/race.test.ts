import { calls, claims } from '../support/client';
import { boot } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
beforeAll(async () => {
  server = await boot();
});
afterAll(() => server.stop());

test('20 parallel refreshes of one token all succeed with the same next token, 100 times in a row', async () => {
  const call = calls(server);
  let { refreshToken } = (await call.signIn(await server.user())).body;

  for (let round = 1; round <= 100; round += 1) {
    const tabs = await Promise.all(Array.from({ length: 20 }, () => call.refresh(refreshToken)));
    expect(tabs.map((tab) => tab.status)).toEqual(Array(20).fill(200));
    expect(new Set(tabs.map((tab) => tab.body.refreshToken)).size).toBe(1);
    ({ refreshToken } = tabs[0].body);
    expect(claims(refreshToken).gen).toBe(round);
  }
  expect(await server.rows()).toHaveLength(1);
});
