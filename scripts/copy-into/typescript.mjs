import { createRequire } from 'node:module';

/** Not imported: Node would look through its nine megabytes for names to export, which takes longer than the command does. */
export default createRequire(import.meta.url)('typescript');
