import { readConfig } from '../../src/extensions/users-permissions/config/read';
import { unusedSettings } from '../../src/extensions/users-permissions/config/strapi-settings';

/** The defaults of Strapi 5.24 and later. */
const DEFAULTS = {
  sessions: {
    accessTokenLifespan: 600,
    maxRefreshTokenLifespan: 2_592_000,
    idleRefreshTokenLifespan: 1_209_600,
    maxSessionLifespan: 86_400,
    idleSessionLifespan: 7_200,
    httpOnly: false,
  },
};

const PLACE = 'of users-permissions in config/plugins has no effect';

const unused = (sessions: object, env: Record<string, string> = {}) =>
  unusedSettings(
    { sessions: { ...DEFAULTS.sessions, ...sessions } },
    DEFAULTS.sessions,
    readConfig({ REFRESH_SECRET: 'kq3V0b1ZtYx8mC2n5p7Rw9s4d6f8g0hJ', ...env })
  );

describe('A setting of Strapi’s own refresh mode', () => {
  it.each<[string, object, string]>([
    [
      'accessTokenLifespan',
      { accessTokenLifespan: 900 },
      'Set JWT_SECRET_EXPIRES=15m (currently 6m)',
    ],
    [
      'idleRefreshTokenLifespan',
      { idleRefreshTokenLifespan: 604_800 },
      'Set REFRESH_TOKEN_EXPIRES=7d (currently 2d)',
    ],
    [
      'maxRefreshTokenLifespan',
      { maxRefreshTokenLifespan: 90 * 86_400 },
      'Set REFRESH_SESSION_EXPIRES=90d (currently 30d)',
    ],
    [
      'cookie.name',
      { cookie: { name: 'rt' } },
      'Set REFRESH_COOKIE_NAME=rt (currently refreshToken)',
    ],
    [
      'cookie.sameSite',
      { cookie: { sameSite: 'Strict' } },
      'Set REFRESH_COOKIE_SAMESITE=strict (currently lax)',
    ],
    [
      'cookie.sameSite',
      { cookie: { sameSite: true } },
      'Set REFRESH_COOKIE_SAMESITE=strict (currently lax)',
    ],
    [
      'cookie.sameSite',
      { cookie: { sameSite: false } },
      'Set REFRESH_COOKIE_SAMESITE (currently lax)',
    ],
    [
      'cookie.secure',
      { cookie: { secure: true } },
      'Set REFRESH_COOKIE_SECURE=true (currently false)',
    ],
    [
      'cookie.domain',
      { cookie: { domain: 'my-shop.com' } },
      'Set REFRESH_COOKIE_DOMAIN=my-shop.com (currently not set)',
    ],
  ])('%s names the variable and the value to set: %j', (name, sessions, cure) => {
    expect(unused(sessions)).toEqual([`sessions.${name} ${PLACE}. ${cure} and remove it there.`]);
  });

  it.each<[unknown, string]>([
    ['3600', '=1h (currently 2d)'],
    [0.5, '=1s (currently 2d)'],
    [20 * 365 * 86_400, '=3650d (currently 2d)'],
    ['7d', ' (currently 2d)'],
    [-1, ' (currently 2d)'],
    [0, ' (currently 2d)'],
    [Infinity, '=3650d (currently 2d)'],
  ])('of %j seconds is converted as far as possible', (idleRefreshTokenLifespan, cure) => {
    const [sentence] = unused({ idleRefreshTokenLifespan });

    expect(sentence).toContain(`Set REFRESH_TOKEN_EXPIRES${cure} and remove it there.`);
  });

  it('that already has the same effect only needs to be removed', () => {
    expect(unused({ httpOnly: true })).toEqual([
      `sessions.httpOnly ${PLACE}. REFRESH_TOKEN_RESPONSE is already cookie, so remove it there.`,
    ]);
    expect(unused({ httpOnly: true }, { REFRESH_TOKEN_RESPONSE: 'body' })).toEqual([
      `sessions.httpOnly ${PLACE}. Set REFRESH_TOKEN_RESPONSE=cookie (currently body) and remove it there.`,
    ]);
    expect(unused({ accessTokenLifespan: 300 }, { JWT_SECRET_EXPIRES: '300' })).toEqual([
      `sessions.accessTokenLifespan ${PLACE}. JWT_SECRET_EXPIRES is already 5m, so remove it there.`,
    ]);
  });

  it.each<[string, object, RegExp]>([
    ['idleSessionLifespan', { idleSessionLifespan: 1 }, /Strapi does not use it for users either/],
    ['maxSessionLifespan', { maxSessionLifespan: 1 }, /Strapi does not use it for users either/],
    ['cookie.maxAge', { cookie: { maxAge: 1 } }, /expires with its refresh token/],
    ['cookie.path', { cookie: { path: '/api' } }, /The path of the cookie is always \//],
    ['cookie.partitioned', { cookie: { partitioned: true } }, /This extension has no equivalent/],
    ['rotate', { rotate: true }, /This extension has no equivalent/],
  ])('without an equivalent gets the reason: %s', (name, sessions, reason) => {
    const [sentence, ...others] = unused(sessions);

    expect(others).toEqual([]);
    expect(sentence).toMatch(`sessions.${name} ${PLACE}. `);
    expect(sentence).toMatch(reason);
    expect(sentence).toMatch(/, so remove it there\.$/);
  });

  it('gets a separate message for each', () => {
    expect(
      unused({ httpOnly: true, maxRefreshTokenLifespan: 1, cookie: { name: 'a', maxAge: 2 } })
    ).toHaveLength(4);
  });

  it('is not mentioned if Strapi itself added it, or if it is empty', () => {
    expect(unused({})).toEqual([]);
    expect(unused({ cookie: {} })).toEqual([]);
    expect(unused({ cookie: { domain: undefined, secure: null }, httpOnly: undefined })).toEqual(
      []
    );
    expect(unusedSettings({}, {}, readConfig({ REFRESH_SECRET: 'x1'.repeat(16) }))).toEqual([]);
  });
});

describe('A key pair', () => {
  const config = readConfig({ REFRESH_SECRET: 'x1'.repeat(16) });

  it('that the algorithm does not use is mentioned once, and not shown', () => {
    for (const algorithm of [undefined, 'HS512'] as const) {
      const jwt = {
        privateKey: 'one-half',
        publicKey: 'other-half',
        ...(algorithm && { algorithm }),
      };
      const sentences = unusedSettings({ jwt }, {}, config);
      expect(sentences).toEqual([expect.stringMatching(/^jwt\.privateKey .*Set RS256/)]);
      expect(sentences[0]).not.toMatch(/half/);
    }
  });

  it.each([{ privateKey: 'one-half' }, { publicKey: 'other-half' }])(
    'that is incomplete and unused is mentioned as well: %j',
    (jwt) => {
      expect(unusedSettings({ jwt }, {}, config)).toHaveLength(1);
    }
  );

  it('that is used is not mentioned', () => {
    const jwt = { algorithm: 'RS256', privateKey: 'private', publicKey: 'public' } as const;
    expect(unusedSettings({ jwt }, {}, config)).toEqual([]);
  });
});
