import {
  canSetCookies,
  clientInfo,
  hasRefreshCookie,
  readBearer,
  readBody,
  readBodyToken,
  readHeader,
  readRefreshCookies,
  replaceBody,
  requireRefreshCookies,
  resolveTransport,
  wantsCookie,
} from '../../src/extensions/users-permissions/http/request';
import type { Config, Context } from '../../src/extensions/users-permissions/types';

const config = { response: 'both', cookie: { name: 'refreshToken' } } as unknown as Config;

const context = (headers: Record<string, string> = {}, fields: object = {}) =>
  ({
    get: (name: string) => headers[name] ?? '',
    cookies: { set: () => {} },
    request: {},
    ...fields,
  }) as unknown as Context;
const withBody = (body: unknown) => context({}, { request: { body } });
const invalid = expect.objectContaining({ code: 'invalid_request' });

describe('The body', () => {
  test.each([[undefined], [null], ['']])('%p is an empty one', (body) => {
    expect(readBody(withBody(body))).toEqual({});
  });

  test.each([['text'], [7], [true], [[1]], [[]]])('%p is refused', (body) => {
    expect(() => readBody(withBody(body))).toThrow(invalid);
  });

  test('can be replaced for the next action', () => {
    const ctx = withBody({ a: 1 });
    replaceBody(ctx, { b: 2 });
    expect(readBody(ctx)).toEqual({ b: 2 });
  });

  test.each([[undefined], [null], ['']])('has no refresh token where it is %p', (refreshToken) => {
    expect(readBodyToken(withBody({ refreshToken }))).toBeNull();
  });

  test.each([[7], [true], [false], [0], [['x']], [{}]])('cannot hold %p as one', (refreshToken) => {
    expect(() => readBodyToken(withBody({ refreshToken }))).toThrow(invalid);
  });

  test('has the refresh token under the route’s name for it', () => {
    const ctx = withBody({ refreshToken: 'ours', token: 'theirs' });
    expect(readBodyToken(ctx)).toBe('ours');
    expect(readBodyToken(ctx, 'token')).toBe('theirs');
  });
});

describe('The device', () => {
  test('is what the request says, shortened to fit any column', () => {
    const agent = `A\u00e9\u007f\n~ ${'x'.repeat(300)}`;
    const { userAgent, ip } = clientInfo(context({ 'user-agent': agent }, { ip: '::1' }));
    expect(userAgent).toBe(`A???~ ${'x'.repeat(249)}`);
    expect(ip).toBe('::1');
  });

  test('is unknown if the request says nothing', () => {
    expect(clientInfo(context())).toEqual({ userAgent: null, ip: null });
  });
});

describe('A context that was built by hand', () => {
  test('has the headers that it was given', () => {
    const ctx = { request: { headers: { 'user-agent': 'Robot', 'x-two': ['a', 'b'] } } };
    expect(readHeader(ctx as unknown as Context, 'user-agent')).toBe('Robot');
    expect(readHeader(ctx as unknown as Context, 'x-two')).toBe('a,b');
    expect(readHeader(ctx as unknown as Context, 'origin')).toBe('');
  });

  test.each([{}, { request: {} }])('may have none, and no cookies: %j', (fields) => {
    const ctx = fields as unknown as Context;
    expect(readHeader(ctx, 'cookie')).toBe('');
    expect(canSetCookies(ctx)).toBe(false);
    expect(hasRefreshCookie(ctx, config)).toBe(false);
    expect(readRefreshCookies(ctx, config)).toEqual([]);
    expect(resolveTransport(ctx, config)).toBe('body');
  });

  test('gets the token in the body if its cookies are read-only', () => {
    const header = { 'x-strapi-refresh-cookie': 'httpOnly', cookie: 'refreshToken=a' };
    const ctx = context(header, { cookies: { get: () => 'a' } });
    expect(resolveTransport(ctx, config)).toBe('body');
    expect(hasRefreshCookie(ctx, config)).toBe(false);
  });
});

describe('The Bearer token', () => {
  test.each([
    ['Bearer abc', 'abc'],
    ['bearer   abc  ', 'abc'],
    ['BEARER\tabc', 'abc'],
    ['', null],
    ['Bearer', null],
    ['Bearer ', null],
    ['Bearerabc', null],
    ['Bearer abc def', null],
    ['Basic abc', null],
    ['XBearer abc', null],
    ['Basic Bearer abc', null],
  ])('of %j is %j', (authorization, token) => {
    expect(readBearer(context({ authorization }))).toBe(token);
  });
});

describe('The response', () => {
  test('uses the cookie only for a request that asks for it with the exact value', () => {
    for (const value of ['httpOnly', 'httponly', 'true', '']) {
      const ctx = context({ 'x-strapi-refresh-cookie': value });
      expect(wantsCookie(ctx)).toBe(value === 'httpOnly');
      expect(resolveTransport(ctx, config)).toBe(value === 'httpOnly' ? 'cookie' : 'both');
    }
  });
});

describe('The refresh cookie', () => {
  const token = (letter: string, lengths = [20, 60, 43]) =>
    lengths.map((length) => letter.repeat(length)).join('.');
  const SIGNATURE = 's'.repeat(27);
  const signed = new Set<string>();
  let checks: number;
  beforeEach(() => {
    signed.clear();
    checks = 0;
  });
  const keys = {
    verify(data: string, signature: string) {
      checks += 1;
      return signed.has(`${data} ${signature}`);
    },
  };
  const request = (cookie: string) => context({ cookie }, { cookies: { set: () => {}, keys } });
  const sign = (value: string, signature = SIGNATURE) =>
    signed.add(`refreshToken=${value} ${signature}`);

  test('counts if one of the signatures is its own', () => {
    sign(token('b'));
    const ctx = request(
      `refreshToken=${token('a')}; refreshToken.sig=${'x'.repeat(27)}; refreshToken=${token('b')};refreshToken.sig=${SIGNATURE}`
    );
    expect(readRefreshCookies(ctx, config)).toEqual([token('b')]);
    expect(requireRefreshCookies(ctx, config)).toEqual([token('b')]);
  });

  test('counts once if it is sent twice, and may be in quotes', () => {
    sign(token('a'));
    const ctx = request(
      `a=b;   refreshToken="${token('a')}"; refreshToken=${token('a')}; refreshToken.sig="${SIGNATURE}"`
    );
    expect(readRefreshCookies(ctx, config)).toEqual([token('a')]);
  });

  test.each([
    ['too short a payload', token('a', [20, 59, 43])],
    ['too short a signature', token('a', [20, 60, 42])],
    ['too long a signature', token('a', [20, 60, 44])],
    ['no header', token('a', [0, 60, 43])],
    ['two parts', token('a', [60, 43])],
    ['four parts', token('a', [1, 20, 60, 43])],
    ['a foreign letter in front', `+${token('a')}`],
    ['a foreign letter in its header', `a+${token('a')}`],
    ['a foreign letter in its payload', token('a').replace('.a', '.+')],
    ['a foreign letter in its signature', `${token('a').slice(0, -1)}+`],
    ['a foreign letter behind', `${token('a')}+`],
  ])('is not worth checking with %s', (_what, value) => {
    sign(value);
    const ctx = request(`refreshToken=${value}; refreshToken.sig=${SIGNATURE}`);
    expect(readRefreshCookies(ctx, config)).toEqual([]);
    expect(checks).toBe(0);
    expect(() => requireRefreshCookies(ctx, config)).toThrow(
      expect.objectContaining({ code: 'refresh_token_invalid' })
    );
  });

  test.each(['s'.repeat(26), 's'.repeat(28), `${'s'.repeat(26)}+`, ''])(
    'is not worth checking with the signature %j',
    (signature) => {
      sign(token('a'), signature);
      const ctx = request(`refreshToken=${token('a')}; refreshToken.sig=${signature}`);
      expect(readRefreshCookies(ctx, config)).toEqual([]);
      expect(checks).toBe(0);
    }
  );

  test('is missing if there are only other cookies', () => {
    for (const cookie of ['', 'a=b', 'xrefreshToken=a', 'refreshTokens=a', 'refreshToken=']) {
      expect(hasRefreshCookie(request(cookie), config)).toBe(false);
      expect(() => requireRefreshCookies(request(cookie), config)).toThrow(
        expect.objectContaining({ code: 'refresh_token_missing' })
      );
    }
    expect(hasRefreshCookie(request('a=b; refreshToken=c'), config)).toBe(true);
  });

  test('is never valid if the app has no keys', () => {
    const cookie = `refreshToken=${token('a')}; refreshToken.sig=${SIGNATURE}`;
    expect(readRefreshCookies(context({ cookie }), config)).toEqual([]);
  });
});
