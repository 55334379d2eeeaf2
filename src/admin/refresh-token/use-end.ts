import { useCallback, useRef } from 'react';
import { useAPIErrorHandler, useNotification } from '@strapi/strapi/admin';
import { statusOf } from './api';
import { useTexts } from './texts';

/**
 * Ends sessions and says how it went. While one request is in progress, no other is sent.
 *
 * @returns a function that takes the request and returns whether the sessions have ended. The request returns their number
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
        // Someone else ended it first, so there is nothing left to do.
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
