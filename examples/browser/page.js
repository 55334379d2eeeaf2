// The page of the demo. All that concerns tokens is done by the client that front ends copy in; this shows what it tells.
import { createSession } from './session.js';

const session = createSession({ leeway: 5 });
const at = (id) => document.getElementById(id);

const OTHER_DEVICE = 'A phone, played by this page';

/** Why a session ended, for people. */
const REASONS = {
  signed_out: 'You signed out.',
  refresh_token_reused:
    'Somebody else used a copy of your refresh token, so the session was ended. Sign in again.',
  session_ended: 'The session was ended. Sign in again.',
  refresh_token_expired: 'Nobody was here for too long. Sign in again.',
  user_refused: 'This user may not sign in any more.',
};

let life = 0;
let expiresAt = 0;
const refreshes = { 'this tab': 0, 'another tab': 0 };

session.subscribe(async (event) => {
  if (event.type === 'ended') {
    say(REASONS[event.code] ?? event.message ?? event.code, event.code !== 'signed_out');
    return showOutside(REASONS[event.code] ?? event.message, event.code !== 'signed_out');
  }
  if (event.type === 'refreshed') {
    refreshes[event.by] += 1;
    expiresAt = event.expiresAt;
    say(
      event.by === 'this tab'
        ? 'This tab refreshed: a new access token, and the next cookie.'
        : 'Another tab refreshed, and handed the new access token to this one.'
    );
  } else {
    say('Signed in: a new session.');
    // It may be another user's: somebody can sign in without this page.
    at('who').hidden = true;
  }
  return showInside();
});

/** The tokens are opaque to a front end; this page looks into one only to tell how long it lives. */
function readLife(jwt) {
  const { iat, exp } = JSON.parse(atob(jwt.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
  return (exp - iat) * 1000;
}

async function showInside() {
  const jwt = await session.accessToken();
  if (jwt === null) return;
  life = readLife(jwt);
  if (expiresAt < Date.now()) expiresAt = Date.now() + life;
  at('outside').hidden = true;
  at('inside').hidden = false;
  at('notice').hidden = true;
  at('by-this').textContent = refreshes['this tab'];
  at('by-another').textContent = refreshes['another tab'];
  at('life').textContent = life / 1000;
  at('demo-life').textContent = life / 1000;
  at('cookie').textContent = document.cookie === '' ? '"" (empty)' : document.cookie;
  if (at('who').hidden) at('name').textContent = (await (await api('/users/me')).json()).username;
  at('who').hidden = false;
  await showSessions();
}

function showOutside(reason, isBad) {
  expiresAt = 0;
  const wasInside = !at('inside').hidden;
  at('inside').hidden = true;
  at('who').hidden = true;
  at('outside').hidden = false;
  notice(reason, isBad);
  if (wasInside) at('form').elements.identifier.focus();
}

function notice(text, isBad) {
  at('notice').hidden = !text;
  at('notice').textContent = text ?? '';
  at('notice').classList.toggle('bad', Boolean(isBad));
}

const api = (path, init) => session.fetch(`/api${path}`, init);

async function showSessions() {
  const response = await api('/users/me/sessions');
  if (!response.ok) return;
  const sessions = await response.json();
  const items = sessions
    .sort((a, b) => b.current - a.current)
    .map((one) => {
      const item = at('session').content.cloneNode(true);
      item.querySelector('.device').textContent = one.description ?? deviceOf(one.userAgent);
      item.querySelector('.badge').hidden = !one.current;
      item.querySelector('.details').textContent =
        `from ${one.ip}, signed in ${timeOf(one.createdAt)}, last refreshed ${timeOf(one.lastActivity)}, ` +
        `refresh token in ${one.transport === 'cookie' ? 'a cookie' : 'the body'}`;
      const button = item.querySelector('button');
      button.setAttribute('aria-label', `Sign out ${one.description ?? deviceOf(one.userAgent)}`);
      button.addEventListener('click', () => endSession(one));
      return item;
    });
  at('sessions').replaceChildren(...items);
}

const deviceOf = (userAgent) =>
  /Firefox|Edg|Chrome|Safari/.exec(userAgent ?? '')?.[0] ?? 'Unknown device';
const timeOf = (date) => new Date(date).toTimeString().slice(0, 8);

async function endSession(one) {
  if (one.current) return session.signOut();
  await api(`/users/me/sessions/${one.id}`, { method: 'DELETE' });
  say(`Ended the session “${one.description ?? deviceOf(one.userAgent)}”.`);
  return showSessions();
}

function say(text, isBad = false) {
  const item = document.createElement('li');
  const time = document.createElement('time');
  time.textContent = timeOf(Date.now());
  const what = document.createElement('span');
  what.textContent = text;
  what.classList.toggle('bad', isBad);
  item.append(time, what);
  at('log').querySelector('.empty')?.remove();
  at('log').prepend(item);
}

/** Buttons say what went wrong, instead of doing nothing. */
const onClick = (id, act) =>
  at(id).addEventListener('click', async (event) => {
    event.currentTarget.disabled = true;
    try {
      await act();
    } catch (error) {
      say(error.message, true);
    } finally {
      at(id).disabled = false;
    }
  });

at('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  at('refused').textContent = '';
  try {
    await session.signIn(Object.fromEntries(new FormData(event.target)));
  } catch (error) {
    at('refused').textContent = error.message;
  }
});

onClick('sign-out', () => session.signOut());
onClick('refresh', () => session.refresh());
onClick('call', async () => {
  const response = await api('/users/me');
  const { username } = await response.json();
  say(`GET /api/users/me answered ${response.status}${username ? `: you are ${username}` : ''}.`);
});
onClick('others', async () => {
  const response = await api('/users/me/sessions?except=current', { method: 'DELETE' });
  say(`Ended ${(await response.json()).ended} other sessions.`);
  await showSessions();
});
onClick('another', async () => {
  const name = at('name').textContent;
  const response = await fetch('/api/auth/local', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      identifier: name,
      password: `${name}-password`,
      requestRefresh: true,
      sessionDescription: OTHER_DEVICE,
    }),
  });
  if (!response.ok) throw new Error((await response.json()).error.message);
  say('Signed in on another device, which keeps its refresh token itself.');
  await showSessions();
});

onClick('steal', async () => {
  const step = (text) => {
    at('theft').hidden = false;
    at('theft').textContent = text;
    say(text);
  };
  const thief = async (act) => (await fetch(`/demo/thief/${act}`, { method: 'POST' })).json();

  await thief('copy');
  step('The thief has copied your cookie.');
  await session.refresh();
  await api('/users/me');
  step('You went on, and your browser refreshed. The thief waits a little, and replays the copy.');
  const { status, code } = await thief('replay');
  say(`The thief is answered ${status} ${code}.`, true);
  // Which is answered 401, and the refresh after it too.
  await api('/users/me');
  at('theft').hidden = true;
  notice(
    `The thief is caught: ${code}. A token that was used before came a second time, so two parties hold it, and the ` +
      'session was ended for both. Sign in again: the thief cannot.',
    true
  );
});

setInterval(async () => {
  if (at('inside').hidden) return;
  const left = Math.max(0, expiresAt - Date.now());
  at('left').textContent = Math.ceil(left / 1000);
  at('bar').value = left / life;
  // Refreshes when it is time. What fails now is tried again in a moment.
  await session.accessToken().catch(() => null);
}, 250);

if ((await session.accessToken().catch(() => null)) === null) showOutside();
