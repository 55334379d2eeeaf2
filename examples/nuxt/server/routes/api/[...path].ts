/**
 * The browser calls /api of this origin, and this passes the calls on to Strapi: no CORS, and the cookie belongs to this host.
 * Not a `routeRules` proxy: that drops `accept`, by which Strapi recognizes a social sign-in that is opened as a page.
 */
export default defineEventHandler((event) => {
  const url = new URL(event.path, useRuntimeConfig(event).strapiUrl);
  // `/api/%2e%2e/admin` has become `/admin` by now.
  if (!url.pathname.startsWith('/api/')) throw createError({ statusCode: 404 });

  return proxyRequest(event, url.href, {
    headers: {
      accept: getRequestHeader(event, 'accept') ?? '*/*',
      'x-forwarded-host': getRequestHost(event, { xForwardedHost: true }),
      'x-forwarded-proto': getRequestProtocol(event, { xForwardedProto: true }),
    },
    // A redirect is for the browser. Otherwise, this server would follow that of a social sign-in.
    fetchOptions: { redirect: 'manual' },
  });
});
