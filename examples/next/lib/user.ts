import { cookies, headers } from 'next/headers';
import { connection } from 'next/server';
import { cache } from 'react';
import { ACCESS, callStrapi, lifeLeft, REFRESH } from './strapi';

export interface User {
  id: number;
  username: string;
  email: string;
}

/**
 * `fetch` as the signed-in user, in server components and server actions. It never refreshes: a server component cannot set
 * the new cookie. proxy.ts has done that.
 *
 * @param path from `/api` on
 * @throws Error if the path of the page is missing from the matcher of proxy.ts; what `fetch` throws
 */
export async function strapi(path: string, init: RequestInit = {}): Promise<Response> {
  // Never while Next.js prerenders.
  await connection();
  const jar = await cookies();
  const jwt = jar.get(ACCESS)?.value;
  const isAlive = lifeLeft(jwt) > 0;
  // No access token does not mean signed out. Next.js gets here when it prefetches, and asks again when the page is opened.
  if (!isAlive && jar.has(REFRESH)) {
    throw new Error('No access token: add this page to the matcher of proxy.ts.');
  }
  const own = new Headers(init.headers);
  if (isAlive) own.set('authorization', `Bearer ${jwt}`);
  return callStrapi(path, { headers: await headers() }, ['user-agent'], { ...init, headers: own });
}

/**
 * Who is signed in, or null: `if (!user) redirect('/login')`. It asks once for each page.
 *
 * @throws Error if that is unknown, for example because Strapi is down
 */
export const currentUser = cache(async (): Promise<User | null> => {
  // Never while Next.js prerenders.
  await connection();
  const jar = await cookies();
  // The browser forgets the access token when it closes, but the refresh cookie may expire before.
  if (!jar.has(REFRESH) && lifeLeft(jar.get(ACCESS)?.value) <= 0) return null;
  const response = await strapi('/api/users/me');
  if (response.ok) return response.json();
  if (response.status === 401) return null;
  throw new Error(`GET /api/users/me: Strapi returned ${response.status}.`);
});
