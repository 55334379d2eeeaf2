/** Jest's global teardown of the projects that need a database. */
import { databaseClient, dropTemplate } from './template';

export default (_config: unknown, { globals }: { globals: object }): Promise<void> =>
  dropTemplate(databaseClient(globals));
