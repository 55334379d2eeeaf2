// The page of the demo. The client that front ends copy in does everything about tokens; this script shows its events.
import { createSession } from './session.js';

const session = createSession({ leeway: 5 });
const at = (id) => document.getElementById(id);

const OTHER_DEVICE = 'A phone (simulated by this page)';

/** Why a session ended, in words for people. */
const REASONS = {
  signed_out: 'You signed out.',
  refresh_token_reused:
    'Somebody used a copy of your refresh token, so your session was ended. Sign in again.',
  session_ended: 'Your session has ended. Sign in again.',
  refresh_token_expired: 'You were away for too long. Sign in again.',
  user_refused: 'This user is no longer allowed to sign in.',
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
        ? 'This tab refreshed and got a new access token and the next cookie.'
        : 'Another tab refreshed and passed the new access token to this tab.'
    );
  } else {
    say('Signed in with a new session.');
    // It may be another user's, because somebody can sign in outside this page.
    at('who').hidden = true;
  }
  return showInside();
});

/** The tokens are opaque to a front end; this page reads one only to show its lifetime. */
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
        `from ${one.ip}, signed in at ${timeOf(one.createdAt)}, last refreshed at ${timeOf(one.lastActivity)}, ` +
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

/** Shows what went wrong instead of failing silently. */
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
  say(`GET /api/users/me returned ${response.status}${username ? `: you are ${username}` : ''}.`);
});
onClick('others', async () => {
  const response = await api('/users/me/sessions?except=current', { method: 'DELETE' });
  say(`Other sessions ended: ${(await response.json()).ended}.`);
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
  say('Signed in on another device, which stores its own refresh token.');
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
  step(
    'You kept using the page, and your browser refreshed. The thief waits a moment, then replays the copy.'
  );
  const { status, code } = await thief('replay');
  say(`The thief gets ${status} ${code}.`, true);
  // This request gets a 401, and so does the refresh after it.
  await api('/users/me');
  at('theft').hidden = true;
  notice(
    `The thief is caught: ${code}. The token had already been used, so two parties have it, and the ` +
      'session was ended for both. You can sign in again. The thief cannot.',
    true
  );
});

setInterval(async () => {
  if (at('inside').hidden) return;
  const left = Math.max(0, expiresAt - Date.now());
  at('left').textContent = Math.ceil(left / 1000);
  at('bar').value = left / life;
  // Refreshes when needed. If it fails, it is retried in a moment.
  await session.accessToken().catch(() => null);
}, 250);

if ((await session.accessToken().catch(() => null)) === null) showOutside();
