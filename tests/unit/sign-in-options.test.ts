import {
  extractSignInOptions,
  isWellFormed,
  readDescription,
  readDeviceId,
  readSignInOptions,
  refuseIllFormed,
} from '../../src/extensions/users-permissions/http/sign-in-options';
import type { Context } from '../../src/extensions/users-permissions/types';

const withBody = (body: object) => ({ request: { body } }) as unknown as Context;
const bodyOf = (ctx: Context) => (ctx.request as { body?: unknown }).body;
const invalid = expect.objectContaining({ code: 'invalid_request' });
const LONGEST = '\u{1f600}'.repeat(255);

describe('The options of a sign-in', () => {
  test('are taken out of the body', () => {
    const ctx = withBody({
      identifier: 'ada',
      requestRefresh: true,
      rememberMe: false,
      sessionDescription: 'A phone',
      deviceId: 'phone',
    });
    expect(extractSignInOptions(ctx, false)).toEqual({
      wantsBody: true,
      rememberMe: false,
      description: 'A phone',
      deviceId: 'phone',
    });
    expect(bodyOf(ctx)).toEqual({ identifier: 'ada' });
  });

  test('may be missing', () => {
    const ctx = withBody({ identifier: 'ada' });
    const none = { wantsBody: false, rememberMe: null, description: null, deviceId: null };
    expect(extractSignInOptions(ctx, false)).toEqual(none);
    expect(bodyOf(ctx)).toEqual({ identifier: 'ada' });
  });

  test.each<[unknown, string | null]>([
    ['phone', 'phone'],
    [7, null],
    ['x'.repeat(256), null],
  ])('leave a deviceId to the project that has a field of that name: %j', (deviceId, stored) => {
    const ctx = withBody({ deviceId });
    expect(extractSignInOptions(ctx, true).deviceId).toBe(stored);
    expect(bodyOf(ctx)).toEqual({ deviceId });
  });

  test.each([
    [true, true],
    ['true', true],
    [false, false],
    [null, false],
    [undefined, false],
  ])('have %p for requestRefresh, which means %p', (requestRefresh, wantsBody) => {
    expect(readSignInOptions({ requestRefresh }).wantsBody).toBe(wantsBody);
  });

  test.each([['false'], ['yes'], [1], [0], [''], [[]], [{}]])(
    'cannot have %p for requestRefresh',
    (requestRefresh) => {
      expect(() => readSignInOptions({ requestRefresh })).toThrow(invalid);
    }
  );

  test.each([
    [true, true],
    ['true', true],
    [false, false],
    ['false', false],
    [null, null],
    [undefined, null],
  ])('have %p for rememberMe, which means %p', (rememberMe, meant) => {
    expect(readSignInOptions({ rememberMe }).rememberMe).toBe(meant);
  });

  test.each([['no'], [1], [0], [''], [[]], [['false']], [{}]])(
    'cannot have %p for rememberMe',
    (rememberMe) => {
      expect(() => readSignInOptions({ rememberMe })).toThrow(invalid);
    }
  );

  test.each([readDescription, readDeviceId])('hold text of at most 255 characters', (read) => {
    expect(read(LONGEST)).toBe(LONGEST);
    expect(read(undefined)).toBeNull();
    expect(read(null)).toBeNull();
    for (const value of [`${LONGEST}x`, 7, true, {}, ['x'], 'a\0b', 'half \ud83d']) {
      expect(() => read(value)).toThrow(invalid);
    }
  });

  test('keep an empty description, and treat an empty deviceId as missing', () => {
    expect(readDescription('')).toBe('');
    expect(readDeviceId('')).toBeNull();
  });
});

describe('Text that something behind Strapi cannot handle', () => {
  test.each(['\0', 'a\0b', '\ud83d', '\ude00', 'a\ude00\ud83db'])('is refused: %j', (text) => {
    expect(isWellFormed(text)).toBe(false);
    expect(() => refuseIllFormed({ fine: 'text', password: text })).toThrow(invalid);
    expect(() => extractSignInOptions(withBody({ password: text }), false)).toThrow(invalid);
  });

  test('includes no other text and no other value', () => {
    expect(isWellFormed('\u{1f600} \u00e9')).toBe(true);
    expect(() => refuseIllFormed({ a: 'text', b: 7, c: null, d: {} })).not.toThrow();
  });
});
