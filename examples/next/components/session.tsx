'use client';

import { useEffect, useState } from 'react';
import type { ReactNode } from 'react';
import { claimsOf } from '@/lib/claims';
import { session } from '@/lib/session';

let isLeaving = false;

/** A full page load drops what Next.js has cached for the user, which the back button would show otherwise. */
export function leave(page: string) {
  if (isLeaving) return;
  isLeaving = true;
  location.replace(page);
}

/**
 * In the layout of the application: leaves the page when the session ends, here or in another tab. If an admin ends it, as soon as
 * this page asks Strapi for something.
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

/**
 * In the layout of what is rendered for a user: reloads if someone else is signed in by now, and leaves if nobody is. That may have
 * happened in another tab, even while this page was loading, and Next.js shows pages from its cache.
 */
export function ReloadForOthers({ userId }: { userId: number }) {
  useEffect(() => {
    const compare = () =>
      session
        .accessToken()
        .then((jwt) => {
          if (!jwt) leave('/login');
          else if (claimsOf(jwt).id !== userId) location.reload();
        })
        // Unknown, as when Strapi is down. The next event may tell.
        .catch(() => {});
    void compare();
    return session.subscribe((event) => event.type !== 'ended' && compare());
  }, [userId]);
  return null;
}

/**
 * In the sign-in page, around the form: opens the user's page if the session is alive. Someone may have followed a link here, or Strapi
 * has refused an access token before its time, as after a change of JWT_SECRET. The page then uses the one that has just worked here.
 */
export function UnlessSignedIn({ children }: { children: ReactNode }) {
  const [isSignedOut, setIsSignedOut] = useState(false);
  const [failure, setFailure] = useState<Error>();
  useEffect(() => {
    session
      .fetch('/api/users/me')
      .then(({ ok, status }) => {
        if (ok) leave('/me');
        else if (![401, 403].includes(status)) throw new Error(`Strapi returned ${status}.`);
        else if (!isLeaving) setIsSignedOut(true);
      })
      .catch(setFailure);
  }, []);
  // For error.tsx: this is not a sign-out.
  if (failure) throw failure;
  return isSignedOut ? children : <p>One moment…</p>;
}

export function SignOut() {
  const [error, setError] = useState('');
  async function signOut() {
    // Not at the event that it causes: leaving then would abort the request.
    isLeaving = true;
    try {
      await session.signOut();
      location.replace('/login');
    } catch {
      isLeaving = false;
      setError('The server could not be reached, so you are still signed in there. Try again.');
    }
  }
  return (
    <>
      <button style={{ border: '1px solid' }} onClick={signOut}>
        Sign out
      </button>
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
        else setError(`Strapi returned ${response.status}.`);
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
