import { execFileSync, spawn, spawnSync } from 'child_process';
import { createHash } from 'crypto';
import { once } from 'events';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'fs';
import path from 'path';
import { gzipSync } from 'zlib';
import {
  bareProject,
  commit,
  contents,
  copyInto,
  copyIntoUnder,
  FOLDER,
  NO_PRIVILEGES,
  otherRepository,
  PANEL,
  ROOT,
  scratch,
  SMALL_FILES,
} from '../support/copied';

const STAMP = `${FOLDER}/refresh-token.stamp`;
const { version: VERSION } = JSON.parse(readFileSync(path.join(ROOT, 'cli/package.json'), 'utf8'));

let here: string;
let fresh: string;
let copied: string;
/** A version in which every file is different, and one is gone. */
let newer: string;
/** The folder for the project of each test, and for files outside it that must stay untouched. */
let place: string;
let project: string;

beforeAll(() => {
  here = scratch();
  [fresh, copied, newer] = ['fresh', 'copied', 'newer'].map((name) => path.join(here, name));
  bareProject(fresh);
  cpSync(fresh, copied, { recursive: true });
  copyInto(ROOT, copied);
  otherRepository(newer, '99.0.0', (name, text) =>
    name === 'cron/cleanup.ts' ? null : `${text}\n`
  );
});
afterAll(() => rmSync(here, { recursive: true }));
beforeEach(() => {
  place = scratch();
  project = path.join(place, 'one', 'two', 'project');
});
afterEach(() => rmSync(place, { recursive: true }));

const use = (made: string) => cpSync(made, project, { recursive: true });
const inProject = (name: string) => path.join(project, name);
const read = (name: string) => readFileSync(inProject(name), 'utf8');
const write = (name: string, text: string) => {
  mkdirSync(path.dirname(inProject(name)), { recursive: true });
  writeFileSync(inProject(name), text);
};

/** Expects that a run is refused with a message, and that nothing at all has changed. */
function expectRefusal(run: () => ReturnType<typeof copyInto>, reason: string): void {
  const before = contents(place);
  const { status, said } = run();
  expect(said).toContain(reason);
  expect(said).not.toMatch(/\n +at |Done:/);
  expect(status).toBe(1);
  expect(contents(place)).toEqual(before);
}

type Entries = [name: string, text: string][];

const pack = (files: unknown) => gzipSync(JSON.stringify(files)).toString('base64');

/** What the command copied into the project, by name. */
const delivered = (): Entries => {
  const { 'refresh-token.stamp': _, ...files } = contents(inProject(FOLDER));
  const panel = Object.entries(contents(inProject(PANEL)));
  return [
    ...Object.entries(files),
    ...panel.map(([name, text]): Entries[0] => [`${PANEL}/${name}`, text]),
  ];
};

/** Writes a stamp with more files than were delivered, in the format of each version. */
const forgeries = {
  'this version': (...files: Entries) => {
    const [, head, texts] = /^([^]*?\n)(\n==> [^]*)$/.exec(read(STAMP))!;
    const listed = files.map(([name, text]) => {
      const hash = createHash('sha256').update(text).digest('hex');
      return `${hash}  ${FOLDER}/${name}\n`;
    });
    const more = files.map(([name, text]) => `\n==> ${FOLDER}/${name} <==\n${text}`);
    write(STAMP, [head, ...listed, texts, ...more].join(''));
  },
  '2.1.0': (...files: Entries) =>
    write(STAMP, JSON.stringify({ version: '2.1.0', files: [pack([...delivered(), ...files])] })),
};

describe.each(['this version', '2.1.0'] as const)('A stamp like those of %s', (format) => {
  const forge = forgeries[format];

  test('is accepted, also with more files, which are deleted if they were not edited', () => {
    use(copied);
    forge(['gone.ts', 'gone'], ['My notes.txt', 'notes'], ['.DS_Store', '']);
    write(`${FOLDER}/gone.ts`, 'gone');
    write(`${FOLDER}/.DS_Store`, '');
    write(`${FOLDER}/My notes.txt`, 'mine by now');
    expect(copyInto(ROOT, project, '--check').said).toContain('edited: My notes.txt\n');
    expect(copyInto(ROOT, project)).toMatchObject({ status: 0 });
    const { [`${FOLDER}/My notes.txt`]: notes, ...files } = contents(project);
    expect([notes, files]).toEqual(['mine by now', contents(copied)]);
    expect(copyInto(ROOT, project, '--check').said).toContain('intact.');
  });

  test.each([
    ['../../../outside.txt', '../../../outside.txt'],
    ['../../../../outside.txt', '../../../../outside.txt'],
    ['services/../../../../package.json', 'services/../../../../package.json'],
    ['./errors.ts', './errors.ts'],
    ['services//jwt.ts', 'services//jwt.ts'],
    ['..\\..\\..\\outside.txt', '..\\..\\..\\outside.txt'],
    ['C:\\outside.txt', 'C:\\outside.txt'],
    ['a name with NUL', 'errors\0.ts'],
    ['.git/hooks/x', '.git/hooks/x'],
    ['.git', '.git'],
    ['a hidden folder', 'services/.hidden/x.ts'],
    ['a name that Windows confuses with another', 'services./jwt.ts'],
    ['a stream of a file', 'errors.ts:x'],
    ['no name', ''],
    ['a file that appears twice on a file system that ignores case', 'readme.md'],
    ['a file that is also a folder', 'services'],
    ['a file below a file', 'errors.ts/index.ts'],
    ['a name that is too long', `${'a'.repeat(300)}.ts`],
  ])('deletes nothing, and is rejected: %s', (_, name) => {
    use(copied);
    // An unedited file that is no longer part of a release is deleted.
    for (const folder of [place, path.join(place, 'one', 'two'), project]) {
      writeFileSync(path.join(folder, 'outside.txt'), 'mine');
    }
    forge([name, 'mine']);
    expectRefusal(() => copyInto(ROOT, project), 'was not written by this command');
  });

  test.each(['--check', '--dry-run'])('is also rejected by %s', (option) => {
    use(copied);
    forge(['../outside.txt', 'mine']);
    expectRefusal(
      () => copyInto(ROOT, project, option),
      '"../outside.txt" is not a file in this folder'
    );
  });

  test('that names an absolute path deletes nothing', () => {
    use(copied);
    const outside = path.join(place, 'outside.txt');
    writeFileSync(outside, 'mine');
    forge([outside, 'mine']);
    expectRefusal(() => copyInto(ROOT, project), 'was not written by this command');
  });
});

describe('A damaged stamp', () => {
  test('of 2.1.0 that unpacks to more than a release can contain is rejected', () => {
    use(copied);
    forgeries['2.1.0'](['large.ts', ' '.repeat(64 * 1024 * 1024)]);
    expectRefusal(() => copyInto(ROOT, project, '--check'), 'is damaged');
  });

  test.each([
    ['an invalid version', (stamp: any) => ({ ...stamp, version: '../..' })],
    ['no files', ({ version }: any) => ({ version })],
    ['invalid files', (stamp: any) => ({ ...stamp, files: [pack([['errors.ts', 7]])] })],
    [
      'a file twice',
      (stamp: any) => ({
        ...stamp,
        files: [
          pack([
            ['a.ts', ''],
            ['a.ts', ''],
          ]),
        ],
      }),
    ],
  ])('of 2.1.0 that has %s is rejected', (_, change) => {
    use(copied);
    write(STAMP, JSON.stringify(change({ version: '2.1.0', files: [pack(delivered())] })));
    expectRefusal(() => copyInto(ROOT, project), 'is damaged');
  });

  const HASH = '0'.repeat(64);
  test.each<[string, (stamp: string) => string]>([
    ['an invalid version', (stamp) => stamp.replace(/^version .*$/m, 'version ../..')],
    ['no version', (stamp) => stamp.replace(/^version .*\n/m, '')],
    ['no files', (stamp) => stamp.replace(/^[0-9a-f]{64}[^]*/m, '')],
    ['a file without its text', (stamp) => stamp.replace(/\n==> [^]*?(?=\n==> )/, '')],
    ['a text without its file', (stamp) => stamp.replace(/^[0-9a-f]{64} .*\n/m, '')],
    ['an edited text', (stamp) => stamp.replace('Session not found.', 'Nothing here.')],
    ['another hash', (stamp) => stamp.replace(/^[0-9a-f]{64}/m, HASH)],
    ['a file twice', (stamp) => stamp.replace(/^([0-9a-f]{64} .*\n)/m, '$1$1')],
    [
      'a file outside the copy',
      (stamp) => stamp.replaceAll(`${FOLDER}/LICENSE`, 'node_modules/LICENSE'),
    ],
    ['the rest cut off', (stamp) => stamp.slice(0, stamp.length / 2)],
    ['a conflict of git', (stamp) => `<<<<<<< HEAD\n${stamp}`],
  ])('with %s is rejected', (_, change) => {
    use(copied);
    const stamp = read(STAMP);
    write(STAMP, change(stamp));
    expect(read(STAMP)).not.toBe(stamp);
    expectRefusal(() => copyInto(ROOT, project), 'is damaged');
  });
});

describe('The stamp', () => {
  const list = (...options: string[]) => {
    const { status, stdout } = spawnSync('sha256sum', ['--check', ...options, STAMP], {
      cwd: project,
      encoding: 'utf8',
    });
    return { status, stdout };
  };

  test('is plain text: the version, the hash of every file, and its text', () => {
    use(copied);
    const stamp = read(STAMP);
    expect(stamp).toContain(`\nversion ${VERSION}\n`);
    for (const [name, text] of delivered()) {
      const file = name.startsWith(PANEL) ? name : `${FOLDER}/${name}`;
      expect(stamp).toContain(`\n==> ${file} <==\n${text}`);
    }
    expect(stamp.split('\n').filter((line) => line.length > 200)).toEqual(
      delivered().flatMap(([, text]) => text.split('\n').filter((line) => line.length > 200))
    );
  });

  test('lets sha256sum list the files that are edited', () => {
    use(copied);
    expect(list('--quiet')).toEqual({ status: 0, stdout: '' });
    expect(list().stdout.match(/: OK$/gm)).toHaveLength(delivered().length);
    write(`${FOLDER}/errors.ts`, '// mine\n');
    expect(list('--quiet')).toEqual({ status: 1, stdout: `${FOLDER}/errors.ts: FAILED\n` });
  });

  test('works with the line endings of another machine', () => {
    use(copied);
    write(STAMP, read(STAMP).replaceAll('\n', '\r\n'));
    const { said } = copyInto(ROOT, project, '--check');
    expect(said).toContain('intact.');
    expect(said).not.toContain(STAMP);
  });

  test('of 2.1.0 is rewritten', () => {
    use(copied);
    forgeries['2.1.0']();
    expect(copyInto(ROOT, project)).toMatchObject({ status: 0 });
    expect(contents(project)).toEqual(contents(copied));
  });

  test('of an earlier version remembers what was left out', () => {
    use(copied);
    const files = delivered().filter(([name]) => !name.startsWith(PANEL));
    write(STAMP, JSON.stringify({ version: '2.1.0', without: 'admin', files: [pack(files)] }));
    expect(copyInto(ROOT, project, '--check').said).toContain(
      'A copy of version 2.1.0 without admin '
    );
  });

  test('is merged with after an upgrade from 2.1.0', () => {
    use(copied);
    forgeries['2.1.0']();
    write(`${FOLDER}/errors.ts`, `// mine\n${read(`${FOLDER}/errors.ts`)}`);
    expect(copyInto(newer, project)).toMatchObject({ status: 0 });
    expect(read(`${FOLDER}/errors.ts`)).toMatch(/^\/\/ mine\n[^]*\n\n$/);
  });
});

describe('A link in a project', () => {
  /** Moves a file or folder out of the project, and leaves a link to it. */
  const linkOut = (name: string) => {
    const outside = path.join(place, 'outside');
    renameSync(inProject(name), outside);
    symlinkSync(outside, inProject(name));
  };
  test.each(['src', 'package.json', '.env', '.env.example'])(
    'is not followed by a first copy: %s',
    (name) => {
      use(fresh);
      linkOut(name);
      expectRefusal(() => copyInto(ROOT, project), `${name} is a link`);
    }
  );

  test.each([
    'src',
    'src/extensions',
    FOLDER,
    `${FOLDER}/services`,
    `${FOLDER}/errors.ts`,
    `${FOLDER}/sessions/repository.ts`,
    `${FOLDER}/cron/cleanup.ts`,
    STAMP,
  ])('is not followed by an upgrade: %s', (name) => {
    use(copied);
    linkOut(name);
    expectRefusal(() => copyInto(newer, project), `${name} is a link`);
  });

  test.each(['.env', '.env.example', `${FOLDER}/errors.ts`, `${FOLDER}/mine.ts`])(
    'that is dangling does not create its target: %s',
    (name) => {
      use(fresh);
      write(`${FOLDER}/strapi-server.ts`, 'export default (plugin: any) => plugin;\n');
      rmSync(inProject(name), { force: true });
      symlinkSync(path.join(place, 'nowhere'), inProject(name));
      expectRefusal(() => copyInto(ROOT, project, '--combine'), `${name} is a link`);
    }
  );

  test('is ignored if nothing needs to be written there', () => {
    use(copied);
    linkOut('.env');
    expect(copyInto(ROOT, project)).toMatchObject({ status: 0 });
    expect(copyInto(ROOT, project, '--check')).toMatchObject({ status: 0 });
  });

  test('can lead to the project itself', () => {
    use(fresh);
    const link = path.join(place, 'link');
    symlinkSync(project, link);
    expect(copyInto(ROOT, link)).toMatchObject({ status: 0 });
    expect(contents(inProject(FOLDER))).toEqual(contents(path.join(copied, FOLDER)));
  });
});

describe('The wrong kind of file instead of', () => {
  test.each(['.env', '.env.example', `${FOLDER}/errors.ts`, `${FOLDER}/strapi-server.ts`])(
    'the file %s is refused',
    (name) => {
      use(fresh);
      rmSync(inProject(name), { force: true });
      write(`${name}/inside`, '');
      expectRefusal(() => copyInto(ROOT, project), `${name} is not a file`);
    }
  );

  test.each(['src/extensions', FOLDER, `${FOLDER}/services`])(
    'the folder %s is refused',
    (name) => {
      use(fresh);
      write(name, '');
      expectRefusal(() => copyInto(ROOT, project), `${name} is not a folder`);
    }
  );
});

describe('A file that is not UTF-8', () => {
  const LATIN_1 = Buffer.from('DATABASE_PASSWORD=p\xe4ssw\xf6rd\n', 'latin1');
  const UTF_16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('A=1\r\n', 'utf16le')]);

  test.each([
    ['.env', LATIN_1],
    ['.env', UTF_16],
    ['.env.example', LATIN_1],
  ])('is refused, because writing to it would damage it: %s', (name, bytes) => {
    use(fresh);
    writeFileSync(inProject(name), bytes);
    expectRefusal(() => copyInto(ROOT, project), `${name} is not UTF-8`);
  });

  test('is also refused at an upgrade, with the owner’s edit in it', () => {
    use(copied);
    const edit = Buffer.concat([
      readFileSync(inProject(`${FOLDER}/sessions/repository.ts`)),
      LATIN_1,
    ]);
    writeFileSync(inProject(`${FOLDER}/sessions/repository.ts`), edit);
    expectRefusal(() => copyInto(newer, project), `${FOLDER}/sessions/repository.ts is not UTF-8`);
  });
});

describe('What is copied', () => {
  /** This repository, checked out somewhere else. */
  const checkout = () => {
    const repository = path.join(place, 'repository');
    otherRepository(repository, '99.0.0', (_, text) => text);
    writeFileSync(path.join(repository, '.gitignore'), 'node_modules\n');
    return repository;
  };
  const names = () => Object.keys(contents(inProject(FOLDER)));

  test('is what git tracks, as it is on disk, with a note about differences', () => {
    const repository = checkout();
    commit(repository);
    const file = (name: string) => path.join(repository, FOLDER, name);
    writeFileSync(file('scratch.ts'), 'my password\n');
    writeFileSync(file('services/more.ts'), '');
    writeFileSync(file('errors.ts'), `${readFileSync(file('errors.ts'), 'utf8')}// edited\n`);
    rmSync(file('LICENSE'));

    use(fresh);
    const { status, said } = copyInto(repository, project);
    expect(status).toBe(0);
    expect(said).toMatch(/Not copied, .* does not track them: scratch\.ts, services\/more\.ts\n/);
    expect(said).toMatch(
      /Copied with uncommitted changes from this repository: LICENSE, errors\.ts\n/
    );
    expect(names()).not.toContain('scratch.ts');
    expect(names()).not.toContain('services/more.ts');
    expect(read(STAMP)).toContain('99.0.0');
    expect(read(`${FOLDER}/errors.ts`)).toMatch(/\/\/ edited\n$/);
  });

  test('is the same in a git hook of the project', () => {
    const repository = checkout();
    commit(repository);
    use(fresh);
    commit(project);
    const hook = ['env', `GIT_DIR=${inProject('.git')}`, `GIT_WORK_TREE=${project}`];
    expect(copyIntoUnder(hook, repository, project)).toMatchObject({ status: 0 });
    expect(names()).toEqual(Object.keys(contents(path.join(copied, FOLDER))));
  });

  test('is what a release can contain if the repository is an archive without git', () => {
    const repository = checkout();
    commit(place);
    for (const name of ['.DS_Store', 'errors.ts.orig', '#errors.ts#', 'errors.ts~', 'notes.txt']) {
      writeFileSync(path.join(repository, FOLDER, name), '');
    }
    use(fresh);
    expect(copyInto(repository, project)).toMatchObject({ status: 0 });
    expect(names()).toEqual(Object.keys(contents(path.join(copied, FOLDER))));
  });

  test('needs nothing installed in the repository, but a compiler for JavaScript', () => {
    const repository = checkout();
    rmSync(path.join(repository, 'node_modules'));
    use(fresh);
    expect(copyInto(repository, project)).toMatchObject({ status: 0 });
    expect(names()).toEqual(Object.keys(contents(path.join(copied, FOLDER))));

    rmSync(project, { recursive: true });
    use(fresh);
    rmSync(inProject('tsconfig.json'));
    expectRefusal(
      () => copyInto(repository, project),
      `Run this first: npm install --prefix ${path.join(repository, 'cli')}`
    );
  });

  test('is nothing if git cannot list the files of the repository', () => {
    const repository = checkout();
    mkdirSync(path.join(repository, '.git'));
    use(fresh);
    expectRefusal(() => copyInto(repository, project), 'git cannot list the files');
  });
});

describe('A run that cannot write', () => {
  test('changes nothing if there is too little space, and says which file and why', () => {
    use(fresh);
    expectRefusal(
      () => copyIntoUnder(SMALL_FILES, ROOT, project),
      `${STAMP} could not be written: file too large (EFBIG). Nothing was changed.`
    );
    expect(() => statSync(inProject('src/extensions'))).toThrow('ENOENT');
    expect(copyInto(ROOT, project)).toMatchObject({ status: 0 });
    expect(contents(inProject(FOLDER))).toEqual(contents(path.join(copied, FOLDER)));
  });

  test.each([
    ['src', 0o555, 'src/admin/app.tsx'],
    ['.', 0o555, 'package.json'],
    ['package.json', 0o444, 'package.json'],
    ['.env', 0o444, '.env'],
  ])('changes nothing if %s is read-only', (name, mode, denied) => {
    use(fresh);
    const before = statSync(inProject(name)).mode;
    chmodSync(inProject(name), mode);
    try {
      expectRefusal(
        () => copyIntoUnder(NO_PRIVILEGES, ROOT, project),
        'could not be written: permission denied (EACCES). Nothing was changed.'
      );
      expect(copyIntoUnder(NO_PRIVILEGES, ROOT, project).said).toContain(`${denied}`);
    } finally {
      chmodSync(inProject(name), before);
    }
  });

  test('changes nothing if it is not allowed to delete', () => {
    use(copied);
    write(`${FOLDER}/old/gone.ts`, 'export {};\n');
    const older = path.join(place, 'older');
    otherRepository(older, '1.9.0', (_, text) => text);
    mkdirSync(path.join(older, FOLDER, 'old'));
    writeFileSync(path.join(older, FOLDER, 'old/gone.ts'), 'export {};\n');
    rmSync(inProject(STAMP));
    copyInto(older, project);
    chmodSync(inProject(`${FOLDER}/old`), 0o555);
    try {
      expectRefusal(
        () => copyIntoUnder(NO_PRIVILEGES, ROOT, project),
        `${FOLDER}/old/gone.ts could not be deleted: permission denied (EACCES). Nothing was changed.`
      );
    } finally {
      chmodSync(inProject(`${FOLDER}/old`), 0o755);
    }
    expect(copyInto(ROOT, project)).toMatchObject({ status: 0 });
    expect(Object.keys(contents(project))).not.toContain(`${FOLDER}/old/gone.ts`);
  });

  test('says what it cannot read', () => {
    use(copied);
    chmodSync(inProject(`${FOLDER}/sessions/repository.ts`), 0o000);
    const { status, said } = copyIntoUnder(NO_PRIVILEGES, ROOT, project);
    expect(said).toMatch(
      /sessions\/repository\.ts could not be read: permission denied \(EACCES\)\. Nothing was/
    );
    expect(said).not.toMatch(/\n +at /);
    expect(status).toBe(1);
  });

  test('keeps the mode of a file that it replaces', () => {
    use(fresh);
    chmodSync(inProject('package.json'), 0o664);
    chmodSync(inProject('.env'), 0o640);
    copyInto(ROOT, project);
    const modes = ['package.json', '.env'].map((name) => statSync(inProject(name)).mode & 0o777);
    expect(modes).toEqual([0o664, 0o640]);
  });
});

describe('After an interrupted run, a second one does the rest', () => {
  /** Files that differ, in an order in which they can be written. */
  const changed = (before: Record<string, string>, after: Record<string, string>) => {
    const rank = (name: string) => (name === STAMP ? 2 : name === `${FOLDER}/mine.ts` ? 0 : 1);
    return Object.keys({ ...before, ...after })
      .filter((name) => before[name] !== after[name])
      .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  };

  /** Every intermediate state from one project to the other, and the run that completes it. */
  const completeFromEverywhere = (from: string, repository: string, ...options: string[]) => {
    use(from);
    const before = contents(project);
    copyInto(repository, project, ...options);
    const after = contents(project);
    const names = changed(before, after);
    for (let count = 0; count <= names.length; count += 1) {
      rmSync(project, { recursive: true });
      use(from);
      for (const name of names.slice(0, count)) {
        if (name in after) write(name, after[name]);
        else rmSync(inProject(name));
      }
      expect(copyInto(repository, project, ...options)).toMatchObject({ status: 0 });
      const now = contents(project);
      // It is generated again if it was not yet written.
      now['.env'] = now['.env'].replace(/(?<=REFRESH_SECRET=).*/, '');
      expect(now).toEqual({ ...after, '.env': after['.env'].replace(/(?<=SECRET=).*/, '') });
    }
    return names;
  };

  test('of an upgrade with edits that merge and edits that conflict', () => {
    const from = path.join(place, 'from');
    cpSync(copied, from, { recursive: true });
    const edit = (name: string, was: string, is: string) => {
      const file = path.join(from, FOLDER, name);
      expect(readFileSync(file, 'utf8')).toContain(was);
      writeFileSync(file, readFileSync(file, 'utf8').replace(was, is));
    };
    edit('errors.ts', 'This user is not allowed to sign in.', 'You are not welcome.');
    edit('sessions/refresh-outcome.ts', 'export ', '// mine\nexport ');
    const next = path.join(place, 'next');
    otherRepository(next, '99.0.0', (name, text) => {
      if (name === 'errors.ts') return text.replace('Session not found.', 'There is none.');
      if (name === 'sessions/refresh-outcome.ts')
        return text.replace('export ', '// theirs\nexport ');
      if (name === 'cron/cleanup.ts') return null;
      return name === 'wrap.ts' ? `${text}// newer\n` : text;
    });
    writeFileSync(path.join(next, FOLDER, 'brought.ts'), 'export {};\n');

    expect(completeFromEverywhere(from, next)).toEqual(
      [
        'brought.ts',
        'cron/cleanup.ts',
        'errors.ts',
        'sessions/refresh-outcome.ts.new',
        'wrap.ts',
        'refresh-token.stamp',
      ].map((name) => `${FOLDER}/${name}`)
    );
  });

  test('of a first copy next to the owner’s strapi-server', () => {
    const from = path.join(place, 'from');
    cpSync(fresh, from, { recursive: true });
    mkdirSync(path.join(from, FOLDER), { recursive: true });
    writeFileSync(
      path.join(from, FOLDER, 'strapi-server.ts'),
      'export default (plugin: any) => plugin;\n'
    );
    // Few files, so that there are few states.
    const small = path.join(place, 'small');
    otherRepository(small, '99.0.0', (name, text) =>
      ['strapi-server.ts', 'wrap.ts', 'README.md'].includes(name) ? text : null
    );
    expect(completeFromEverywhere(from, small, '--combine')).toContain(`${FOLDER}/mine.ts`);
  });

  test.each(['--without', '--with'])('of a run %s the admin panel', (option) => {
    const small = path.join(place, 'small');
    otherRepository(small, '99.0.0', (name, text) =>
      ['strapi-server.ts', 'admin/index.ts', `${PANEL}/index.ts`].includes(name) ? text : null
    );
    const from = path.join(place, 'from');
    cpSync(fresh, from, { recursive: true });
    copyInto(small, from, ...(option === '--with' ? ['--without', 'admin'] : []));
    expect(completeFromEverywhere(from, small, option, 'admin')).toEqual([
      'src/admin/app.tsx',
      `${PANEL}/index.ts`,
      `${FOLDER}/admin/index.ts`,
      `${FOLDER}/strapi-server.ts`,
      STAMP,
    ]);
  });
});

test('Two concurrent runs have the same result as one', async () => {
  use(fresh);
  const script = path.join(ROOT, 'cli/copy-into.mjs');
  const runs = [1, 2, 3].map(() => once(spawn(process.execPath, [script, project]), 'exit'));
  for (const [status] of await Promise.all(runs)) expect(status).toBe(0);

  const secret = /REFRESH_SECRET=.+/g;
  const [now, alone] = [contents(project), contents(copied)];
  expect(now['.env'].match(secret)).toHaveLength(1);
  for (const files of [now, alone]) files['.env'] = files['.env'].replace(secret, '');
  expect(now).toEqual(alone);
});

test('A run adds each dependency once, even if another run has added it since this one started', () => {
  use(fresh);
  const lib = (name: string) => JSON.stringify(path.join(ROOT, 'cli/lib', name));
  const done = JSON.stringify(path.join(copied, 'package.json'));
  const code = `
    import { copyFileSync } from 'node:fs';
    import { detectProject } from ${lib('project.mjs')};
    import { planDependencies } from ${lib('settings.mjs')};
    const project = detectProject('.', null);
    copyFileSync(${done}, 'package.json');
    const files = new Map([['server.ts', "import jwt from 'jsonwebtoken';"]]);
    for (const { text } of planDependencies(project, files)) process.stdout.write(text);
  `;
  const options = ['--input-type=module', '--eval', code];
  const planned = execFileSync(process.execPath, options, { cwd: project, encoding: 'utf8' });
  expect(planned.match(/"jsonwebtoken"/g)).toHaveLength(1);
  expect(planned.match(/"@types\/jsonwebtoken"/g)).toHaveLength(1);
});

test('Programs in the project’s git configuration are not run', () => {
  use(copied);
  commit(project);
  const trace = path.join(place, 'trace');
  const program = path.join(place, 'program');
  writeFileSync(program, `#!/bin/sh\ntouch ${trace}\n`, { mode: 0o755 });
  execFileSync('git', ['config', 'core.fsmonitor', program], { cwd: project });
  execFileSync('git', ['status'], { cwd: project, stdio: 'ignore' });
  expect(statSync(trace).isFile()).toBe(true);
  rmSync(trace);
  copyInto(ROOT, project, '--check');
  expect(() => statSync(trace)).toThrow('ENOENT');
});
