import { reactSession } from '../client/react';
import { createSession } from '../client/session';

function make() {
  const baseUrl = import.meta.env.VITE_STRAPI_URL ?? 'http://localhost:1337';
  const session = createSession({ baseUrl, quiet: true });
  return { session, ...reactSession(session) };
}

// One for the page, even if Vite loads this module again after an edit.
const one: ReturnType<typeof make> = import.meta.hot
  ? (import.meta.hot.data.one ??= make())
  : make();
export const { session, useSession, reload } = one;
