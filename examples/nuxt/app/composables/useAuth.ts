import { LOADING } from '../../client/session-state';

/**
 * The session, and `state`: who is signed in. Call it in `setup`. While the server renders, the state is `loading`, and the
 * session must not be used: call it in event handlers and in `onMounted`.
 */
export function useAuth() {
  const { $auth } = useNuxtApp();
  const state = $auth ? $auth.useSession() : shallowRef(LOADING);
  return { state, session: $auth?.session, reload: $auth?.reload };
}
