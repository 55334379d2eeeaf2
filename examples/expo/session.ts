import * as SecureStore from 'expo-secure-store';
import { reactSession } from './client/react';
import { createSession } from './client/session';

const KEY = 'refresh-token';

/**
 * By default, iOS refuses to read an entry while the device is locked, and a refresh in the background fails. Only on this
 * device: if a backup brought the token to a second one, both would use it, and the session would end as stolen.
 */
const OPTIONS = { keychainAccessible: SecureStore.AFTER_FIRST_UNLOCK_THIS_DEVICE_ONLY };

export const session = createSession({
  // On a simulator or phone, `localhost` is that device: use your computer's address.
  baseUrl: process.env.EXPO_PUBLIC_STRAPI_URL,
  transport: 'body',
  store: {
    get: () => SecureStore.getItemAsync(KEY),
    set: (token) => SecureStore.setItemAsync(KEY, token, OPTIONS),
    delete: () => SecureStore.deleteItemAsync(KEY),
  },
});

export const { useSession, reload } = reactSession(session);
