// `npm pack` runs this in a checkout: writes what the package delivers to delivery/.
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { deliver, REPOSITORY, VERSION } from '../lib/delivery.mjs';
import { formatStamp } from '../lib/stamp.mjs';

const target = fileURLToPath(new URL('../delivery', import.meta.url));
rmSync(target, { recursive: true, force: true });
mkdirSync(target);
for (const language of ['ts', 'js']) {
  const { files, remarks } = await deliver(language, null);
  writeFileSync(
    path.join(target, `${language}.txt`),
    formatStamp({ version: VERSION, without: null, files })
  );
  if (language === 'ts') for (const remark of remarks) console.warn(remark);
}
copyFileSync(path.join(REPOSITORY, '.env.example'), path.join(target, 'env.example'));
