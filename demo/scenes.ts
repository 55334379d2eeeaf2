import { setTimeout as sleep } from 'timers/promises';
import type { Transcript } from './transcript';

export const USERS = ['ada', 'bob'] as const;

/** Milliseconds. The demo's grace period is 2 s. */
export const GRACE_IS_OVER = 2_100;

/** What the extension is for, in eight scenes. */
export async function play(transcript: Transcript): Promise<void> {
  const signIn = (name: (typeof USERS)[number], fields = {}) =>
    transcript.call({
      path: '/auth/local',
      body: { identifier: name, password: `${name}-password`, ...fields },
    });
  const refresh = (refreshToken: string) =>
    transcript.call({ path: '/token/refresh', body: { refreshToken } });
  const me = (bearer: string) => transcript.call({ method: 'GET', path: '/users/me', bearer });

  transcript.scene('Ada signs in, as a browser does.');
  const ada = await signIn('ada');
  transcript.expect(
    ada.status === 200 && ada.cookie !== '' && !ada.body.refreshToken,
    'A short-lived jwt in the JSON; the refresh token only in an httpOnly cookie, which no script can read.'
  );

  transcript.scene('Her access token has run out: the browser refreshes by its cookie.');
  const refreshed = await transcript.call({ path: '/token/refresh', cookie: ada.cookie });
  transcript.expect(
    refreshed.status === 200 && refreshed.cookie !== '' && refreshed.cookie !== ada.cookie,
    'A new jwt, and the next refresh token in the cookie.'
  );
  const adaNow = await me(refreshed.body.jwt);
  transcript.expect(adaNow.body.username === 'ada', 'The new jwt is Ada’s.');

  transcript.scene('Bob signs in from an app (or Postman), which keeps its tokens itself.');
  const bob = await signIn('bob', { requestRefresh: true });
  transcript.expect(
    bob.status === 200 && Boolean(bob.body.refreshToken) && bob.cookie === '',
    'The refresh token is in the JSON, and there is no cookie.'
  );

  transcript.scene('Bob’s app refreshes by the body.');
  const second = await refresh(bob.body.refreshToken);
  transcript.expect(second.body.refreshToken !== bob.body.refreshToken, 'The token was rotated.');
  await me(second.body.jwt);

  transcript.scene('Two tabs race with the same token.');
  const [left, right] = await Promise.all([
    refresh(second.body.refreshToken),
    refresh(second.body.refreshToken),
  ]);
  transcript.expect(
    left.status === 200 && left.body.refreshToken === right.body.refreshToken,
    'Both are answered, with the same next token: nobody is signed out.'
  );
  await me(left.body.jwt);

  transcript.scene(
    'An answer is lost in a tunnel. The app comes back with the token it still has.'
  );
  const lost = await refresh(left.body.refreshToken);
  console.log('     (the app never sees this answer; the grace period passes)');
  await sleep(GRACE_IS_OVER);
  const again = await refresh(left.body.refreshToken);
  transcript.expect(
    again.status === 200 && again.body.refreshToken !== lost.body.refreshToken,
    'It gets in, with another token: the one that got lost is dead, whoever holds it.'
  );
  await me(again.body.jwt);

  transcript.scene('A thief has copied that token earlier, and replays it now.');
  await sleep(GRACE_IS_OVER);
  const stolen = await refresh(left.body.refreshToken);
  transcript.expect(
    stolen.body.error?.details.code === 'refresh_token_reused',
    'Caught: the token was used before, so somebody else holds it too.'
  );
  const owner = await refresh(again.body.refreshToken);
  const access = await me(again.body.jwt);
  transcript.expect(
    owner.body.error?.details.code === 'session_ended' && access.status === 401,
    'The whole session is over at once, for the thief and for Bob, who signs in again.'
  );

  transcript.scene('Ada signs out.');
  const out = await transcript.call({ path: '/token/revoke', cookie: refreshed.cookie });
  const dead = await me(refreshed.body.jwt);
  transcript.expect(
    out.body.ok === true && dead.status === 401,
    'The cookie is cleared, and her access token is dead at once, long before it runs out.'
  );
}
