import { useCallback, useRef } from 'react';
import { useAPIErrorHandler, useNotification } from '@strapi/strapi/admin';
import { statusOf } from './api';
import { useTexts } from './texts';

/**
 * Ends sessions and says how it went. While one request is on its way, another one is not sent.
 *
 * @returns a function that takes the request, which answers how many sessions it ended; it returns whether they have ended
 */
export function useEnd(): (request: () => Promise<number>) => Promise<boolean> {
  const { t, plural } = useTexts();
  const { toggleNotification } = useNotification();
  const { formatAPIError } = useAPIErrorHandler();
  const isBusy = useRef(false);

  return useCallback(
    async (request) => {
      if (isBusy.current) return false;
      isBusy.current = true;
      try {
        const message = plural('ended', await request());
        toggleNotification({ type: 'success', message });
        return true;
      } catch (error) {
        // Somebody else ended it first: that is what was asked for.
        const isGone = statusOf(error) === 404;
        const message = isGone
          ? t('ended.already')
          : formatAPIError(error as Parameters<typeof formatAPIError>[0]);
        toggleNotification({ type: isGone ? 'info' : 'danger', message });
        return isGone;
      } finally {
        isBusy.current = false;
      }
    },
    [t, plural, toggleNotification, formatAPIError]
  );
}
