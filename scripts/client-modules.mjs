// For a page without a build step: bundlers add the file extension that an import omits, browsers do not.
import { readdirSync, readFileSync, writeFileSync } from 'fs';

const folder = new URL('../dist/browser/', import.meta.url);
for (const name of readdirSync(folder)) {
  const file = new URL(name, folder);
  const code = readFileSync(file, 'utf8');
  writeFileSync(file, code.replace(/ from '(\.\/[\w-]+)'/g, " from '$1.js'"));
}
