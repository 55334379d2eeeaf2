import { readFileSync, rmSync, writeFileSync } from 'fs';
import path from 'path';
import { parse } from 'yaml';
import { contents, createProject, FOLDER, PANEL, ROOT, scratch } from '../support/copied';
import { installPackage, run } from './project';

/** The package that `npm pack` makes of `cli/`, in new projects that are not installed. */

const LANGUAGES = ['typescript', 'javascript'] as const;

let here: string;
let command: string;

beforeAll(async () => {
  here = scratch();
  command = await installPackage(here);
  for (const language of LANGUAGES) createProject(path.join(here, language), language);
});
afterAll(() => rmSync(here, { recursive: true }));

test('The package has no dependencies, and the version of the repository', () => {
  const { dependencies, version } = JSON.parse(
    readFileSync(path.join(here, 'node_modules/strapi-refresh-token/package.json'), 'utf8')
  );
  expect(dependencies).toBeUndefined();
  expect(version).toBe(JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')).version);
});

test.each(LANGUAGES)('The package copies into a new %s project', async (language) => {
  const project = path.join(here, language);
  const said = await run(here, command, language);
  expect(said).toContain(`${language === 'typescript' ? 'TypeScript' : 'JavaScript'}, npm\n`);
  expect(said).not.toContain('Notes:');

  const files = contents(path.join(project, FOLDER));
  const panel = contents(path.join(project, PANEL));
  const [ours, theirs] = language === 'typescript' ? ['ts', 'tsx'] : ['js', 'jsx'];
  const named = (part: string) =>
    Object.keys(contents(path.join(ROOT, part))).map((name) =>
      name.replace(/\.ts$/, `.${ours}`).replace(/\.tsx$/, `.${theirs}`)
    );
  expect(Object.keys(panel)).toEqual(named(PANEL));
  expect(Object.keys(files)).toEqual(
    // Modules of types alone have only declarations.
    expect.arrayContaining(named(FOLDER).filter((name) => !/types\.js$/.test(name)))
  );
  if (language === 'typescript') {
    const { 'refresh-token.stamp': _, ...sources } = files;
    expect([sources, panel]).toEqual(
      [FOLDER, PANEL].map((name) => contents(path.join(ROOT, name)))
    );
  }
  expect(await run(here, command, language)).not.toContain('Done:');
});

test('The package runs in the workflow of docs/installing.md, which fails if there is something to do', async () => {
  const [, workflow] = /```yaml\n([^]*?)```/.exec(
    readFileSync(path.join(ROOT, 'docs/installing.md'), 'utf8')
  )!;
  const jobs: { steps: { run?: string }[] }[] = Object.values(parse(workflow).jobs);
  const lines = jobs.flatMap(({ steps }) => steps.flatMap(({ run: line }) => line ?? []));
  expect(lines).toHaveLength(1);

  // npx finds the package above the project.
  const project = path.join(here, 'typescript');
  await run(here, command, 'typescript');
  writeFileSync(path.join(project, 'config/plugins.ts'), 'export default () => ({});\n');
  const check = () => run(project, 'bash', '-e', '-c', lines[0]);
  expect(await check()).toContain('intact.');

  writeFileSync(path.join(project, FOLDER, 'errors.ts.new'), '');
  await expect(check()).rejects.toMatchObject({
    code: 1,
    stdout: expect.stringContaining('merge errors.ts.new into errors.ts'),
  });
});
