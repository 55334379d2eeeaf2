import {
  readAccessTokenClaims,
  sidIn,
} from '../../src/extensions/users-permissions/sessions/access-token';

describe('The payload of an access token', () => {
  test.each([
    { id: 1 },
    { id: 1, sid: 'a', gen: 0 },
    { typ: 'access' },
    { typ: null },
    { typ: ['refresh'] },
  ])('may be %j', (payload) => {
    expect(readAccessTokenClaims(payload)).toBe(payload);
  });

  test.each([{ typ: 'refresh' }, { id: 1, typ: 'refresh' }, null, undefined, 'text', 7])(
    'cannot be %j',
    (payload) => {
      expect(() => readAccessTokenClaims(payload)).toThrow('Invalid token.');
    }
  );

  test('names a session only by a well-formed id', () => {
    const sid = '0123456789abcdef0123456789abcdef';
    expect(sidIn({ sid })).toBe(sid);
    for (const other of [undefined, null, '', 7, [sid], `${sid}0`, sid.toUpperCase()]) {
      expect(sidIn({ sid: other })).toBeNull();
    }
  });
});
