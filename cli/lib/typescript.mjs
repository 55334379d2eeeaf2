import { createRequire } from 'node:module';

/** Not imported: Node would search its nine megabytes for names to export, which takes longer than the whole command. */
export default createRequire(import.meta.url)('typescript');
