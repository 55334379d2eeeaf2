/** What surrounds the session of `session.ts`: the page, its listeners and its storage. */

import { globals, valueOr } from './session-http';
import type { Dependencies, SessionEvent, TokenStore } from './session-tokens';

/** @returns a function that stops watching */
export function watchPage(onVisible: () => void, onRestored: () => void): () => void {
  const onVisibilityChange = () => {
    if (globals.document.visibilityState === 'visible') onVisible();
  };
  /** A page restored by the back button has received no messages meanwhile. */
  const onPageShow = (event: { persisted: boolean }) => {
    if (event.persisted) onRestored();
  };
  globals.document?.addEventListener?.('visibilitychange', onVisibilityChange);
  if (globals.document) globals.addEventListener?.('pageshow', onPageShow);
  return () => {
    globals.document?.removeEventListener?.('visibilitychange', onVisibilityChange);
    if (globals.document) globals.removeEventListener?.('pageshow', onPageShow);
  };
}

export function createEmitter() {
  const listeners = new Set<(event: SessionEvent) => unknown>();
  const events: SessionEvent[] = [];
  return {
    emit(event: SessionEvent): void {
      // A listener may cause the next event. All listeners get the events in the same order.
      if (events.push(event) > 1) return;
      for (const next of events) {
        for (const listener of [...listeners]) {
          // Async, so that a rejection is caught as well. It still calls the listener immediately.
          if (listeners.has(listener)) (async () => listener(next))().catch(report);
        }
      }
      events.length = 0;
    },
    subscribe(listener: (event: SessionEvent) => unknown): () => void {
      const own = (event: SessionEvent) => listener(event);
      listeners.add(own);
      return () => void listeners.delete(own);
    },
    unsubscribeAll: () => listeners.clear(),
  };
}

/** An error in the page's own listener is reported and breaks nothing here. In Node, a throw would end the process. */
function report(error: unknown): void {
  if (globals.document && globals.reportError) globals.reportError(error);
  else globals.console.error(error);
}

/** @param key in localStorage, or null to assume that there may be a session, as where storage is blocked */
export function createMarker(key: string | null): Dependencies['marker'] {
  const storage = key && valueOr(null, () => globals.localStorage);
  return {
    isSet: () => !storage || storage.getItem(key) !== null,
    set(mayHaveSession) {
      if (!storage) return;
      // Full storage throws.
      if (mayHaveSession) valueOr(null, () => storage.setItem(key, ''));
      else storage.removeItem(key);
    },
  };
}

export function memoryStore(): TokenStore {
  let kept: string | null = null;
  return {
    get: () => kept,
    set: (token) => (kept = token),
    delete: () => (kept = null),
  };
}
