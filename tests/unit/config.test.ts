import { configWarnings } from '../../src/extensions/users-permissions/config/checks';
import {
  formatDuration,
  parseDuration,
} from '../../src/extensions/users-permissions/config/duration';
import { matchesOrigin } from '../../src/extensions/users-permissions/config/origins';
import {
  describe as summary,
  ensureDevelopmentSecret,
  readConfig,
} from '../../src/extensions/users-permissions/config/read';
import { ConfigurationError } from '../../src/extensions/users-permissions/errors';

type Env = Record<string, string | undefined>;

const SECRET = 'kq3V0b1ZtYx8mC2n5p7Rw9s4d6f8g0hJ';
const OLD_SECRET = 'Zx9Cv8Bn7Mm6Aa5Ss4Dd3Ff2Gg1Hh0JjKk';

const read = (env: Env = {}, jwtSecret?: string) =>
  readConfig({ REFRESH_SECRET: SECRET, ...env }, jwtSecret);

function problemsOf(env: Env, jwtSecret?: string): readonly string[] {
  try {
    read(env, jwtSecret);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

describe('a duration', () => {
  it.each([
    ['360s', 360_000],
    ['15m', 900_000],
    ['12h', 43_200_000],
    ['2d', 172_800_000],
    ['0', 0],
    ['0s', 0],
    ['3650d', 315_360_000_000],
  ])('%s is %d ms', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  it('without a unit is in seconds, never milliseconds', () => {
    expect(parseDuration('120')).toBe(120_000);
  });

  it.each(
    [
      ['', ' ', '10 d', ' 10d', '10d\n', '-1s', '+1s', '1.5h', '10ms', '1w', '1y', '1D', '1min'],
      ['0x10', '1e3', 'd', 'NaN', 'Infinity', '1d12h', '٣d', '3651d', '315360001'],
      ['9'.repeat(12), '9'.repeat(400)],
    ].flat()
  )('is not %j', (text) => {
    expect(parseDuration(text)).toBeNull();
  });

  it.each(['0s', '1s', '90s', '6m', '90m', '36h', '2d', '3650d'])(
    'is formatted as it was written: %s',
    (text) => {
      expect(formatDuration(parseDuration(text)!)).toBe(text);
    }
  );

  it.each([
    ['360', '6m'],
    ['120m', '2h'],
    ['48h', '2d'],
  ])('of %s is formatted shorter, as %s', (text, shorter) => {
    expect(formatDuration(parseDuration(text)!)).toBe(shorter);
  });
});

describe('with only the secret set', () => {
  const DEFAULTS = {
    accessTtl: 360_000,
    idleTtl: 2 * 86_400_000,
    absoluteTtl: 30 * 86_400_000,
    grace: 10_000,
    response: 'cookie',
    sessionsPerUser: 0,
    tokenAccess: false,
    requireSession: false,
    allowedOrigins: [],
    allowLocalhost: false,
    cookie: {
      name: 'refreshToken',
      sameSite: 'lax',
      domain: undefined,
      secure: false,
      partitioned: false,
    },
  };

  it('the documented defaults are in effect', () => {
    expect(read()).toEqual({ ...DEFAULTS, keys: [expect.anything()] });
  });

  it('an empty or blank variable counts as absent', () => {
    const names = [
      ['JWT_SECRET_EXPIRES', 'REFRESH_TOKEN_EXPIRES', 'REFRESH_SESSION_EXPIRES'],
      ['REFRESH_TOKEN_GRACE', 'REFRESH_TOKEN_RESPONSE', 'REFRESH_ALLOWED_ORIGINS'],
      ['REFRESH_COOKIE_NAME', 'REFRESH_COOKIE_SAMESITE', 'REFRESH_COOKIE_DOMAIN'],
      ['REFRESH_COOKIE_SECURE', 'REFRESH_SESSIONS_PER_USER', 'JWT_REQUIRE_SESSION'],
      ['REFRESH_TOKEN_ACCESS', 'REFRESH_COOKIE_PARTITIONED'],
    ].flat();

    for (const empty of ['', '  ']) {
      const env = Object.fromEntries(names.map((name) => [name, empty]));
      expect(read(env)).toMatchObject(DEFAULTS);
    }
  });

  it('the cookie is Secure in production, and localhost is allowed only in development', () => {
    expect(read({ NODE_ENV: 'production' }).cookie.secure).toBe(true);
    expect(read({ NODE_ENV: 'production' }).allowLocalhost).toBe(false);
    expect(read({ NODE_ENV: 'development' }).cookie.secure).toBe(false);
    expect(read({ NODE_ENV: 'development' }).allowLocalhost).toBe(true);
    expect(read({ NODE_ENV: 'test' }).allowLocalhost).toBe(false);
  });
});

describe('valid values are accepted', () => {
  it('a key ring, in order, ignoring spaces and empty entries', () => {
    const { keys } = read({ REFRESH_SECRET: ` ${SECRET} , ${OLD_SECRET},` });

    expect(keys.map((key) => key.export().toString())).toEqual([SECRET, OLD_SECRET]);
  });

  it.each<[Env, object]>([
    [{ REFRESH_TOKEN_GRACE: '0' }, { grace: 0 }],
    [{ REFRESH_TOKEN_GRACE: '1m' }, { grace: 60_000 }],
    [{ JWT_SECRET_EXPIRES: '1s', REFRESH_TOKEN_EXPIRES: '2' }, { accessTtl: 1_000 }],
    [{ REFRESH_SESSION_EXPIRES: '3650d' }, { absoluteTtl: 3650 * 86_400_000 }],
    [{ REFRESH_TOKEN_RESPONSE: 'body' }, { response: 'body' }],
    [{ REFRESH_TOKEN_RESPONSE: 'Both ' }, { response: 'both' }],
    [{ REFRESH_SESSIONS_PER_USER: '5' }, { sessionsPerUser: 5 }],
    [{ REFRESH_SESSIONS_PER_USER: '123456789' }, { sessionsPerUser: 123_456_789 }],
    [{ REFRESH_TOKEN_ACCESS: 'true' }, { tokenAccess: true }],
    [{ JWT_REQUIRE_SESSION: 'TRUE' }, { requireSession: true }],
    [{ REFRESH_COOKIE_NAME: '__Host-r', REFRESH_COOKIE_SECURE: 'true' }, {}],
    [{ REFRESH_COOKIE_NAME: '__Host-r', NODE_ENV: 'production' }, {}],
    [
      { REFRESH_ALLOWED_ORIGINS: 'capacitor://localhost' },
      { allowedOrigins: ['capacitor://localhost'] },
    ],
    [{ REFRESH_COOKIE_DOMAIN: '.my-shop.com' }, { cookie: { domain: '.my-shop.com' } }],
    [{ REFRESH_COOKIE_DOMAIN: 'x.shop.co.uk' }, { cookie: { domain: 'x.shop.co.uk' } }],
    [{ REFRESH_COOKIE_DOMAIN: 'a.b' }, { cookie: { domain: 'a.b' } }],
    ...['refresh.signed', 'my-koa.sess', 'koa.session', 'refreshTokenVisits'].map(
      (name): [Env, object] => [{ REFRESH_COOKIE_NAME: name }, { cookie: { name } }]
    ),
    [
      { REFRESH_COOKIE_NAME: 'a__Host-r', REFRESH_COOKIE_DOMAIN: 'my-shop.com' },
      { cookie: { name: 'a__Host-r', secure: false } },
    ],
    [{ NODE_ENV: 'production' }, { cookie: { name: '__Host-refreshToken' } }],
    [{ REFRESH_COOKIE_SECURE: 'true' }, { cookie: { name: '__Host-refreshToken' } }],
    [
      { NODE_ENV: 'production', REFRESH_COOKIE_SECURE: 'false' },
      { cookie: { name: 'refreshToken' } },
    ],
    [
      { NODE_ENV: 'production', REFRESH_COOKIE_DOMAIN: 'my-shop.com' },
      { cookie: { name: 'refreshToken' } },
    ],
    [
      { NODE_ENV: 'production', REFRESH_COOKIE_NAME: 'refreshToken' },
      { cookie: { name: 'refreshToken' } },
    ],
    [
      { REFRESH_ALLOWED_ORIGINS: 'https://*.my-shop.com,https://*.preview.my-shop.com:8443' },
      { allowedOrigins: ['https://*.my-shop.com', 'https://*.preview.my-shop.com:8443'] },
    ],
    [
      { REFRESH_ALLOWED_ORIGINS: 'http://*.my-co.uk,https://*.com.my-shop.com' },
      { allowedOrigins: ['http://*.my-co.uk', 'https://*.com.my-shop.com'] },
    ],
    [
      { REFRESH_ALLOWED_ORIGINS: 'https://*.run.app.my-shop.com,https://*.24.my-shop.com' },
      { allowedOrigins: ['https://*.run.app.my-shop.com', 'https://*.24.my-shop.com'] },
    ],
    [
      { REFRESH_ALLOWED_ORIGINS: 'https://a.my-shop.com, http://localhost:3000,' },
      { allowedOrigins: ['https://a.my-shop.com', 'http://localhost:3000'] },
    ],
    [
      {
        REFRESH_COOKIE_SAMESITE: 'None',
        REFRESH_COOKIE_SECURE: 'true',
        REFRESH_ALLOWED_ORIGINS: 'https://www.my-shop.com',
      },
      { cookie: { sameSite: 'none', secure: true } },
    ],
  ])('%j', (env, expected) => {
    expect(read(env)).toMatchObject(expected);
  });
});

describe('an origin', () => {
  const ALLOWED = ['https://www.my-shop.com', 'https://*.preview.my-shop.com'];

  it.each(['https://www.my-shop.com', 'https://a-1.preview.my-shop.com'])(
    'that is allowed, by name or by a star: %s',
    (origin) => {
      expect(matchesOrigin(origin, ALLOWED)).toBe(true);
    }
  );

  it.each([
    '',
    'null',
    'https://my-shop.com',
    'https://preview.my-shop.com',
    'https://.preview.my-shop.com',
    'https://a.b.preview.my-shop.com',
    'http://a.preview.my-shop.com',
    'https://a.preview.my-shop.com:8443',
    'https://a.preview.my-shop.com.evil.test',
    'https://evil.test/.preview.my-shop.com',
    'https://evil.testpreview.my-shop.com',
    // As long as one that is allowed.
    'https://a.preview.my-shop.org',
    'https://a.preview-my-shop.com',
    'xttps://a.preview.my-shop.com',
    'https://*.preview.my-shop.com',
  ])('that is not: %s', (origin) => {
    expect(matchesOrigin(origin, ALLOWED)).toBe(false);
  });
});

describe('a wrong value stops the boot', () => {
  it.each([
    ['JWT_SECRET_EXPIRES', '10 d', /1s to 3650d/],
    ['JWT_SECRET_EXPIRES', '0', /1s to 3650d/],
    ['REFRESH_TOKEN_EXPIRES', '2w', /1s to 3650d/],
    ['REFRESH_TOKEN_EXPIRES', '3651d', /1s to 3650d/],
    ['REFRESH_SESSION_EXPIRES', 'forever', /1s to 3650d/],
    ['REFRESH_TOKEN_GRACE', '61s', /0 \(off\) to 60s/],
    ['REFRESH_TOKEN_GRACE', '-1', /0 \(off\) to 60s/],
    ['REFRESH_TOKEN_RESPONSE', 'header', /cookie, body, both/],
    ['REFRESH_COOKIE_SAMESITE', 'off', /lax, strict, none/],
    ['REFRESH_COOKIE_SECURE', 'yes', /true, false/],
    ['REFRESH_TOKEN_ACCESS', 'yes', /true, false/],
    ['REFRESH_COOKIE_PARTITIONED', 'yes', /true, false/],
    ['JWT_REQUIRE_SESSION', '1', /true, false/],
    ['REFRESH_SESSIONS_PER_USER', '-1', /whole number/],
    ['REFRESH_SESSIONS_PER_USER', '2.5', /whole number/],
    ['REFRESH_SESSIONS_PER_USER', '1234567890', /whole number/],
    ['REFRESH_COOKIE_NAME', 'my cookie', /cookie name/],
    ['REFRESH_COOKIE_NAME', 'a;b', /cookie name/],
    ['REFRESH_COOKIE_NAME', 'refresh.sig', /cookie name/],
    ['REFRESH_COOKIE_NAME', 'refreshTokenVisit', /cookie name/],
    ['REFRESH_COOKIE_NAME', 'koa.sess', /cookie name/],
    ['REFRESH_COOKIE_DOMAIN', 'https://my-shop.com', /host name/],
    ['REFRESH_COOKIE_DOMAIN', '-shop.com', /host name/],
    ['REFRESH_COOKIE_DOMAIN', `${'a'.repeat(64)}.com`, /host name/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://my-shop.com/', /without a path or a trailing slash/],
    ['REFRESH_ALLOWED_ORIGINS', 'my-shop.com', /origins/],
    ['REFRESH_ALLOWED_ORIGINS', '*', /a star must be/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://*', /a star must be/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://www.*.my-shop.com', /a star must be/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://*-preview.my-shop.com', /a star must be/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://*.my-shop.com/', /a star must be/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://*.*.my-shop.com', /a star must be/],
    ['REFRESH_ALLOWED_ORIGINS', 'app://*.my-shop.com', /a star must be/],
    ['REFRESH_ALLOWED_ORIGINS', 'xhttps://*.my-shop.com', /a star must be/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://*.com', /anyone can get a host/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://*.vercel.app', /anyone can get a host/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://*.co.uk', /anyone can get a host/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://*.strapiapp.com', /anyone can get a host/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://*.s3.eu-west-1.amazonaws.com', /anyone can get a host/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://*.a.run.app', /anyone can get a host/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://*.run.app', /anyone can get a host/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://*.127.0.0.1', /anyone can get a host/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://*.localhost', /anyone can get a host/],
    ['REFRESH_ALLOWED_ORIGINS', 'null', /origins/],
    ['REFRESH_ALLOWED_ORIGINS', 'https://MY-shop.com', /origins/],
    ['REFRESH_ALLOWED_ORIGINS', 'ftp://my-shop.com', /origins/],
    ['REFRESH_ALLOWED_ORIGINS', 'capacitor://localhost/', /origins/],
    ['REFRESH_ALLOWED_ORIGINS', 'Capacitor://localhost', /origins/],
  ])('%s=%s: variable, value, what was expected and an example', (name, value, expected) => {
    const problems = problemsOf({ [name]: value });

    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(new RegExp(`^${name}\\b`));
    expect(problems[0]).toContain(`"${value}"`);
    expect(problems[0]).toMatch(expected);
    expect(problems[0]).toContain(`Example: ${name}=`);
  });

  it('and the example in each message is valid', () => {
    const problems = problemsOf({
      JWT_SECRET_EXPIRES: 'x',
      REFRESH_TOKEN_EXPIRES: 'x',
      REFRESH_SESSION_EXPIRES: 'x',
      REFRESH_TOKEN_GRACE: 'x',
      REFRESH_TOKEN_RESPONSE: 'x',
      REFRESH_COOKIE_SAMESITE: 'x',
      REFRESH_COOKIE_SECURE: 'x',
      REFRESH_TOKEN_ACCESS: 'x',
      REFRESH_COOKIE_PARTITIONED: 'x',
      JWT_REQUIRE_SESSION: 'x',
      REFRESH_SESSIONS_PER_USER: 'x',
      REFRESH_COOKIE_DOMAIN: '/',
      REFRESH_ALLOWED_ORIGINS: 'x',
    });
    const examples = problems.map((problem) => /Example: (\w+)=(\S+)$/.exec(problem)!.slice(1));

    expect(examples).toHaveLength(13);
    expect(problemsOf(Object.fromEntries(examples))).toEqual([]);
  });
});

describe('settings that contradict each other stop the boot', () => {
  const NONE = { REFRESH_COOKIE_SAMESITE: 'none' };
  const SECURE = { REFRESH_COOKIE_SECURE: 'true' };

  it.each<[string, Env, RegExp]>([
    [
      'an access token lifetime equal to the idle lifetime',
      { JWT_SECRET_EXPIRES: '2d' },
      /JWT_SECRET_EXPIRES \(2d\) must be shorter than REFRESH_TOKEN_EXPIRES \(2d\).* Example: /,
    ],
    [
      'an access token lifetime above the idle lifetime',
      { JWT_SECRET_EXPIRES: '1h', REFRESH_TOKEN_EXPIRES: '30m' },
      /JWT_SECRET_EXPIRES \(1h\) must be shorter than REFRESH_TOKEN_EXPIRES \(30m\)/,
    ],
    [
      'SameSite=None without Secure',
      { ...NONE, REFRESH_ALLOWED_ORIGINS: 'https://my-shop.com' },
      /REFRESH_COOKIE_SAMESITE=none requires REFRESH_COOKIE_SECURE=true/,
    ],
    [
      'SameSite=None without origins',
      { ...NONE, ...SECURE },
      /REFRESH_COOKIE_SAMESITE=none .* Example: REFRESH_ALLOWED_ORIGINS=/,
    ],
    [
      'a partitioned cookie for front ends on the same site',
      { ...SECURE, REFRESH_COOKIE_PARTITIONED: 'true' },
      /REFRESH_COOKIE_PARTITIONED=true .* requires REFRESH_COOKIE_SAMESITE=none/,
    ],
    [
      'a __Host- name with a domain',
      { ...SECURE, REFRESH_COOKIE_NAME: '__Host-r', REFRESH_COOKIE_DOMAIN: 'my-shop.com' },
      /REFRESH_COOKIE_NAME=__Host-r: .* Remove REFRESH_COOKIE_DOMAIN/,
    ],
    [
      'a __Host- name without Secure, in any case',
      { REFRESH_COOKIE_NAME: '__host-r' },
      /REFRESH_COOKIE_NAME=__host-r: .* REFRESH_COOKIE_SECURE=true/,
    ],
    [
      'a __Secure- name without Secure',
      { REFRESH_COOKIE_NAME: '__Secure-r', NODE_ENV: 'production', REFRESH_COOKIE_SECURE: 'false' },
      /REFRESH_COOKIE_NAME=__Secure-r: .* REFRESH_COOKIE_SECURE=true/,
    ],
  ])('%s', (_, env, expected) => {
    expect(problemsOf(env)).toEqual([expect.stringMatching(expected)]);
  });

  it('all problems are reported together', () => {
    const env = {
      ...NONE,
      REFRESH_SECRET: 'short',
      REFRESH_TOKEN_GRACE: 'x',
      JWT_SECRET_EXPIRES: 'y',
    };

    expect(problemsOf(env)).toHaveLength(5);
    expect(() => read(env)).toThrow(/GRACE="x"[^]*SAMESITE=none[^]*REFRESH_SECRET/);
  });
});

describe('an unsafe secret stops the boot, and is never shown', () => {
  it.each<[string, string, RegExp]>([
    ['missing', '', /is missing/],
    ['blank', '   ', /is missing/],
    ['only commas', ',,', /is missing/],
    ['too short', SECRET.slice(1), /has 31 characters: expected at least 32/],
    ['one repeated character', 'x'.repeat(64), /placeholder/],
    ['tobemodified', `tobemodified${SECRET}`, /placeholder/],
    ['toBeModified', `toBeModified${SECRET}`, /placeholder/],
    ['changeme', `${SECRET}changeme`, /placeholder/],
    ['placeholder', `placeholder-${SECRET}`, /placeholder/],
    ['example', `example-${SECRET}`, /placeholder/],
    ['your-', `your-${SECRET}`, /placeholder/],
    ['the secret of the access tokens', SECRET, /equals the JWT secret/],
    [
      'the secret of the access tokens, last in the key ring',
      `${OLD_SECRET},${SECRET}`,
      /entry 2 .*equals/,
    ],
    ['too short in the key ring', `${OLD_SECRET},short`, /entry 2 .* has 5 characters/],
  ])('%s', (_, secret, expected) => {
    const problems = problemsOf({ REFRESH_SECRET: secret }, SECRET);

    expect(problems).toEqual([expect.stringMatching(expected)]);
    expect(problems[0]).toMatch(/^REFRESH_SECRET .* Generate one with: openssl rand -base64 32$/);
    for (const item of secret.split(',').filter((part) => part.trim())) {
      expect(problems[0]).not.toContain(item);
    }
  });

  it('32 random characters are enough', () => {
    expect(problemsOf({ REFRESH_SECRET: SECRET }, OLD_SECRET)).toEqual([]);
  });
});

describe('valid but questionable settings cause one warning with the fix', () => {
  const DEVELOPMENT = { NODE_ENV: 'development' };

  it.each<[string, Env, unknown, RegExp]>([
    ["the plugin's own expiresIn", {}, '7d', /jwt\.expiresIn \(7d\) .* \(6m\)\. Remove it there/],
    ['an access token of days', { JWT_SECRET_EXPIRES: '1d' }, '30d', /is 1d: .* an hour or less/],
    [
      'an absolute lifetime below the idle lifetime',
      { REFRESH_SESSION_EXPIRES: '1d' },
      undefined,
      /REFRESH_TOKEN_EXPIRES \(2d\) never takes effect.*REFRESH_SESSION_EXPIRES \(1d\).*Set REFRESH_TOKEN_EXPIRES to less/,
    ],
    [
      'an absolute lifetime equal to the idle lifetime',
      { REFRESH_SESSION_EXPIRES: '2d' },
      undefined,
      /REFRESH_TOKEN_EXPIRES \(2d\) never takes effect/,
    ],
    [
      'two transports at once',
      { REFRESH_TOKEN_RESPONSE: 'both' },
      undefined,
      /both .* cookie or body/,
    ],
    [
      'no Secure outside development',
      { NODE_ENV: 'production', REFRESH_COOKIE_SECURE: 'false' },
      undefined,
      /Set REFRESH_COOKIE_SECURE=true/,
    ],
    [
      'a cookie domain',
      { REFRESH_COOKIE_DOMAIN: 'my-shop.com' },
      undefined,
      /REFRESH_COOKIE_DOMAIN=my-shop\.com .* every subdomain\. Remove it/,
    ],
    [
      'an origin without TLS',
      { REFRESH_ALLOWED_ORIGINS: 'https://my-shop.com,http://my-shop.com' },
      undefined,
      /Use https/,
    ],
    [
      'an origin without TLS that only begins like localhost',
      { REFRESH_ALLOWED_ORIGINS: 'http://localhost.my-shop.com' },
      undefined,
      /Use https/,
    ],
  ])('%s', (_, env, stockLife, expected) => {
    const found = configWarnings(read({ ...DEVELOPMENT, ...env }), stockLife);

    expect(found).toEqual([expect.stringMatching(expected)]);
  });

  it.each<[string, Env, unknown]>([
    ['the defaults in development', DEVELOPMENT, undefined],
    ['the defaults in production', { NODE_ENV: 'production' }, '30d'],
    ['an access token of an hour', { ...DEVELOPMENT, JWT_SECRET_EXPIRES: '1h' }, '30d'],
    ['no Secure if no cookie is sent', { REFRESH_TOKEN_RESPONSE: 'body' }, '30d'],
    [
      'a front end on this machine',
      { ...DEVELOPMENT, REFRESH_ALLOWED_ORIGINS: 'http://localhost:3000,http://127.0.0.1' },
      '30d',
    ],
  ])('no warning about %s', (_, env, stockLife) => {
    expect(configWarnings(read(env), stockLife)).toEqual([]);
  });
});

describe('the line of the boot log', () => {
  it('shows the settings in effect', () => {
    expect(summary(read())).toBe(
      'access token 6m · refresh token 2d idle, 30d at most · grace 10s · response: cookie · ' +
        'cookie refreshToken (httpOnly, SameSite=Lax) · unlimited sessions · tokens without a session accepted'
    );
    expect(
      summary(
        read({
          NODE_ENV: 'production',
          REFRESH_COOKIE_NAME: '__Host-r',
          REFRESH_COOKIE_SAMESITE: 'strict',
          REFRESH_SESSIONS_PER_USER: '5',
          REFRESH_TOKEN_GRACE: '0',
          JWT_REQUIRE_SESSION: 'true',
          REFRESH_TOKEN_ACCESS: 'true',
        })
      )
    ).toMatch(
      /grace 0s .* cookie __Host-r \(httpOnly, SameSite=Strict, Secure\) · 5 sessions per user · sessions required · \/token\/access enabled$/
    );
  });

  it('is one line, without any secret', () => {
    const line = summary(read({ REFRESH_SECRET: `${SECRET},${OLD_SECRET}` }));

    expect(line).not.toMatch(/\n/);
    expect(line).not.toContain(SECRET);
    expect(line).not.toContain(OLD_SECRET);
  });
});

describe('a missing secret', () => {
  const appendTo = (env: Env) => {
    const written: [file: string, line: string][] = [];
    const file = ensureDevelopmentSecret((...call) => written.push(call), env);
    return { file, written };
  };

  it('is generated in development, saved to .env on its own line, and used', () => {
    const env: Env = { NODE_ENV: 'development' };
    const { file, written } = appendTo(env);

    expect(file).toBe('.env');
    expect(written).toEqual([['.env', `\nREFRESH_SECRET=${env.REFRESH_SECRET}\n`]]);
    expect(Buffer.from(env.REFRESH_SECRET!, 'base64')).toHaveLength(32);
    expect(readConfig(env).keys[0].export().toString()).toBe(env.REFRESH_SECRET);
  });

  it('is generated only once, and differs for every project', () => {
    const env: Env = { NODE_ENV: 'development' };
    const other: Env = { NODE_ENV: 'development' };
    appendTo(env);
    appendTo(other);

    expect(appendTo(env)).toEqual({ file: null, written: [] });
    expect(env.REFRESH_SECRET).not.toBe(other.REFRESH_SECRET);
  });

  it('is saved to ENV_PATH', () => {
    const { file, written } = appendTo({ NODE_ENV: 'development', ENV_PATH: '/etc/my-shop.env' });

    expect(file).toBe('/etc/my-shop.env');
    expect(written[0][0]).toBe('/etc/my-shop.env');
  });

  it.each(['', '  '])('is generated if it is empty: %j', (empty) => {
    const env: Env = { NODE_ENV: 'development', REFRESH_SECRET: empty };

    expect(appendTo(env).written).toHaveLength(1);
    expect(() => readConfig(env)).not.toThrow();
  });

  it.each(['production', 'test', '', undefined])(
    'is not generated if NODE_ENV is %j',
    (NODE_ENV) => {
      const env: Env = { NODE_ENV };

      expect(appendTo(env)).toEqual({ file: null, written: [] });
      expect(env.REFRESH_SECRET).toBeUndefined();
      expect(() => readConfig(env)).toThrow(ConfigurationError);
    }
  );
});
