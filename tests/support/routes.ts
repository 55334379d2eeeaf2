import { readFileSync } from 'fs';
import path from 'path';

const FOLDER = path.resolve(__dirname, '../../src/extensions/users-permissions');

/** The routes that the extension adds, from its tables: method and path. */
export const addedRoutes = (): [method: string, path: string][] =>
  ['routes.ts', 'controllers/compatibility.ts'].flatMap((file) => {
    const text = readFileSync(path.join(FOLDER, file), 'utf8');
    return [...text.matchAll(/^ {2}\['(\w+)', '([^']+)'/gm)].map(
      ([, method, at]): [string, string] => [method, at]
    );
  });
