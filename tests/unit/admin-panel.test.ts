import { parseUserAgent } from '../../src/admin/refresh-token/device';
import { createTexts } from '../../src/admin/refresh-token/texts';
import { translations } from '../../src/admin/refresh-token/translations';

describe('The device is named by what its User-Agent header claims', () => {
  const MOZILLA = 'Mozilla/5.0';
  const CHROME = 'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36';
  const SAFARI = 'AppleWebKit/605.1.15 (KHTML, like Gecko)';

  test.each([
    ['Chrome on Windows', `${MOZILLA} (Windows NT 10.0; Win64; x64) ${CHROME}`],
    ['Edge on Windows', `${MOZILLA} (Windows NT 10.0; Win64; x64) ${CHROME} Edg/141.0.0.0`],
    ['Opera on Linux', `${MOZILLA} (X11; Linux x86_64) ${CHROME} OPR/120.0.0.0`],
    ['Chrome on macOS', `${MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) ${CHROME}`],
    ['Chrome on ChromeOS', `${MOZILLA} (X11; CrOS x86_64 14541.0.0) ${CHROME}`],
    ['Chrome on Android', `${MOZILLA} (Linux; Android 10; K) ${CHROME}`],
    [
      'Samsung Internet on Android',
      `${MOZILLA} (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36`,
    ],
    ['Firefox on Linux', `${MOZILLA} (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0`],
    [
      'Firefox on iPhone',
      `${MOZILLA} (iPhone; CPU iPhone OS 18_6 like Mac OS X) ${SAFARI} FxiOS/144.0 Mobile/15E148 Safari/605.1.15`,
    ],
    [
      'Chrome on iPhone',
      `${MOZILLA} (iPhone; CPU iPhone OS 18_6 like Mac OS X) ${SAFARI} CriOS/141.0 Mobile/15E148 Safari/604.1`,
    ],
    [
      'Safari on iPhone',
      `${MOZILLA} (iPhone; CPU iPhone OS 18_6 like Mac OS X) ${SAFARI} Version/26.0 Mobile/15E148 Safari/604.1`,
    ],
    [
      'Safari on iPad',
      `${MOZILLA} (iPad; CPU OS 18_6 like Mac OS X) ${SAFARI} Version/26.0 Mobile/15E148 Safari/604.1`,
    ],
    [
      'Safari on macOS',
      `${MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) ${SAFARI} Version/26.0 Safari/605.1.15`,
    ],
    [
      'Chrome on Linux',
      `${MOZILLA} (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/141.0.0.0 Safari/537.36`,
    ],
    ['curl', 'curl/8.5.0'],
    ['Postman', 'PostmanRuntime/7.49.0'],
    ['Node.js', 'node'],
    ['okhttp', 'okhttp/4.12.0'],
    ['Dart', 'Dart/3.9 (dart:io)'],
    ['My Shop', 'My%20Shop/42 CFNetwork/3826.500.131 Darwin/24.5.0'],
    ['100%', '100%/1.0'],
    ['ShopApp on Android', 'ShopApp/3.1 (Android 15; Pixel 9)'],
  ])('%s', (name, userAgent) => {
    const { app, system } = parseUserAgent(userAgent);
    expect([app, system].filter(Boolean).join(' on ')).toBe(name);
  });

  test.each(['', 'Mozilla/5.0', '-', `${'x'.repeat(60)}/1.0`, '(compatible)', 'two words'])(
    'nothing is made up of "%s"',
    (userAgent) => expect(parseUserAgent(userAgent).system).toBeUndefined()
  );

  test('a header of any length is read quickly', () => {
    const start = process.hrtime.bigint();
    for (const part of ['a', 'Mozilla/5.0 ', '/', '(', 'Edg', '%']) {
      parseUserAgent(part.repeat(100_000));
    }
    expect(Number(process.hrtime.bigint() - start) / 1e6).toBeLessThan(1_000);
  });
});

describe('Texts', () => {
  const NOW = Date.UTC(2030, 0, 1, 12);
  const SECOND = 1_000;
  const HOUR = 3600 * SECOND;
  const DAY = 24 * HOUR;
  const { relative, plural, t } = createTexts('en');
  const at = (milliseconds: number) => relative(new Date(NOW + milliseconds).toISOString(), NOW);

  test.each([
    [0, 'just now'],
    [-59.4 * SECOND, 'just now'],
    [42 * SECOND, 'in 42 seconds'],
    [-59.7 * SECOND, '1 minute ago'],
    [-59.9 * 60 * SECOND, '1 hour ago'],
    [-23.8 * HOUR, '1 day ago'],
    [2 * DAY - 5 * SECOND, 'in 2 days'],
    [30 * DAY, 'in 30 days'],
    [-90 * DAY, '3 months ago'],
    [3650 * DAY, 'in 10 years'],
  ])('%d ms is %s', (difference, text) => expect(at(difference)).toBe(text));

  test('numbers and plurals follow the language', () => {
    expect(plural('ended', 1)).toBe('1 session ended.');
    expect(plural('ended', 12_345)).toBe('12,345 sessions ended.');
    expect(createTexts('de').plural('ended', 12_345)).toBe('12.345 Sitzungen beendet.');
    expect(createTexts('de-AT').t('title')).toBe('Sitzungen');
  });

  test('a language without texts has English ones, and its own times', () => {
    const french = createTexts('fr');
    expect(french.t('title')).toBe('Sessions');
    expect(french.relative(new Date(NOW - DAY).toISOString(), NOW)).toBe('il y a 1 jour');
  });

  test('values are inserted as they are', () => {
    expect(t('endUser.title', { user: '{user} $& <b>' })).toBe(
      'End all sessions of {user} $& <b>?'
    );
  });

  test('every language has every text with the same values', () => {
    const valuesOf = (text = '') => (text.match(/\{\w+\}/g) ?? []).sort();
    for (const [key, text] of Object.entries(translations.en)) {
      expect([key, valuesOf(translations.de?.[key as keyof typeof translations.en])]).toEqual([
        key,
        valuesOf(text),
      ]);
    }
  });
});
