import { callStrapi, cookieLines } from '@/lib/strapi';

/** Strapi recognizes untrusted pages by `origin` and `sec-fetch-*`. Without them, any page could use the cookie. */
const REQUEST_HEADERS = [
  'accept',
  'authorization',
  'content-type',
  'cookie',
  'origin',
  'sec-fetch-dest',
  'sec-fetch-mode',
  'sec-fetch-site',
  'user-agent',
  'x-strapi-refresh-cookie',
];
/** A social sign-in needs `location`. */
const RESPONSE_HEADERS = [
  'cache-control',
  'content-disposition',
  'content-type',
  'location',
  'retry-after',
];

async function forward(request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  // `/api/%2e%2e/admin` has become `/admin` by now.
  if (!pathname.startsWith('/api/')) return new Response(null, { status: 404 });

  const hasBody = !['GET', 'HEAD'].includes(request.method);
  const answer = await callStrapi(pathname + search, request, REQUEST_HEADERS, {
    method: request.method,
    // Read whole: if Strapi refuses a stream halfway (413), the next request on that connection fails.
    body: hasBody ? await request.arrayBuffer() : undefined,
    // An upload or a download takes as long as the browser waits for it.
    signal: null,
    // The browser follows redirects, not Next.js.
    redirect: 'manual',
  }).catch(() => null);
  if (!answer) return new Response(null, { status: 502 });

  // Before the body is passed on: this reads a copy of it.
  const lines = await cookieLines(answer);
  const response = new Response(answer.body, { status: answer.status });
  for (const name of RESPONSE_HEADERS) {
    const value = answer.headers.get(name);
    if (value !== null) response.headers.set(name, value);
  }
  for (const line of lines) response.headers.append('set-cookie', line);
  return response;
}

export { forward as GET, forward as POST, forward as PUT, forward as PATCH, forward as DELETE };
