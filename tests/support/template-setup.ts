/** Jest's global set-up, which runs once for all projects that name it. */
import { makeTemplates } from './template';

type Project = { globals: { TEST_DATABASES: string[] } };

export default (_config: unknown, { globals }: Project): Promise<void> =>
  makeTemplates(globals.TEST_DATABASES);
