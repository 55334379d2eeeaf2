import { useState } from 'react';
import type { User } from '../client/session';
import { useDevices, useEndOthers } from './queries';
import { reload, session, useSession } from './session';
import { SignIn } from './SignIn';

export function App() {
  const state = useSession();
  const [isHalfSignedOut, setHalfSignedOut] = useState(false);

  // It throws if the server could not be reached: the session is over in this browser, but its cookie is still here.
  const signOut = () =>
    session.signOut().then(
      () => setHalfSignedOut(false),
      () => setHalfSignedOut(true)
    );

  if (state.status === 'loading') return <p>Loading …</p>;
  if (state.status === 'unknown') {
    return (
      <main>
        <p>The server cannot be reached. You may still be signed in.</p>
        <button onClick={() => reload()}>Try again</button>
      </main>
    );
  }
  // The key: nothing of one user's page is kept for the next one.
  if (state.status === 'signed-in') {
    return <Home key={state.user.id} user={state.user} onSignOut={signOut} />;
  }
  return (
    <main>
      {isHalfSignedOut && (
        <p role="alert">
          The server could not be reached, so whoever reloads this page is signed in as you.{' '}
          <button onClick={signOut}>Sign out again</button>
        </p>
      )}
      <SignIn reason={state.code} />
    </main>
  );
}

function Home({ user, onSignOut }: { user: User; onSignOut(): void }) {
  const devices = useDevices(user.id);
  const endOthers = useEndOthers();

  return (
    <main>
      <h1>Signed in as {user.username}</h1>
      {devices.fetchStatus === 'paused' && <p>You are offline.</p>}
      {devices.error && <p role="alert">{devices.error.message}</p>}
      <ul>
        {devices.data?.map((device) => (
          <li key={device.id}>
            {device.userAgent}, last active {new Date(device.lastActivity).toLocaleString()}
            {device.current && ' (this browser)'}
          </li>
        ))}
      </ul>
      <button onClick={() => devices.refetch()}>Update</button>
      <button onClick={() => endOthers.mutate()}>Sign out everywhere else</button>
      <button onClick={onSignOut}>Sign out</button>
    </main>
  );
}
