/** Jest's global set-up of the projects that need a database. */
import { databaseClient, makeTemplate } from './template';

export default (_config: unknown, { globals }: { globals: object }): Promise<void> =>
  makeTemplate(databaseClient(globals));
