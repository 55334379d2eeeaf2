// Generates the secrets that Strapi and the extension need and that `.env` does not have yet, and saves them there. It runs
// only before `npm run develop` and the demo: anywhere else, a missing secret stops the boot.
import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { parse } from 'dotenv';

const FILE = '.env';
const secret = () => randomBytes(32).toString('base64');

const SECRETS = {
  APP_KEYS: () => `${secret()},${secret()}`,
  API_TOKEN_SALT: secret,
  ADMIN_JWT_SECRET: secret,
  TRANSFER_TOKEN_SALT: secret,
  ENCRYPTION_KEY: secret,
  JWT_SECRET: secret,
  REFRESH_SECRET: secret,
};

const present = { ...(existsSync(FILE) ? parse(readFileSync(FILE)) : {}), ...process.env };
const missing = Object.keys(SECRETS).filter((name) => !present[name]);

if (missing.length > 0) {
  const lines = missing.map((name) => `${name}=${SECRETS[name]()}\n`);
  appendFileSync(FILE, `\n${lines.join('')}`, { mode: 0o600 });
  console.log(`Generated and saved to ${FILE}: ${missing.join(', ')}.`);
}
