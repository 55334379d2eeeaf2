import { createPrivateKey, createPublicKey } from 'crypto';
import jwt from 'jsonwebtoken';
import { prepareKeys } from '../../src/extensions/users-permissions/config/jwt-keys';
import { ConfigurationError } from '../../src/extensions/users-permissions/errors';
import { ecPair, ed25519Pair, rsaPair } from '../support/keys';

const SECRET = 'the secret of access tokens';

const rsa = rsaPair();
const otherRsa = rsaPair();
const shortRsa = rsaPair(1024);
const ec = ecPair();
const otherCurve = ecPair('P-384');
const ed25519 = ed25519Pair();
const encrypted = {
  ...rsa,
  privateKey: createPrivateKey(rsa.privateKey)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open me' })
    .toString(),
};

describe('Access tokens are signed', () => {
  it.each<[string, unknown, unknown, string]>([
    ['with the secret by default', undefined, SECRET, 'HS256'],
    ['with the secret if jwt is null', null, SECRET, 'HS256'],
    ['with the secret and the configured algorithm', { algorithm: 'HS512' }, SECRET, 'HS512'],
    ['with a secret of bytes', {}, Buffer.from([1, 2, 255]), 'HS256'],
    ['with the secret if keys are set, but no algorithm for them', rsa, SECRET, 'HS256'],
    ['with the private key', { algorithm: 'RS256', ...rsa }, SECRET, 'RS256'],
    ['with the private key and PS384', { algorithm: 'PS384', ...rsa }, SECRET, 'PS384'],
    ['with an elliptic curve private key', { algorithm: 'ES256', ...ec }, SECRET, 'ES256'],
    ['with the private key in jwtSecret', { algorithm: 'RS256' }, rsa.privateKey, 'RS256'],
    [
      'with an encrypted private key and its passphrase in jwtSecret',
      { algorithm: 'RS256' },
      { key: encrypted.privateKey, passphrase: 'open me' },
      'RS256',
    ],
    [
      'with an encrypted private key and its passphrase',
      {
        algorithm: 'RS256',
        publicKey: encrypted.publicKey,
        privateKey: { key: encrypted.privateKey, passphrase: 'open me' },
      },
      SECRET,
      'RS256',
    ],
    [
      'with keys as bytes, and the public one as a key object',
      {
        algorithm: 'RS256',
        privateKey: Buffer.from(rsa.privateKey),
        publicKey: createPublicKey(rsa.publicKey),
      },
      SECRET,
      'RS256',
    ],
    [
      'with a short RSA key if that is allowed',
      { algorithm: 'RS256', allowInsecureKeySizes: true, ...shortRsa },
      SECRET,
      'RS256',
    ],
  ])('%s', (_, settings, secret, algorithm) => {
    const keys = prepareKeys(settings, secret);
    const token = jwt.sign({ id: 1 }, keys.signing, keys.options);

    expect(keys.algorithm).toBe(algorithm);
    expect(keys.options).not.toHaveProperty('privateKey');
    expect(keys.options).not.toHaveProperty('publicKey');
    expect(jwt.verify(token, keys.verifying, { algorithms: [keys.algorithm] })).toMatchObject({
      id: 1,
    });
  });

  it('with the bytes of the secret, as in Strapi', () => {
    for (const secret of [SECRET, Buffer.from([1, 2, 255])]) {
      const { signing } = prepareKeys({}, secret);
      expect(jwt.sign({ id: 1, iat: 1 }, signing)).toBe(jwt.sign({ id: 1, iat: 1 }, secret));
    }
  });
});

describe('An unusable key stops the boot, and is never shown', () => {
  const RS256 = { algorithm: 'RS256', ...rsa };

  it.each<[string, unknown, unknown, RegExp]>([
    ['no private key', { ...RS256, privateKey: undefined }, SECRET, /^jwt\.privateKey .*missing/],
    ['an empty private key', { ...RS256, privateKey: '' }, SECRET, /^jwt\.privateKey .*missing/],
    ['no public key', { ...RS256, publicKey: undefined }, SECRET, /^jwt\.publicKey .*missing/],
    [
      'no public key, but another private key in jwtSecret',
      { ...RS256, publicKey: undefined },
      otherRsa.privateKey,
      /^jwt\.publicKey .*missing/,
    ],
    [
      'no private key, but another one in jwtSecret',
      { ...RS256, privateKey: undefined },
      otherRsa.privateKey,
      /^jwt\.privateKey .*missing/,
    ],
    ['a list in jwtSecret', { algorithm: 'RS256' }, [SECRET], /^jwt\.privateKey .*missing/],
    ['null in jwtSecret', { algorithm: 'RS256' }, null, /^jwt\.privateKey .*missing/],
    ['no key at all', { algorithm: 'RS256' }, SECRET, /^jwt\.privateKey .*missing: RS256 needs/],
    ['text', { ...RS256, privateKey: 'my key' }, SECRET, /^jwt\.privateKey .*cannot be read/],
    ['a number', { ...RS256, privateKey: 716253 }, SECRET, /^jwt\.privateKey .*cannot be read/],
    [
      'a passphrase of the wrong type',
      { ...RS256, privateKey: { key: encrypted.privateKey, passphrase: 716253 } },
      SECRET,
      /^jwt\.privateKey .*cannot be read/,
    ],
    [
      'a public key as the private one',
      { ...RS256, privateKey: rsa.publicKey },
      SECRET,
      /^jwt\.privateKey .*cannot be read/,
    ],
    ['a broken public key', { ...RS256, publicKey: 'my key' }, SECRET, /^jwt\.publicKey .*read/],
    [
      'line breaks written as \\n',
      { ...RS256, privateKey: rsa.privateKey.replace(/\n/g, '\\n') },
      SECRET,
      /^jwt\.privateKey .*\.replace\(\/\\\\n\/g, '\\n'\)/,
    ],
    [
      'an encrypted key without its passphrase',
      { ...RS256, ...encrypted },
      SECRET,
      /^jwt\.privateKey .*is encrypted: .*passphrase/,
    ],
    [
      'an elliptic curve key for RS256',
      { ...RS256, ...ec },
      SECRET,
      /cannot sign with RS256: .*"ec"/,
    ],
    ['an RSA key for ES256', { algorithm: 'ES256', ...rsa }, SECRET, /cannot sign with ES256/],
    ['another curve', { algorithm: 'ES256', ...otherCurve }, SECRET, /ES256: .*prime256v1/],
    ['a key of another type', { algorithm: 'RS256', ...ed25519 }, SECRET, /cannot sign with RS256/],
    ['a short RSA key', { algorithm: 'RS256', ...shortRsa }, SECRET, /2048 bits/],
    [
      'the public key of another pair',
      { ...RS256, publicKey: otherRsa.publicKey },
      SECRET,
      /^jwt\.publicKey .*does not verify what jwt\.privateKey signs/,
    ],
    [
      'a public key of another type',
      { ...RS256, publicKey: ec.publicKey },
      SECRET,
      /^jwt\.publicKey .*does not verify/,
    ],
    ['text in jwtSecret', { algorithm: 'ES512' }, SECRET, /^jwt\.privateKey .*missing: ES512/],
    ['an encrypted key in jwtSecret', { algorithm: 'RS256' }, encrypted.privateKey, /^jwtSecret/],
    ['a public key in jwtSecret', { algorithm: 'RS256' }, rsa.publicKey, /^jwtSecret .*read/],
    ['a public key as an HMAC secret', {}, rsa.publicKey, /^jwtSecret .*PEM key, but HS256/],
    ['a private key as an HMAC secret', {}, rsa.privateKey, /^jwtSecret .*PEM key, but HS256/],
    ['no secret', {}, undefined, /^jwtSecret .*must be a string/],
    ['a secret that is a list', {}, [SECRET], /^jwtSecret .*must be a string/],
    ['the algorithm none', { algorithm: 'none' }, SECRET, /^jwt\.algorithm .*"none": .*HS256/],
    ['an algorithm in lower case', { algorithm: 'rs256' }, SECRET, /^jwt\.algorithm .*"rs256"/],
    ['an empty algorithm', { algorithm: '' }, SECRET, /^jwt\.algorithm .*""/],
    ['an unknown algorithm', { ...RS256, algorithm: 'EdDSA' }, SECRET, /^jwt\.algorithm .*"EdDSA"/],
    ['an algorithm that is not a string', { algorithm: 256 }, SECRET, /^jwt\.algorithm .*"256"/],
    ['a key instead of the algorithm', { algorithm: rsa.privateKey }, SECRET, /^jwt\.algorithm/],
    ['settings that are a string', '30d', SECRET, /^jwt .*must be an object/],
  ])('%s', (_, settings, secret, expected) => {
    let refusal: unknown;
    try {
      prepareKeys(settings, secret);
    } catch (error) {
      refusal = error;
    }

    expect(refusal).toBeInstanceOf(ConfigurationError);
    const { problems } = refusal as ConfigurationError;
    expect(problems).toEqual([expect.stringMatching(expected)]);
    expect(problems[0]).toContain('config/plugins');
    expect(problems[0]).toMatch(/Example: (jwt|jwtSecret): /);
    expect(problems[0]).not.toMatch(/BEGIN|716253|open me|the secret of/);
  });
});
