import { useCallback, useEffect, useRef, useState } from 'react';

export interface Loaded<T> {
  /** The last response. It stays while the next one loads. */
  data: T | null;
  error: unknown;
  isLoading: boolean;
  reload(): void;
  /** Changes the data immediately, before a reload confirms it. */
  update(change: (data: T) => T): void;
}

/**
 * Loads something and keeps it. A response that arrives after a newer request was sent is dropped.
 *
 * @param load sends the request
 * @param key loads again when it changes
 */
export function useLoaded<T>(load: (signal: AbortSignal) => Promise<T>, key = ''): Loaded<T> {
  const [round, setRound] = useState(0);
  const [state, setState] = useState<{ data: T | null; error: unknown; isLoading: boolean }>({
    data: null,
    error: null,
    isLoading: true,
  });
  const latest = useRef(load);
  latest.current = load;

  useEffect(() => {
    const controller = new AbortController();
    const settle = (result: { data: T; error: null } | { error: unknown }) => {
      if (!controller.signal.aborted) setState((old) => ({ ...old, ...result, isLoading: false }));
    };
    setState((old) => ({ ...old, isLoading: true }));
    latest.current(controller.signal).then(
      (data) => settle({ data, error: null }),
      (error) => settle({ error })
    );
    return () => controller.abort();
  }, [key, round]);

  const reload = useCallback(() => setRound((count) => count + 1), []);
  const update = useCallback(
    (change: (data: T) => T) =>
      setState((old) => (old.data === null ? old : { ...old, data: change(old.data) })),
    []
  );
  return { ...state, reload, update };
}
