import { createSession } from '../../client/session';
import { vueSession } from '../../client/vue';

// `.client`: never on the server, where all users share the process.
export default defineNuxtPlugin(() => {
  const session = createSession({ quiet: true });
  const { useSession, reload } = vueSession(session);
  return { provide: { auth: { session, useSession, reload } } };
});
