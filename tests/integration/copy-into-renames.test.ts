import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'fs';
import path from 'path';
import {
  bareProject,
  contents,
  copyInto,
  copyIntoUnder,
  FOLDER,
  NO_PRIVILEGES,
  otherRepository,
  scratch,
  unpacked,
} from '../support/copied';

/** Upgrades to a release that has files at different paths than the previous release. */

const LANGUAGES = ['ts', 'js'] as const;

type Language = (typeof LANGUAGES)[number];
type Files = Record<string, string>;

const STAMP = `${FOLDER}/refresh-token.stamp`;

const OLD: Files = {
  'controllers/answer.ts': 'export const answer = 1;\n',
  'errors.ts': 'export const fail = (): void => {};\n',
  'routes.ts': `import { find } from './store';

/** Finds the first one. */
export const first = () => find(1);

export const last = () => find(9);
`,
  'store.ts': `import { fail } from './errors';

export function find(id: number) {
  if (!id) fail();
  return { id };
}

/** Counts them all. */
export function count() {
  return 0;
}
`,
};

const NEW: Files = {
  'errors.ts': OLD['errors.ts'],
  'http/response.ts': OLD['controllers/answer.ts'],
  'routes.ts': OLD['routes.ts'].replace('./store', './sessions/repository'),
  'sessions/repository.ts': OLD['store.ts']
    .replace('./errors', '../errors')
    .replace('return 0', 'return 1'),
};

let here: string;
/** The folder for the project of each test. */
let place: string;
let project: string;

/** A release with only these files. */
function release(version: string, files: Files, folder = path.join(here, version)): string {
  otherRepository(folder, version, () => null);
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, FOLDER, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return folder;
}

let older: string;
let newer: string;

beforeAll(() => {
  here = scratch();
  older = unpacked(release('98.0.0', OLD), path.join(here, 'older'));
  newer = unpacked(release('99.0.0', NEW), path.join(here, 'newer'));
  for (const language of LANGUAGES) {
    const [before, after] = ['before', 'after'].map((name) => path.join(here, name, language));
    bareProject(before);
    if (language === 'js') rmSync(path.join(before, 'tsconfig.json'));
    cpSync(before, after, { recursive: true });
    copyInto(older, before);
    copyInto(newer, after);
  }
});
afterAll(() => rmSync(here, { recursive: true }));
beforeEach(() => {
  place = scratch();
  project = path.join(place, 'project');
});
afterEach(() => rmSync(place, { recursive: true }));

/** A project with the older release. */
const use = (language: Language = 'ts') =>
  cpSync(path.join(here, 'before', language), project, { recursive: true });

const inFolder = (name: string) => path.join(project, FOLDER, name);
const isThere = (name: string) => existsSync(inFolder(name));
const read = (name: string) => readFileSync(inFolder(name), 'utf8');
const write = (name: string, text: string) => {
  mkdirSync(path.dirname(inFolder(name)), { recursive: true });
  writeFileSync(inFolder(name), text);
};
const edit = (name: string, from: string | RegExp, to: string) => {
  const text = read(name);
  expect(text).toMatch(from);
  write(name, text.replace(from, to));
};
/** The folder of a project that has had the newer release from the start. */
const asDelivered = (language: Language = 'ts') =>
  contents(path.join(here, 'after', language, FOLDER));

function expectRefusal(repository: string, reason: string): void {
  const before = contents(project);
  const { status, said } = copyInto(repository, project);
  expect([status, said]).toEqual([1, expect.stringContaining(reason)]);
  expect(said).not.toMatch(/\n +at |Done:/);
  expect(contents(project)).toEqual(before);
}

describe.each(LANGUAGES)('A file that has moved (%s)', (language) => {
  const [old, now] = [`store.${language}`, `sessions/repository.${language}`];

  test('is replaced at its new path if the owner did not edit it, and leaves no empty folder', () => {
    use(language);
    const { status, said } = copyInto(newer, project);
    expect(status).toBe(0);
    expect(contents(inFolder('.'))).toEqual(asDelivered(language));
    expect(isThere('controllers')).toBe(false);
    expect(said).toMatch(new RegExp(`, moved: .*${old} to ${now}`));
    expect(said).toMatch(new RegExp(`, replaced \\(you had not edited them\\): .*${now}`));
  });

  test('has the owner’s edit merged in at its new path, with what the edit imports', () => {
    use(language);
    edit(old, 'return { id };', 'return { id, mine: helped() };');
    const added = language === 'ts' ? 'import { helped } from' : 'const { helped } = require(';
    edit(old, /^.*'\.\/errors'.*$/m, `$&\n${added} './mine'${language === 'ts' ? '' : ')'};`);
    const { status, said } = copyInto(newer, project);

    expect(status).toBe(0);
    expect(read(now)).toContain('return { id, mine: helped() };');
    expect(read(now)).toContain(`${added} '../mine'`);
    expect(read(now)).toContain("'../errors'");
    expect(read(now)).toContain('return 1;');
    expect([isThere(old), isThere(`${now}.new`)]).toEqual([false, false]);
    expect(said).toMatch(new RegExp(`, moved: .*${old} to ${now}`));
    expect(said).toContain(`merged with your edits, please review: ${now}\n`);
  });

  test('with a conflict keeps the owner’s version at its new path, next to the new file', () => {
    use(language);
    edit(old, 'return 0;', 'return 2;');
    const { status, said } = copyInto(newer, project);
    expect(status).toBe(0);
    expect(read(now)).toContain('return 2;');
    expect(read(now)).toContain("'../errors'");
    expect(read(`${now}.new`)).toBe(asDelivered(language)[now]);
    expect(isThere(old)).toBe(false);
    expect(said).toContain(
      `${now} (was ${old}) has your edits: merge the two, then delete this one: ${now}.new\n`
    );
    expect(said).toMatch(new RegExp(`, moved: .*${old} to ${now}`));
    expect(copyInto(newer, project, '--check')).toMatchObject({
      status: 1,
      said: expect.stringContaining(`merge ${now}.new into ${now}, then delete it`),
    });
  });

  test('is not moved again by a second run', () => {
    use(language);
    edit(old, 'return { id };', 'return { id, mine: true };');
    copyInto(newer, project);
    const before = contents(project);
    const { said } = copyInto(newer, project);
    expect(said).toContain('Nothing to do.');
    expect(contents(project)).toEqual(before);
  });
});

describe('A move', () => {
  test('is only reported by --dry-run and --check', () => {
    use();
    edit('store.ts', 'return { id };', 'return { id, mine: true };');
    const before = contents(project);
    for (const option of ['--dry-run', '--check']) {
      const { said } = copyInto(newer, project, option);
      expect(said).toContain(
        `${FOLDER}, moved: controllers/answer.ts to http/response.ts, store.ts to sessions/repository.ts\n`
      );
      expect(contents(project)).toEqual(before);
    }
  });

  test('updates the imports of an edited file that does not move', () => {
    use();
    edit('routes.ts', 'find(9)', 'find(10)');
    const { said } = copyInto(newer, project);
    expect(read('routes.ts')).toBe(NEW['routes.ts'].replace('find(9)', 'find(10)'));
    expect(said).toContain('your own, with only the import paths updated: routes.ts\n');
  });

  test('keeps an edit of a file that is the same in the new release', () => {
    use();
    edit('controllers/answer.ts', '1', '2');
    copyInto(newer, project);
    expect(read('http/response.ts')).toBe('export const answer = 2;\n');
    expect([isThere('controllers'), isThere('http/response.ts.new')]).toEqual([false, false]);
  });

  test('keeps the line endings of the owner’s machine', () => {
    use();
    edit('store.ts', /\n/g, '\r\n');
    edit('store.ts', 'return { id };', 'return { id, mine: true };');
    copyInto(newer, project);
    expect(read('sessions/repository.ts')).toContain('return 1;');
    expect(read('sessions/repository.ts').replaceAll('\r\n', '')).not.toContain('\n');
  });

  test('does not bring back what the owner deleted', () => {
    use();
    rmSync(inFolder('store.ts'));
    const { said } = copyInto(newer, project);
    expect(said).toContain(
      'sessions/repository.ts (was store.ts) has changed since you deleted it. It stays deleted.'
    );
    expect([isThere('store.ts'), isThere('sessions')]).toEqual([false, false]);
  });

  test('keeps other files in the folder that it would empty', () => {
    use();
    write('controllers/mine.ts', 'export {};\n');
    copyInto(newer, project);
    expect(read('controllers/mine.ts')).toBe('export {};\n');
  });

  test.each(['an edited', 'an unedited'])(
    'of %s file is refused if another file has the new path',
    (which) => {
      use();
      if (which === 'an edited') edit('store.ts', 'return { id };', 'return { id, mine: true };');
      write('sessions/repository.ts', 'export const mine = true;\n');
      expectRefusal(
        newer,
        `${FOLDER}/store.ts would move to ${FOLDER}/sessions/repository.ts, where there is already another file`
      );
      renameSync(inFolder('sessions/repository.ts'), inFolder('sessions/other.ts'));
      expect(copyInto(newer, project)).toMatchObject({ status: 0 });
      expect(read('sessions/repository.ts')).toContain('return 1;');
      expect(read('sessions/other.ts')).toBe('export const mine = true;\n');
    }
  );

  test('waits until the conflict of the previous release is merged', () => {
    use();
    edit('store.ts', 'return { id };', 'return { id, mine: true };');
    const between = release('98.1.0', {
      ...OLD,
      'store.ts': OLD['store.ts'].replace('{ id };', '{ id, at: 0 };'),
    });
    copyInto(between, project);
    expectRefusal(newer, 'is not fully merged');
    rmSync(inFolder('store.ts.new'));
    expect(copyInto(newer, project)).toMatchObject({ status: 0 });
    expect(isThere('store.ts')).toBe(false);
  });

  test.each(['at once', 'through the release in between'])(
    'can be followed by another: %s',
    (way) => {
      const newest = release(
        `100.0.0`,
        {
          'errors.ts': NEW['errors.ts'],
          'sessions/store.ts': NEW['sessions/repository.ts'].replace('all', 'each'),
        },
        path.join(place, 'newest')
      );
      const table = path.join(newest, 'cli/lib/renames.mjs');
      const entry = "['store', 'sessions/repository'],";
      expect(readFileSync(table, 'utf8')).toContain(entry);
      writeFileSync(
        table,
        readFileSync(table, 'utf8').replace(
          entry,
          `${entry}\n['sessions/repository', 'sessions/store'],`
        )
      );

      use();
      edit('store.ts', 'return { id };', 'return { id, mine: true };');
      if (way !== 'at once') copyInto(newer, project);
      expect(copyInto(newest, project)).toMatchObject({ status: 0 });
      expect(read('sessions/store.ts')).toContain('return { id, mine: true };');
      expect(read('sessions/store.ts')).toContain('Counts them each.');
      expect([isThere('store.ts'), isThere('sessions/repository.ts')]).toEqual([false, false]);
    }
  );

  test('changes nothing if the old file cannot be deleted', () => {
    use();
    chmodSync(inFolder('controllers'), 0o555);
    const before = contents(project);
    const { status, said } = copyIntoUnder(NO_PRIVILEGES, newer, project);
    chmodSync(inFolder('controllers'), 0o755);
    expect(status).toBe(1);
    expect(said).toContain(
      'controllers/answer.ts could not be deleted: permission denied (EACCES)'
    );
    expect(contents(project)).toEqual(before);
    expect([isThere('http'), isThere('sessions')]).toEqual([false, false]);
  });

  test('that was interrupted is completed by a second run', () => {
    use();
    edit('store.ts', 'return 0;', 'return 2;');
    edit('routes.ts', 'find(9)', 'find(10)');
    const from = path.join(place, 'from');
    renameSync(project, from);
    const restart = () => cpSync(from, project, { recursive: true });
    restart();
    const before = contents(project);
    copyInto(newer, project);
    const after = contents(project);

    // A file exists at its new path before it is deleted from the old one, and the stamp comes last.
    const rank = (name: string) => (name === STAMP ? 2 : name in after ? 0 : 1);
    const names = Object.keys({ ...before, ...after })
      .filter((name) => before[name] !== after[name])
      .sort((a, b) => rank(a) - rank(b));
    expect(names).toHaveLength(7);
    for (let count = 0; count <= names.length; count += 1) {
      rmSync(project, { recursive: true });
      restart();
      for (const name of names.slice(0, count)) {
        const file = path.join(project, name);
        mkdirSync(path.dirname(file), { recursive: true });
        if (name in after) writeFileSync(file, after[name]);
        else rmSync(file);
      }
      expect(copyInto(newer, project)).toMatchObject({ status: 0 });
      expect(contents(project)).toEqual(after);
    }
  });

  test('is reported if the owner’s own code imports the old path', () => {
    use();
    write('mine.ts', "import './errors';\nimport { find } from './store';\nfind(1);\n");
    writeFileSync(
      path.join(project, 'src/index.ts'),
      "export const { find } = require('./extensions/users-permissions/store');\n"
    );
    const before = read('mine.ts');
    const { said } = copyInto(newer, project);
    const noted = 'imports a file that has moved. Change the path to';
    expect(said).toContain(`${FOLDER}/mine.ts:2 ${noted} ./sessions/repository\n`);
    expect(said).toContain(
      `src/index.ts:1 ${noted} ./extensions/users-permissions/sessions/repository\n`
    );
    expect(read('mine.ts')).toBe(before);
  });
});
