import { useSessionsApi } from './api';
import type { Session, SessionFilter, SessionList, SessionsApi } from './api';
import { useEnd } from './use-end';
import { useLoaded } from './use-loaded';
import type { Loaded } from './use-loaded';

/** Which sessions to end. */
type Which = Parameters<SessionsApi['endMany']>[0];

export interface Sessions {
  list: Loaded<SessionList>;
  /** Both return whether the sessions have ended. */
  endOne(session: Session): Promise<boolean>;
  endMany(which: Which): Promise<boolean>;
}

/** @param onEnded called after sessions have ended, while the list loads again */
export function useSessions(filter: SessionFilter, onEnded: () => void = () => {}): Sessions {
  const api = useSessionsApi();
  const list = useLoaded((signal) => api.list(filter, signal), JSON.stringify(filter));
  const end = useEnd();

  const reload = () => {
    list.reload();
    onEnded();
  };
  return {
    list,
    async endOne({ id }) {
      const hasEnded = await end(() => api.end(id));
      if (!hasEnded) return false;
      list.update((page) => ({
        ...page,
        sessions: page.sessions.filter((session) => session.id !== id),
      }));
      reload();
      return true;
    },
    async endMany(which) {
      const hasEnded = await end(() => api.endMany(which));
      if (hasEnded) reload();
      return hasEnded;
    },
  };
}
