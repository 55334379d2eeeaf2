import { readFileSync } from 'fs';
import path from 'path';

const page = readFileSync(path.resolve(__dirname, '../../docs/deploying.md'), 'utf8');

/** The first code block of a language in a section of `docs/deploying.md`. @throws Error if there is none */
export function blockUnder(heading: string, language: string): string {
  const section = page.split(/^##+ /m).find((text) => text.startsWith(heading));
  const block = section && new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'ms').exec(section);
  if (!block) throw new Error(`docs/deploying.md has no ${language} under "${heading}".`);
  return block[1];
}
