import { createPrivateKey, createPublicKey, createSecretKey, KeyObject } from 'crypto';
import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import { ConfigurationError } from '../errors';

/** What access tokens are signed and verified with. Keys are prepared once: jsonwebtoken would read them for every token. */
export interface AccessTokenKeys {
  /** The only one that is accepted (RFC 8725, section 3.1). */
  algorithm: jwt.Algorithm;
  signing: KeyObject;
  verifying: KeyObject;
  /** `jwt` of the plugin's configuration without the keys, which jsonwebtoken refuses as options. */
  options: jwt.SignOptions;
}

/** `jwt` of the plugin's configuration. */
export interface JwtSettings extends jwt.SignOptions {
  /** PEM, or anything else that createPrivateKey and createPublicKey of node:crypto accept, such as `{ key, passphrase }`. */
  privateKey?: unknown;
  publicKey?: unknown;
}

export const JWT = 'plugin::users-permissions.jwt';
export const JWT_SECRET = 'plugin::users-permissions.jwtSecret';

const ALGORITHMS: readonly string[] = ['HS', 'RS', 'PS', 'ES'].flatMap((family) =>
  [256, 384, 512].map((size) => `${family}${size}`)
);

const isSymmetric = (algorithm: string): boolean => algorithm.startsWith('HS');

/**
 * Chooses the keys as Strapi's own refresh mode does: `jwtSecret` for HS256, HS384 and HS512, and `jwt.privateKey` with
 * `jwt.publicKey` for the others. Without a pair, the others use the private key in `jwtSecret`, as Strapi's default mode does.
 *
 * @param settings `jwt` of the plugin's configuration
 * @param secret its `jwtSecret`
 * @throws ConfigurationError that says which key cannot be used and why, but never its value
 * @see @strapi/core dist/services/session-manager.js, getJwtKey
 */
export function prepareKeys(settings: unknown, secret: unknown): AccessTokenKeys {
  if (typeof (settings ?? {}) !== 'object') throw problem('jwt', 'must be an object');
  const { privateKey, publicKey, ...others } = (settings ?? {}) as JwtSettings;
  const algorithm = others.algorithm ?? 'HS256';
  if (!ALGORITHMS.includes(algorithm)) {
    // It could be a key that was put here by mistake.
    const shown = String(algorithm).length < 20 ? `"${algorithm}"` : 'unknown';
    throw problem('jwt.algorithm', `is ${shown}: expected one of ${ALGORITHMS.join(', ')}`);
  }
  const options = { ...others, algorithm };
  if (isSymmetric(algorithm)) return { ...secretKey(secret, algorithm), algorithm, options };
  const pair = readPair(privateKey, publicKey, secret, algorithm);
  checkPair(pair, options);
  return { ...pair, algorithm, options };
}

/** The claims that options of jsonwebtoken set. @see jsonwebtoken sign.js, options_to_payload */
const CLAIMS_OF_OPTIONS: Record<string, string> = {
  issuer: 'iss',
  subject: 'sub',
  audience: 'aud',
  jwtid: 'jti',
};

/** @param settings `jwt` of the plugin's configuration. @returns the claims that it sets in every access token */
export const configuredClaims = (settings: unknown): string[] =>
  Object.keys((settings ?? {}) as object).flatMap((option) => CLAIMS_OF_OPTIONS[option] ?? []);

type KeyPair = Pick<AccessTokenKeys, 'signing' | 'verifying'>;

function secretKey(secret: unknown, algorithm: string): KeyPair {
  if (typeof secret !== 'string' && !ArrayBuffer.isView(secret)) {
    throw problem('jwtSecret', 'must be a string', "jwtSecret: env('JWT_SECRET')");
  }
  // A public key is not secret: anyone who has it could sign tokens.
  if (isPem(secret)) {
    throw problem('jwtSecret', `is a PEM key, but ${algorithm} expects a random secret`);
  }
  const bytes = typeof secret === 'string' ? Buffer.from(secret) : (secret as Uint8Array);
  const key = createSecretKey(bytes);
  return { signing: key, verifying: key };
}

function readPair(
  privateKey: unknown,
  publicKey: unknown,
  secret: unknown,
  algorithm: string
): KeyPair {
  if (!privateKey && !publicKey && (isPem(secret) || isKeyObject(secret))) {
    const signing = readKey('jwtSecret', secret, createPrivateKey);
    return { signing, verifying: createPublicKey(signing) };
  }
  for (const [name, key] of Object.entries({ privateKey, publicKey })) {
    if (!key) {
      throw problem(`jwt.${name}`, `is missing: ${algorithm} needs a private and a public key`);
    }
  }
  return {
    signing: readKey('jwt.privateKey', privateKey, createPrivateKey),
    verifying: readKey('jwt.publicKey', publicKey, createPublicKey),
  };
}

/** `{ key, passphrase }` and similar objects. */
const isKeyObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isPem = (value: unknown): boolean => String(value).includes('-----BEGIN');

function readKey(
  name: string,
  value: unknown,
  create: typeof createPrivateKey | typeof createPublicKey
): KeyObject {
  if (value instanceof KeyObject) return value;
  try {
    return create(value as string);
  } catch (error) {
    throw problem(name, unreadable(String(value), (error as { code?: string }).code));
  }
}

/** Does not repeat the message of node:crypto, which may contain the key. */
function unreadable(text: string, code = 'unknown reason'): string {
  if (text.includes(String.raw`\n`)) {
    return String.raw`contains "\n" instead of line breaks: append .replace(/\\n/g, '\n')`;
  }
  if (text.includes('ENCRYPTED')) {
    return 'is encrypted: expected a key without a passphrase, or { key, passphrase }';
  }
  return `cannot be read as PEM (${code})`;
}

/** Signs and verifies a token, so that jsonwebtoken decides whether the keys suit the algorithm and belong together. */
function checkPair(
  { signing, verifying }: KeyPair,
  { algorithm, allowInsecureKeySizes = false }: jwt.SignOptions & { algorithm: jwt.Algorithm }
): void {
  let token: string;
  try {
    token = jwt.sign({}, signing, { algorithm, allowInsecureKeySizes });
  } catch (error) {
    throw problem('The private key', `cannot sign with ${algorithm}: ${(error as Error).message}`);
  }
  try {
    jwt.verify(token, verifying, { algorithms: [algorithm] });
  } catch (error) {
    const { message } = error as Error;
    throw problem('jwt.publicKey', `does not verify what jwt.privateKey signs: ${message}`);
  }
}

/**
 * The plugin's own service does not support key pairs: it signs and verifies with `jwtSecret`, and passes all of `jwt` to
 * jsonwebtoken, which rejects keys there. So if a project's own service wraps it, it gets the private key as the secret,
 * and the keys in `jwt` only if it reads them by name. If the keys cannot be used, it gets what is configured: it may only
 * need someone else's public key.
 *
 * @param keys throws ConfigurationError
 * @see @strapi/plugin-users-permissions server/src/services/jwt.js
 */
export function withPairAsSecret(strapi: Core.Strapi, keys: () => AccessTokenKeys): Core.Strapi {
  const settings = strapi.config.get(JWT) as JwtSettings | null | undefined;
  if (!hasKeys(settings)) return strapi;

  const get = (path: string, fallback?: unknown): unknown => {
    const usable = path === JWT || path === JWT_SECRET ? unlessUnusable(keys) : null;
    if (!usable) return strapi.config.get(path, fallback);
    const { signing, options } = usable;
    if (path === JWT_SECRET) {
      if (signing.type !== 'private') return strapi.config.get(path, fallback);
      return signing.export({ type: 'pkcs8', format: 'pem' });
    }
    const { privateKey, publicKey } = settings;
    return Object.defineProperties(
      { ...options },
      { privateKey: { value: privateKey }, publicKey: { value: publicKey } }
    );
  };
  const config = Object.create(strapi.config, { get: { value: get } });
  return Object.create(strapi, { config: { value: config } });
}

function unlessUnusable(keys: () => AccessTokenKeys): AccessTokenKeys | null {
  try {
    return keys();
  } catch {
    return null;
  }
}

const hasKeys = (settings: JwtSettings | null | undefined): settings is JwtSettings =>
  Boolean(settings?.privateKey || settings?.publicKey);

/** @returns whether there are keys, but an algorithm that uses the secret */
export const hasUnusedKeys = (settings: JwtSettings | null | undefined): boolean =>
  hasKeys(settings) && isSymmetric(settings.algorithm ?? 'HS256');

const problem = (
  name: string,
  reason: string,
  example = "jwt: { algorithm: 'RS256', privateKey: env('JWT_PRIVATE_KEY'), publicKey: env('JWT_PUBLIC_KEY') }"
) =>
  new ConfigurationError([
    `${name} of users-permissions in config/plugins ${reason}. Example: ${example}`,
  ]);
