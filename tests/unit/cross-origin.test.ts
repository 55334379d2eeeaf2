import {
  assertOrigin,
  isOriginAllowed,
} from '../../src/extensions/users-permissions/http/cross-origin';
import type { Config, Context } from '../../src/extensions/users-permissions/types';

const HOST = 'api.shop.test';
const SHOP = 'https://www.shop.test';
const production = { allowedOrigins: [SHOP], allowLocalhost: false } as unknown as Config;
const development = { allowedOrigins: [SHOP], allowLocalhost: true } as unknown as Config;

const context = (headers: Record<string, string>, method = 'POST', host = HOST) =>
  ({ method, host, get: (name: string) => headers[name] ?? '' }) as unknown as Context;

describe('A page on this machine', () => {
  const pages = [
    'http://localhost',
    'https://localhost',
    'http://localhost:3000',
    'https://127.0.0.1:5173',
    'http://127.0.0.1',
    'http://[::1]:8080',
  ];
  test.each(pages)('may use the refresh cookie in development: %s', (origin) => {
    expect(isOriginAllowed(context({ origin }), development)).toBe(true);
    expect(isOriginAllowed(context({ origin, 'sec-fetch-site': 'cross-site' }), development)).toBe(
      true
    );
  });

  test.each(pages)('may not use it in production: %s', (origin) => {
    expect(isOriginAllowed(context({ origin }), production)).toBe(false);
  });

  test.each([
    'http://localhost.evil.test',
    'http://localhost:3000.evil.test',
    'http://localhost:',
    'http://localhost:x',
    'http://localhost:3000/',
    'http://evil.test:3000',
    'http://127.0.0.10',
    'http://127.0.0.1.evil.test',
    'ftp://localhost',
    'evil+http://localhost',
  ])('is not one that only looks like it: %s', (origin) => {
    expect(isOriginAllowed(context({ origin }), development)).toBe(false);
  });
});

describe('The refresh cookie may be used', () => {
  test.each<[string, Record<string, string>, boolean]>([
    ['without either header', {}, true],
    [
      'by an allowed origin on another site',
      { origin: SHOP, 'sec-fetch-site': 'cross-site' },
      true,
    ],
    ['by the same origin', { 'sec-fetch-site': 'same-origin' }, true],
    ['by a typed address', { 'sec-fetch-site': 'none' }, true],
    ['by a sister host', { 'sec-fetch-site': 'same-site' }, false],
    ['by an untrusted page', { 'sec-fetch-site': 'cross-site' }, false],
    ['by an unknown relation', { 'sec-fetch-site': 'something-new' }, false],
    [
      'by a page that claims the host against Sec-Fetch-Site',
      { origin: `https://${HOST}`, 'sec-fetch-site': 'cross-site' },
      false,
    ],
    ['by the host itself in an old browser', { origin: `https://${HOST}` }, true],
    ['by another port of the host in an old browser', { origin: `https://${HOST}:8443` }, false],
    ['by another host in an old browser', { origin: 'https://evil.test' }, false],
    ['by a hidden origin in an old browser', { origin: 'null' }, false],
  ])('%s: %j %s', (_who, headers, allowed) => {
    expect(isOriginAllowed(context(headers), production)).toBe(allowed);
  });

  test('not by a file if the request names no host', () => {
    expect(isOriginAllowed(context({ origin: 'file://' }, 'POST', ''), production)).toBe(false);
    expect(isOriginAllowed(context({ origin: 'nonsense' }, 'POST', ''), production)).toBe(false);
  });

  test('by a foreign link only where navigations are allowed, with GET', () => {
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    expect(isOriginAllowed(context(link, 'GET'), production, true)).toBe(true);
    expect(isOriginAllowed(context(link, 'GET'), production)).toBe(false);
    expect(isOriginAllowed(context(link, 'POST'), production, true)).toBe(false);
    const to = (dest: string) => context({ ...link, 'sec-fetch-dest': dest }, 'GET');
    expect(isOriginAllowed(to('document'), production, true)).toBe(true);
    for (const hidden of ['iframe', 'frame', 'embed', 'object', 'fencedframe']) {
      expect(isOriginAllowed(to(hidden), production, true)).toBe(false);
    }
    const fetched = { ...link, 'sec-fetch-mode': 'cors' };
    expect(isOriginAllowed(context(fetched, 'GET'), production, true)).toBe(false);
    expect(() => assertOrigin(context(link, 'GET'), production, true)).not.toThrow();
    expect(() => assertOrigin(context(link, 'GET'), production)).toThrow();
  });
});

describe('A refused origin', () => {
  const refusal = (headers: Record<string, string>) => {
    try {
      assertOrigin(context({ 'sec-fetch-site': 'cross-site', ...headers }), production);
    } catch (error) {
      return error;
    }
    return null;
  };

  test('is named in the message if it is one that can be allowed', () => {
    expect(refusal({ origin: 'https://new.shop.test' })).toMatchObject({
      code: 'origin_refused',
      message: expect.stringContaining('add https://new.shop.test to REFRESH_ALLOWED_ORIGINS'),
    });
  });

  test.each(['', 'null', 'https://<script>', 'https://*.test'])('is not repeated: %j', (origin) => {
    const error = refusal({ origin });
    expect(error).toMatchObject({
      code: 'origin_refused',
      message: expect.stringContaining('add its origin to REFRESH_ALLOWED_ORIGINS'),
    });
    if (origin) expect((error as Error).message).not.toContain(`add ${origin} `);
  });
});
