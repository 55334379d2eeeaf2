// Builds the admin panel before the browser tests, where it is missing or older than what it is made of. In a set-up of its own:
// `strapi build` also compiles the server, which tests load.
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SOURCES = ['src/admin', 'package-lock.json'];
const BUILD = 'dist/build/index.html';

/** @returns {number} when a file, or the newest in a folder, was changed */
function changedAt(name) {
  const found = statSync(path.join(ROOT, name), { throwIfNoEntry: false });
  if (!found) return 0;
  const inside = found.isDirectory() ? readdirSync(path.join(ROOT, name)) : [];
  return Math.max(found.mtimeMs, ...inside.map((entry) => changedAt(path.join(name, entry))));
}

export default function buildAdmin() {
  if (changedAt(BUILD) > Math.max(...SOURCES.map(changedAt))) return;
  execFileSync(process.execPath, ['node_modules/@strapi/strapi/bin/strapi.js', 'build'], {
    cwd: ROOT,
    env: { ...process.env, STRAPI_TELEMETRY_DISABLED: 'true' },
    stdio: 'pipe',
  });
}
