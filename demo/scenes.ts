import { setTimeout as sleep } from 'timers/promises';
import type { Transcript } from './transcript';

export const USERS = ['ada', 'bob'] as const;

/** Milliseconds. The demo's grace period is 2 s. */
export const GRACE_IS_OVER = 2_100;

/** What the extension does, in eight scenes. */
export async function play(transcript: Transcript): Promise<void> {
  const signIn = (name: (typeof USERS)[number], fields = {}) =>
    transcript.call({
      path: '/auth/local',
      body: { identifier: name, password: `${name}-password`, ...fields },
    });
  const refresh = (refreshToken: string) =>
    transcript.call({ path: '/token/refresh', body: { refreshToken } });
  const me = (bearer: string) => transcript.call({ method: 'GET', path: '/users/me', bearer });

  transcript.scene('Ada signs in from a browser.');
  const ada = await signIn('ada');
  transcript.expect(
    ada.status === 200 && ada.cookie !== '' && !ada.body.refreshToken,
    'The JSON has a short-lived jwt. The refresh token is only in an httpOnly cookie, which scripts cannot read.'
  );

  transcript.scene('Her access token has expired, so the browser refreshes with its cookie.');
  const refreshed = await transcript.call({ path: '/token/refresh', cookie: ada.cookie });
  transcript.expect(
    refreshed.status === 200 && refreshed.cookie !== '' && refreshed.cookie !== ada.cookie,
    'She gets a new jwt, and the next refresh token in the cookie.'
  );
  const adaNow = await me(refreshed.body.jwt);
  transcript.expect(adaNow.body.username === 'ada', 'The new jwt works for Ada.');

  transcript.scene('Bob signs in from an app (or Postman), which stores its own tokens.');
  const bob = await signIn('bob', { requestRefresh: true });
  transcript.expect(
    bob.status === 200 && Boolean(bob.body.refreshToken) && bob.cookie === '',
    'The refresh token is in the JSON, and no cookie is set.'
  );

  transcript.scene('Bob’s app refreshes with the token in the body.');
  const second = await refresh(bob.body.refreshToken);
  transcript.expect(second.body.refreshToken !== bob.body.refreshToken, 'The token was rotated.');
  await me(second.body.jwt);

  transcript.scene('Two tabs refresh at the same time with the same token.');
  const [left, right] = await Promise.all([
    refresh(second.body.refreshToken),
    refresh(second.body.refreshToken),
  ]);
  transcript.expect(
    left.status === 200 && left.body.refreshToken === right.body.refreshToken,
    'Both get the same next token. Nobody is signed out.'
  );
  await me(left.body.jwt);

  transcript.scene(
    'A response is lost in a tunnel. The app retries with the token that it still has.'
  );
  const lost = await refresh(left.body.refreshToken);
  console.log('     (the app never receives this response; the grace period passes)');
  await sleep(GRACE_IS_OVER);
  const again = await refresh(left.body.refreshToken);
  transcript.expect(
    again.status === 200 && again.body.refreshToken !== lost.body.refreshToken,
    'It gets a different token. The lost one no longer works, no matter who has it.'
  );
  await me(again.body.jwt);

  transcript.scene('A thief, who copied that token earlier, replays it.');
  await sleep(GRACE_IS_OVER);
  const stolen = await refresh(left.body.refreshToken);
  transcript.expect(
    stolen.body.error?.details.code === 'refresh_token_reused',
    'Caught: the token was already used, so someone else has it, too.'
  );
  const owner = await refresh(again.body.refreshToken);
  const access = await me(again.body.jwt);
  transcript.expect(
    owner.body.error?.details.code === 'session_ended' && access.status === 401,
    'The session ends immediately, for the thief and for Bob. Bob has to sign in again.'
  );

  transcript.scene('Ada signs out.');
  const out = await transcript.call({ path: '/token/revoke', cookie: refreshed.cookie });
  const dead = await me(refreshed.body.jwt);
  transcript.expect(
    out.body.ok === true && dead.status === 401,
    'The cookie is cleared, and her access token stops working immediately, long before it expires.'
  );
}
