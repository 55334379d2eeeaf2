import { createHmac, createSecretKey, generateKeyPairSync } from 'crypto';
import type { KeyObject } from 'crypto';
import jwt from 'jsonwebtoken';
import { SessionError } from '../../src/extensions/users-permissions/errors';
import {
  isSid,
  signRefreshToken,
  verifyRefreshToken,
} from '../../src/extensions/users-permissions/sessions/refresh-token';
import type { KeyRing, Session } from '../../src/extensions/users-permissions/types';

const SECRET = 'a refresh secret of at least 32 characters';
const keyOf = (secret: string) => createSecretKey(Buffer.from(secret, 'utf8'));
const KEY = keyOf(SECRET);
const OTHER_KEY = keyOf('another refresh secret of more than 32 characters');

const ISSUED = Date.UTC(2030, 0, 1);
const EXPIRES = ISSUED + 2 * 86_400_000;
const SID = '0123456789abcdef0123456789abcdef';
const LAST_GENERATION = 2 ** 31 - 2;

const rowOf = (changes: Partial<Session> = {}): Session => ({
  sid: SID,
  userId: 1,
  generation: 7,
  parent: 6,
  acknowledged: false,
  transport: 'cookie',
  deviceId: null,
  description: null,
  userAgent: 'Firefox',
  ip: '127.0.0.1',
  openedAt: ISSUED - 1_000_000,
  rotatedAt: ISSUED,
  expiresAt: EXPIRES,
  endsAt: EXPIRES + 1_000_000,
  persistent: true,
  idleTtl: null,
  accessTtl: null,
  ...changes,
});

const ENDS = EXPIRES + 1_000_000;

const CLAIMS = {
  typ: 'refresh',
  sid: SID,
  gen: 7,
  uid: 1,
  end: ENDS / 1000,
  iat: ISSUED / 1000,
  exp: EXPIRES / 1000,
};

/** What reading a token with these claims returns. */
const SAID = {
  sid: SID,
  generation: 7,
  userId: 1,
  endsAt: ENDS,
  persistent: true,
  idleTtl: null,
  accessTtl: null,
};

const encode = (part: string | object) =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');

/** Signs anything, which jsonwebtoken would refuse to do. */
const forge = (
  claims: string | object,
  { header = { alg: 'HS256', typ: 'JWT' } as object, key = KEY as KeyObject | string } = {}
) => {
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
};

const verify = (
  token: string,
  {
    keys = [KEY],
    now = ISSUED,
    ignoreExpiration = false,
  }: { keys?: KeyRing; now?: number; ignoreExpiration?: boolean } = {}
) => verifyRefreshToken(token, keys, now, ignoreExpiration);

function refusal(token: string, options?: Parameters<typeof verify>[1]): SessionError {
  try {
    verify(token, options);
  } catch (error) {
    if (error instanceof SessionError) return error;
    throw error;
  }
  throw new Error('The token was accepted.');
}

describe('a refresh token', () => {
  it('contains the session, its user, its end and the generation that it was signed for', () => {
    expect(verify(signRefreshToken(rowOf(), [KEY]))).toEqual(SAID);
  });

  it('has exactly the documented claims and header', () => {
    const token = jwt.decode(signRefreshToken(rowOf(), [KEY]), { complete: true })!;

    expect(token.header).toEqual({ alg: 'HS256', typ: 'JWT' });
    expect(token.payload).toEqual(CLAIMS);
  });

  it('uses whole seconds, and never outlives its row', () => {
    const row = rowOf({ rotatedAt: ISSUED + 999, expiresAt: EXPIRES + 999, endsAt: ENDS + 999 });

    expect(jwt.decode(signRefreshToken(row, [KEY]))).toEqual(CLAIMS);
  });

  it('is byte for byte the same, no matter which process signs it for the same row', () => {
    const token = signRefreshToken(rowOf(), [KEY]);

    expect(signRefreshToken(rowOf(), [keyOf(SECRET)])).toBe(token);
    expect(signRefreshToken(rowOf({ acknowledged: true, ip: '::1' }), [KEY])).toBe(token);
    expect(forge(CLAIMS)).toBe(token);
  });

  it('also contains how its session differs from the defaults', () => {
    const own = { persistent: false, idleTtl: 7_200_000, accessTtl: 60_000 };
    const token = signRefreshToken(rowOf(own), [KEY]);

    expect(jwt.decode(token)).toEqual({ ...CLAIMS, idle: 7200, access: 60, persistent: false });
    expect(verify(token)).toEqual({ ...SAID, ...own });
  });

  it('is valid up to its exp, and expired from then on', () => {
    const token = signRefreshToken(rowOf(), [KEY]);

    expect(verify(token, { now: EXPIRES - 1 })).toEqual(SAID);
    expect(refusal(token, { now: EXPIRES }).code).toBe('refresh_token_expired');
    expect(refusal(token, { now: EXPIRES + 1 }).code).toBe('refresh_token_expired');
    expect(() => verifyRefreshToken(token, [KEY], EXPIRES)).toThrow('expired');
  });

  it('still identifies its session after it has expired, so that it can be revoked', () => {
    const token = signRefreshToken(rowOf(), [KEY]);

    expect(verify(token, { now: EXPIRES + 1e12, ignoreExpiration: true }).sid).toBe(SID);
  });

  it('from before version 2.1 contains neither its user nor its end', () => {
    const { uid: _uid, end: _end, ...claims } = CLAIMS;
    expect(verify(forge(claims))).toEqual({ ...SAID, userId: null, endsAt: null });
  });

  it.each([0, LAST_GENERATION])('can have generation %d', (generation) => {
    expect(verify(signRefreshToken(rowOf({ generation }), [KEY])).generation).toBe(generation);
  });
});

describe('the key ring', () => {
  const ring = [KEY, OTHER_KEY] as const;

  it('signs with its first key', () => {
    const token = signRefreshToken(rowOf(), ring);

    expect(token).toBe(signRefreshToken(rowOf(), [KEY]));
  });

  it('verifies with each of its keys, and recognizes an expired token no matter which key signed it', () => {
    const token = signRefreshToken(rowOf(), [OTHER_KEY]);

    expect(verify(token, { keys: ring }).sid).toBe(SID);
    expect(refusal(token, { keys: ring, now: EXPIRES }).code).toBe('refresh_token_expired');
  });

  it('rejects the tokens of a removed key, expired or not', () => {
    const token = signRefreshToken(rowOf(), [KEY]);

    expect(refusal(token, { keys: [OTHER_KEY] }).code).toBe('refresh_token_invalid');
    expect(refusal(token, { keys: [OTHER_KEY], now: EXPIRES }).code).toBe('refresh_token_invalid');
  });
});

describe('anything but a refresh token of this server is rejected as invalid', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const rsaPem = rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string;
  const { exp: _exp, ...withoutExp } = CLAIMS;
  const { typ: _typ, ...withoutTyp } = CLAIMS;
  const { sid: _sid, ...withoutSid } = CLAIMS;
  const { gen: _gen, ...withoutGen } = CLAIMS;

  const expectInvalid = (token: string, options?: Parameters<typeof verify>[1]) => {
    expect(refusal(token, options).code).toBe('refresh_token_invalid');
    expect(refusal(token, { ...options, ignoreExpiration: true }).code).toBe(
      'refresh_token_invalid'
    );
  };

  it.each<[string, string]>([
    ['no algorithm', jwt.sign(CLAIMS, '', { algorithm: 'none' })],
    ['"none" with a signature', forge(CLAIMS, { header: { alg: 'none', typ: 'JWT' } })],
    ['"None" without one', `${encode({ alg: 'None' })}.${encode(CLAIMS)}.`],
    ['HS384 with the right key', jwt.sign(CLAIMS, KEY, { algorithm: 'HS384' })],
    ['HS512 with the right key', jwt.sign(CLAIMS, KEY, { algorithm: 'HS512' })],
    ['RS256', jwt.sign(CLAIMS, rsa.privateKey, { algorithm: 'RS256' })],
    ['ES256', jwt.sign(CLAIMS, ec.privateKey, { algorithm: 'ES256' })],
    ['an RSA public key used as an HMAC secret', forge(CLAIMS, { key: rsaPem })],
    ['a header without an algorithm', forge(CLAIMS, { header: { typ: 'JWT' } })],
    ['another key', forge(CLAIMS, { key: OTHER_KEY })],
    ['an empty key', forge(CLAIMS, { key: '' })],
    ['a key in its own header', forge(CLAIMS, { header: bringsItsKey(), key: rsaPem })],
  ])('signed with %s', (_, token) => expectInvalid(token));

  it.each<[string, object]>([
    ['an access token', { id: 1, sid: SID, gen: 7, iat: CLAIMS.iat, exp: CLAIMS.exp }],
    ['without typ', withoutTyp],
    ['typ access', { ...CLAIMS, typ: 'access' }],
    ['typ Refresh', { ...CLAIMS, typ: 'Refresh' }],
    ['typ ["refresh"]', { ...CLAIMS, typ: ['refresh'] }],
    ['typ null', { ...CLAIMS, typ: null }],
    ['without sid', withoutSid],
    ['sid in upper case', { ...CLAIMS, sid: SID.toUpperCase() }],
    ['sid of 31 digits', { ...CLAIMS, sid: SID.slice(1) }],
    ['sid of 33 digits', { ...CLAIMS, sid: `${SID}0` }],
    ['sid with a line break', { ...CLAIMS, sid: `${SID}\n` }],
    ['sid with NUL', { ...CLAIMS, sid: `${SID.slice(1)}\0` }],
    ['sid a number', { ...CLAIMS, sid: 1e31 }],
    ['sid an array', { ...CLAIMS, sid: [SID] }],
    ['sid an object', { ...CLAIMS, sid: { $ne: '' } }],
    ['without gen', withoutGen],
    ['gen negative', { ...CLAIMS, gen: -1 }],
    ['gen a fraction', { ...CLAIMS, gen: 0.5 }],
    ['gen text', { ...CLAIMS, gen: '7' }],
    ['gen null', { ...CLAIMS, gen: null }],
    ['gen too large to be rotated again', { ...CLAIMS, gen: LAST_GENERATION + 1 }],
    ['without exp', withoutExp],
    ['exp text', { ...CLAIMS, exp: String(CLAIMS.exp) }],
    ['exp null', { ...CLAIMS, exp: null }],
    ['not valid before tomorrow', { ...CLAIMS, nbf: CLAIMS.iat + 86_400 }],
    ['an array', [CLAIMS]],
  ])('signed by us, but %s', (_, claims) => expectInvalid(forge(claims)));

  it.each(['null', '"text"', '7', 'not JSON', ''])('signed by us, but its payload is: %s', (text) =>
    expectInvalid(forge(text))
  );

  it.each<[string, string]>([
    ['nothing', ''],
    ['NUL', '\0'],
    ['one word', 'token'],
    ['two dots', '..'],
    ['a.b.c', 'a.b.c'],
    ['a megabyte', 'a'.repeat(2 ** 20)],
    ['a megabyte of dots', '.'.repeat(2 ** 20)],
    ['a megabyte of signature', `${forge(CLAIMS)}${'a'.repeat(2 ** 20)}`],
    ['a token and more', `${forge(CLAIMS)}.${encode({})}`],
    ['a token after a space', ` ${forge(CLAIMS)}`],
    ['a token before NUL', `${forge(CLAIMS)}\0`],
  ])('a string that is: %s', (_, text) => expectInvalid(text));

  it('a token with any one character changed', () => {
    const token = signRefreshToken(rowOf(), [KEY]);
    for (let at = 0; at < token.length; at += 1) {
      const other = token[at] === 'A' ? 'B' : 'A';
      expectInvalid(`${token.slice(0, at)}${other}${token.slice(at + 1)}`);
    }
  });

  it("a tutorial's { id } token, with a message that says why", () => {
    const theirs = jwt.sign({ id: 1, iat: CLAIMS.iat }, SECRET, { expiresIn: '30d' });
    const { code, status, message } = refusal(theirs);

    expect({ code, status }).toEqual({ code: 'refresh_token_invalid', status: 401 });
    expect(message).toMatch(/older format/);
    expect(message).not.toBe(refusal('a.b.c').message);
  });

  function bringsItsKey(): object {
    return { alg: 'HS256', typ: 'JWT', jwk: rsa.publicKey.export({ format: 'jwk' }) };
  }
});

describe("a session's public id", () => {
  it.each<[unknown, boolean]>([
    [SID, true],
    [SID.toUpperCase(), false],
    [`${SID}\n`, false],
    ['', false],
    [[SID], false],
    [undefined, false],
  ])('%j: %s', (value, expected) => {
    expect(isSid(value)).toBe(expected);
  });
});
