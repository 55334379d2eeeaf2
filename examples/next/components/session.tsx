'use client';

import { useEffect, useState } from 'react';
import { session } from '@/lib/session';

let isSigningOut = false;

function leave(page: string) {
  // The tab that signs out waits for the server first: leaving now would abort its request.
  if (!isSigningOut) location.replace(page);
}

/**
 * In the layout of the application: leaves the page when the session ends, here, in another tab or by an admin. A full page load
 * drops what Next.js has cached for the user, which the back button would show otherwise.
 */
export function LeaveWhenEnded() {
  useEffect(
    () =>
      session.subscribe((event) => {
        if (event.type === 'ended') leave(`/login?ended=${event.code}`);
      }),
    []
  );
  return null;
}

/** In the layout of what is rendered for the user: someone else has signed in, here or in another tab. */
export function ReloadForOthers() {
  useEffect(
    () => session.subscribe((event) => event.type === 'signed-in' && location.reload()),
    []
  );
  return null;
}

export function SignOut() {
  const [error, setError] = useState('');
  async function signOut() {
    isSigningOut = true;
    try {
      await session.signOut();
      location.replace('/login');
    } catch {
      setError('The server could not be reached, so you are still signed in there. Try again.');
    }
  }
  return (
    <>
      <button onClick={signOut}>Sign out</button>
      <p role="alert">{error}</p>
    </>
  );
}

/** What the browser itself requests. */
export function Devices() {
  const [devices, setDevices] = useState<{ id: string; userAgent: string }[]>([]);
  const [error, setError] = useState('');
  useEffect(() => {
    session
      .fetch('/api/users/me/sessions')
      .then(async (response) => {
        // 401 and 403: signed out. LeaveWhenEnded knows about a session that ends. Here, there may have been none.
        if (response.ok) setDevices(await response.json());
        else if ([401, 403].includes(response.status)) leave('/login');
        else setError(`Strapi answered ${response.status}.`);
      })
      .catch((reason: Error) => setError(reason.message));
  }, []);
  return (
    <>
      <ul aria-label="Devices">
        {devices.map(({ id, userAgent }) => (
          <li key={id}>{userAgent}</li>
        ))}
      </ul>
      <p role="alert">{error}</p>
    </>
  );
}
