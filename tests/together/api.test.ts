/** API tests in one file, for CI: Jest loads Strapi anew for every file, which takes longer than most of them. */
import path from 'path';

const { TEST_FILES } = globalThis as unknown as { TEST_FILES: string[] };

for (const file of TEST_FILES) {
  describe(path.basename(file), () => {
    jest.requireActual(file);
  });
}
