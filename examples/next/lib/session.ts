import { createSession } from '@/client/session';

/** The browser's session. It calls this application, whose route handler calls Strapi. */
export const session = createSession();
