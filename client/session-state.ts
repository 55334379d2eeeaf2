/** Who is signed in, as a value to show: for `react.ts`, `vue.ts`, and any other framework. */

import { globals } from './session-http';
import type { EndCode, Session, User } from './session';

export type SessionState =
  | { status: 'loading'; user: null }
  | { status: 'signed-in'; user: User }
  /** `code`: why the session ended. Missing if there was none when the page loaded. */
  | { status: 'signed-out'; user: null; code?: EndCode | undefined }
  /** The server could not be reached: neither signed in nor out. It is asked again when the browser is back online. */
  | { status: 'unknown'; user: null; error: unknown };

export interface SessionStateStore {
  /** The same object until something changes. */
  get(): SessionState;
  /** Asks the server when it is first called. @returns a function that unsubscribes */
  subscribe(listener: () => void): () => void;
  /** Asks the server again, for example to retry, or because the user's data has changed. */
  reload(): Promise<void>;
}

/** Before anything is known, and while a server renders. */
export const LOADING: SessionState = { status: 'loading', user: null };

/** Call it once for each session: it listens to the session for as long as the page lives. */
export function createSessionState(session: Session): SessionStateStore {
  let state = LOADING;
  let isStarted = false;
  const listeners = new Set<() => void>();
  const set = (next: SessionState) => {
    state = next;
    for (const listener of [...listeners]) listener();
  };

  /** Counts what has happened, to drop an answer from before. */
  let version = 0;
  async function reload() {
    const asked = (version += 1);
    isStarted = true;
    const next = await session.restore().then(
      (user): SessionState =>
        user ? { status: 'signed-in', user } : { status: 'signed-out', user: null },
      (error: unknown): SessionState => ({ status: 'unknown', user: null, error })
    );
    if (version === asked) set(next);
  }

  session.subscribe((event) => {
    if (event.type === 'refreshed') {
      if (state.status === 'unknown') void reload();
      return;
    }
    version += 1;
    isStarted = true;
    if (event.type === 'ended') set({ status: 'signed-out', user: null, code: event.code });
    else if (event.user) set({ status: 'signed-in', user: event.user as User });
    else {
      // Someone else, perhaps: do not show the previous user until it is known who.
      set(LOADING);
      void reload();
    }
  });
  globals.addEventListener?.('online', () => {
    if (state.status === 'unknown') void reload();
  });

  return {
    get: () => state,
    subscribe(listener) {
      // A listener that is subscribed twice is called twice.
      const own = () => listener();
      listeners.add(own);
      if (!isStarted) void reload();
      return () => void listeners.delete(own);
    },
    reload,
  };
}
