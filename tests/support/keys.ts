import { generateKeyPairSync } from 'crypto';
import type { KeyPairKeyObjectResult } from 'crypto';

/** Both keys as PEM, under the names of `jwt` in config/plugins. */
const pem = ({ privateKey, publicKey }: KeyPairKeyObjectResult) => ({
  privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
});

export const rsaPair = (modulusLength = 2048) => pem(generateKeyPairSync('rsa', { modulusLength }));
export const ecPair = (namedCurve = 'P-256') => pem(generateKeyPairSync('ec', { namedCurve }));
export const ed25519Pair = () => pem(generateKeyPairSync('ed25519'));
