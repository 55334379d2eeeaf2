/** The session as a Vue composable. Copy it beside `session.ts` and `session-state.ts`. */

import { onMounted, onUnmounted, shallowReadonly, shallowRef } from 'vue';
import type { Session } from './session';
import { createSessionState } from './session-state';

/**
 * Call it once, where you call `createSession`.
 *
 * @returns the composable, and `reload`, which asks the server again
 */
export function vueSession(session: Session) {
  const { get, subscribe, reload } = createSessionState(session);
  /** Who is signed in. Call it in `setup`. `loading` on the server, which never asks, and until the page has hydrated. */
  function useSession() {
    const state = shallowRef(get());
    let unsubscribe = () => {};
    onMounted(() => {
      const update = () => (state.value = get());
      unsubscribe = subscribe(update);
      update();
    });
    onUnmounted(() => unsubscribe());
    return shallowReadonly(state);
  }
  return { useSession, reload };
}
