import { NextResponse } from 'next/server';
import type { NextRequest } from 'next/server';
import { ACCESS, callStrapi, cookieLines, lifeLeft, REFRESH } from './lib/strapi';

/**
 * Refreshes before a page is rendered, once in the life of an access token. Then it redirects to the same address: the browser
 * has stored the new cookies before anything uses the new access token, so an interrupted page load does no harm.
 */
export async function proxy(request: NextRequest): Promise<Response> {
  const isDue = lifeLeft(request.cookies.get(ACCESS)?.value) < 0.1;
  if (!isDue || !request.cookies.has(REFRESH)) return NextResponse.next();

  // Without `origin` and `sec-fetch-*`: this is the server's own call, and a link on another site may lead to the page.
  const response = await callStrapi('/api/token/refresh', request, ['cookie', 'user-agent'], {
    method: 'POST',
  }).catch(() => null);
  const body = await response
    ?.clone()
    .json()
    .catch(() => null);

  if (response?.ok && body?.jwt) {
    if (lifeLeft(body.jwt) < 0.1) throw new Error('The clocks of Next.js and Strapi differ.');
    const again = NextResponse.redirect(request.nextUrl, 307);
    again.headers.set('cache-control', 'no-store');
    for (const line of await cookieLines(response)) again.headers.append('set-cookie', line);
    return again;
  }
  const code: unknown = body?.error?.details?.code;
  if (code === 'refresh_token_reused') {
    // Strapi says this only once, and the user must know.
    const signIn = request.nextUrl.clone();
    signIn.pathname = '/login';
    signIn.search = `?ended=${code}`;
    return NextResponse.redirect(signIn, 303);
  }
  // Only this means signed out. The page is rendered without the dead cookie. It stays in the browser, because there may be a
  // newer one by now, and the next sign-in replaces it. After a redirect, the browser would come back with it, forever.
  if ([400, 401].includes(response?.status ?? 0) && code) {
    for (const name of [REFRESH, ACCESS]) request.cookies.delete(name);
    return NextResponse.next({ request: { headers: request.headers } });
  }
  return new Response('Please try again in a moment.', {
    status: 503,
    headers: { 'cache-control': 'no-store', 'retry-after': '5' },
  });
}

/** The pages that are rendered for the signed-in user. What is only prefetched needs no refresh yet. */
export const config = {
  matcher: [
    {
      source: '/me/:path*',
      missing: [
        { type: 'header', key: 'next-router-prefetch' },
        { type: 'header', key: 'purpose', value: 'prefetch' },
      ],
    },
  ],
};
