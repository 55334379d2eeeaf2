/** The session as a React hook. Copy it beside `session.ts` and `session-state.ts`. */

import { useSyncExternalStore } from 'react';
import type { Session } from './session';
import { createSessionState, LOADING } from './session-state';

const onServer = () => LOADING;

/**
 * Call it once, where you call `createSession`.
 *
 * @returns the hook, and `reload`, which asks the server again
 */
export function reactSession(session: Session) {
  const { get, subscribe, reload } = createSessionState(session);
  /** Who is signed in. `loading` on the server and until the page has hydrated. */
  const useSession = () => useSyncExternalStore(subscribe, get, onServer);
  return { useSession, reload };
}
