import { QueryClient, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { session } from './session';

/** A response that is not 2xx. */
class ResponseError extends Error {
  constructor(readonly status: number) {
    super(`The server returned ${status}.`);
  }
}

/** Calls a path of the API as the signed-in user. The session refreshes, and repeats after 401. */
async function call<T>(path: string, init?: RequestInit): Promise<T> {
  const response = await session.fetch(`/api${path}`, init);
  if (!response.ok) throw new ResponseError(response.status);
  return response.json();
}

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // Asking again doesn't help where the server has refused.
      retry: (count, error) => count < 3 && !(error instanceof ResponseError && error.status < 500),
    },
  },
});

// Everything in the cache is what the previous user could see.
session.subscribe(({ type }) => {
  if (type !== 'refreshed') queryClient.clear();
});

export interface Device {
  id: string;
  userAgent: string | null;
  lastActivity: string;
  current: boolean;
}

/** @param userId in the key, so that a response that arrives late is never shown to another user */
export const useDevices = (userId: number) =>
  useQuery({
    queryKey: ['devices', userId],
    queryFn: () => call<Device[]>('/users/me/sessions'),
  });

export function useEndOthers() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () =>
      call<{ ended: number }>('/users/me/sessions?except=current', { method: 'DELETE' }),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['devices'] }),
  });
}
