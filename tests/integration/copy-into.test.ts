import { execFileSync } from 'child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'fs';
import { createRequire } from 'module';
import path from 'path';
import { parse } from 'dotenv';
import {
  commit,
  contents,
  copyInto,
  createProject,
  FOLDER,
  otherRepository,
  ROOT,
  scratch,
  unpacked,
} from '../support/copied';

const LANGUAGES = ['typescript', 'javascript'] as const;

type Language = (typeof LANGUAGES)[number];

let here: string;
let project: string;
/** What copies into a project of each language: a checkout, or the package. */
let command: Record<Language, string>;
/** The output of the first copy into each new project. */
const first = {} as Record<Language, ReturnType<typeof copyInto>>;

beforeAll(() => {
  here = scratch();
  command = { typescript: ROOT, javascript: unpacked(ROOT, path.join(here, 'package')) };
  for (const language of LANGUAGES) {
    const made = path.join(here, language);
    createProject(made, language);
    cpSync(made, `${made}-copied`, { recursive: true });
    first[language] = copyInto(command[language], `${made}-copied`);
  }
});
afterAll(() => rmSync(here, { recursive: true }));
afterEach(() => {
  if (project) rmSync(project, { recursive: true, force: true });
});

/** A new project for one test. */
function fresh(language: Language = 'typescript'): void {
  project = scratch();
  cpSync(path.join(here, language), project, { recursive: true });
}

/** The same after a first copy. */
function copied(language: Language = 'typescript'): void {
  project = scratch();
  cpSync(path.join(here, `${language}-copied`), project, { recursive: true });
}

const inFolder = (name: string) => path.join(project, FOLDER, name);
const read = (name: string) => readFileSync(path.join(project, name), 'utf8');
const write = (name: string, text: string) => writeFileSync(path.join(project, name), text);
const edit = (name: string, from: string | RegExp, to: string) => {
  const text = readFileSync(inFolder(name), 'utf8');
  expect(text).toMatch(from);
  writeFileSync(inFolder(name), text.replace(from, to));
};

/** Another version of this repository, for as long as the function runs. */
function withVersion(
  version: string,
  change: (name: string, text: string) => string | null,
  run: (repository: string) => void
): void {
  const folder = scratch();
  try {
    otherRepository(folder, version, change);
    run(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('A first copy', () => {
  test('adds the folder, the dependencies, the variables and a secret to a TypeScript project', () => {
    copied();
    const { status, said } = first.typescript;

    expect(status).toBe(0);
    expect(said).toContain('Strapi 5.54.0, TypeScript, npm');
    const { 'refresh-token.stamp': stamp, ...files } = contents(inFolder('.'));
    expect(files).toEqual(contents(path.join(ROOT, FOLDER)));
    expect(stamp).toBeTruthy();
    const { dependencies, devDependencies } = JSON.parse(read('package.json'));
    expect(dependencies).toMatchObject({ '@strapi/utils': '5.54.0', jsonwebtoken: '9.0.3' });
    // An imported file of a package is not a package.
    for (const name of Object.keys(dependencies)) expect(name).toMatch(/^(@[\w.-]+\/)?[\w.-]+$/);
    expect(devDependencies).toMatchObject({ '@types/jsonwebtoken': '9.0.10' });
    // Those that this repository is tested with.
    const ours = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
    expect(ours.dependencies).toMatchObject({ jsonwebtoken: '9.0.3' });
    expect(ours.devDependencies).toMatchObject({ '@types/jsonwebtoken': '9.0.10' });
    expect(parse(read('.env.example'))).toMatchObject({
      REFRESH_SECRET: '',
      JWT_SECRET_EXPIRES: '360s',
      REFRESH_TOKEN_ACCESS: 'false',
      JWT_REQUIRE_SESSION: 'false',
    });
    expect(parse(read('.env')).REFRESH_SECRET).toMatch(/^[\w+/]{43}=$/);
  });

  test('adds readable JavaScript and its types to a JavaScript project', () => {
    copied('javascript');
    const { status, said } = first.javascript;

    expect(status).toBe(0);
    expect(said).toContain('JavaScript, npm');
    const files = contents(inFolder('.'));
    expect(Object.keys(files).filter((name) => /(?<!\.d)\.ts$/.test(name))).toEqual([]);
    for (const name of Object.keys(files).filter((each) => each.endsWith('.js'))) {
      expect(files).toHaveProperty([name.replace(/\.js$/, '.d.ts')]);
      expect(files[name]).toMatch(/^'use strict';\n\n/);
      expect(files[name]).not.toMatch(/EMPTY-LINE|__importStar|_1\.|^(import|export) /m);
      expect(files[name].match(/^module\.exports = /gm)).toHaveLength(1);
    }
    expect(files['strapi-server.js']).toContain(
      'Everything that changes in Strapi is listed here.'
    );
    expect(files['strapi-server.js']).toContain('`sessions/refresh-outcome.js`');
    expect(files['sessions/refresh-outcome.js']).toContain('\n\n');
    expect(files['types.d.ts']).toContain('export interface Session');
    const { dependencies, devDependencies } = JSON.parse(read('package.json'));
    expect(dependencies).toMatchObject({ '@strapi/utils': '5.54.0', jsonwebtoken: '9.0.3' });
    // An imported file of a package is not a package.
    for (const name of Object.keys(dependencies)) expect(name).toMatch(/^(@[\w.-]+\/)?[\w.-]+$/);
    expect(devDependencies).toEqual({});
  });

  test('the JavaScript makes the same decisions as the TypeScript', () => {
    copied('javascript');
    // Its external imports are not installed there.
    const load = createRequire(path.join(ROOT, 'package.json'));
    const outcome = 'sessions/refresh-outcome.js';
    const { refreshOutcome } = load(inFolder(outcome));
    const { refreshOutcome: original } = load(path.join(ROOT, 'dist', FOLDER, outcome));
    const session = { generation: 3, parent: 2, acknowledged: false, rotatedAt: 0, endsAt: 9e12 };
    const user = { id: 1, blocked: false, confirmed: true };
    for (const generation of [1, 2, 3, 4]) {
      for (const at of [5_000, 50_000]) {
        const asked = [session, user, generation, at, 10_000];
        expect(refreshOutcome(...asked)).toBe(original(...asked));
      }
    }
  });

  test.each(LANGUAGES)('does not touch any of the owner’s lines (%s)', (language) => {
    copied(language);
    const before = contents(path.join(here, language));
    const after = contents(project);
    for (const [name, text] of Object.entries(before)) {
      const kept = after[name].split('\n');
      for (const line of text.split('\n')) {
        expect(kept).toContain(line);
        kept.splice(0, kept.indexOf(line) + 1);
      }
    }
  });

  test('never shows the secret that it generates', () => {
    copied();
    const { said } = first.typescript;
    expect(said).toContain('.env: adds a newly generated REFRESH_SECRET');
    expect(said).not.toContain(parse(read('.env')).REFRESH_SECRET);
    expect(read('.env.example')).not.toContain(parse(read('.env')).REFRESH_SECRET);
  });

  test('a second run changes nothing', () => {
    copied();
    write('config/plugins.ts', 'export default () => ({});\n');
    const before = contents(project);
    const { status, said } = copyInto(ROOT, project);
    expect([status, contents(project)]).toEqual([0, before]);
    expect(said).toContain('Nothing to do.');
  });

  test('--dry-run prints the same, and does nothing', () => {
    fresh();
    const before = contents(project);
    const dry = copyInto(ROOT, project, '--dry-run');
    expect([dry.status, contents(project)]).toEqual([0, before]);
    const { said } = copyInto(ROOT, project);
    expect(dry.said.replace('Would change:', 'Done:')).toBe(said);
  });

  test('keeps existing variables, secrets and dependencies', () => {
    fresh();
    write('.env', 'REFRESH_SECRET=mine-and-long-enough-to-be-a-secret\n');
    write('.env.example', 'JWT_SECRET_EXPIRES=5m');
    const manifest = JSON.parse(read('package.json'));
    manifest.dependencies.jsonwebtoken = '^9.0.0';
    write('package.json', JSON.stringify(manifest, null, '\t'));

    copyInto(ROOT, project);
    expect(read('.env')).toBe('REFRESH_SECRET=mine-and-long-enough-to-be-a-secret\n');
    expect(read('.env.example')).toMatch(/^JWT_SECRET_EXPIRES=5m\n\n# Signs refresh tokens/);
    expect(read('.env.example').match(/JWT_SECRET_EXPIRES=/g)).toHaveLength(1);
    expect(read('package.json')).toContain('\n\t\t"jsonwebtoken": "^9.0.0"\n');
    expect(read('package.json')).toContain('\n\t\t"@strapi/utils": "5.54.0",\n');
  });

  test('creates a missing .env that only its owner can read', () => {
    fresh();
    rmSync(path.join(project, '.env'));
    copyInto(ROOT, project);
    expect(parse(read('.env')).REFRESH_SECRET).toMatch(/^[\w+/]{43}=$/);
    expect(statSync(path.join(project, '.env')).mode & 0o777).toBe(0o600);
  });

  test.each([
    ['yarn.lock', '', 'yarn install'],
    ['pnpm-lock.yaml', '', 'pnpm install'],
    ['package.json', '"packageManager": "pnpm@9.0.0", ', 'pnpm develop'],
  ])('prints the commands of the project’s package manager (%s)', (name, text, command) => {
    fresh();
    write(name, text === '' ? '' : read(name).replace('{', `{ ${text}`));
    expect(copyInto(ROOT, project, '--dry-run').said).toContain(`  - ${command}\n`);
  });

  test.each(LANGUAGES)('points to the line of Strapi’s own refresh mode (%s)', (language) => {
    copied(language);
    const { said } = first[language];
    const [, name, line] = /(config\/plugins\.[tj]s), line (\d+): delete/.exec(said)!;
    expect(read(name).split('\n')[Number(line) - 1]).toContain("jwtManagement: 'refresh'");
  });

  test('does not overwrite files that are in its way', () => {
    fresh();
    write(`${FOLDER}/../.gitkeep`, '');
    copyInto(ROOT, project);
    rmSync(inFolder('refresh-token.stamp'));
    edit('sessions/repository.ts', /^/, '// mine\n');
    const before = contents(project);
    const { status, said } = copyInto(ROOT, project);
    expect([status, contents(project)]).toEqual([1, before]);
    expect(said).toContain(`${FOLDER}/sessions/repository.ts\n`);
  });
});

describe('A project that has its own strapi-server', () => {
  const MINE = {
    typescript: 'export default (plugin: any) => {\n  plugin.mine = true;\n  return plugin;\n};\n',
    javascript: 'module.exports = (plugin) => {\n  plugin.mine = true;\n  return plugin;\n};\n',
  };
  const make = (language: Language) => {
    fresh(language);
    const extension = language === 'typescript' ? 'ts' : 'js';
    cpSync(path.join(ROOT, 'LICENSE'), inFolder('LICENSE'));
    write(`${FOLDER}/strapi-server.${extension}`, MINE[language]);
    return extension;
  };

  test.each(LANGUAGES)('keeps it, and gets the exact lines (%s)', (language) => {
    make(language);
    const before = contents(project);
    const { status, said } = copyInto(command[language], project);
    expect([status, contents(project)]).toEqual([1, before]);
    expect(said).toContain('--combine');
    expect(said).toMatch(/withRefreshTokens\(\(await .*\(plugin\)\) \?\? plugin\);/);
  });

  test.each(LANGUAGES)('gets both with --combine, its own renamed (%s)', (language) => {
    const extension = make(language);
    expect(copyInto(command[language], project, '--combine').status).toBe(0);
    expect(read(`${FOLDER}/mine.${extension}`)).toBe(MINE[language]);
    expect(read(`${FOLDER}/strapi-server.${extension}`)).toMatch(
      /withRefreshTokens\(\(await .*\(plugin\)\) \?\? plugin\);\n$/
    );
    const check = copyInto(command[language], project, '--check');
    expect(check.said).toContain(`edited: strapi-server.${extension}\n`);
  });

  test('keeps both after an upgrade', () => {
    make('typescript');
    copyInto(ROOT, project, '--combine');
    const change = (name: string, text: string) =>
      name === 'strapi-server.ts' ? text.replace('Sessions for', 'Real sessions for') : text;
    withVersion('99.0.0', change, (newer) => {
      expect(copyInto(newer, project).status).toBe(0);
    });
    expect(read(`${FOLDER}/strapi-server.ts`)).toContain('Real sessions for');
    expect(read(`${FOLDER}/strapi-server.ts`)).toContain("import mine from './mine';");
    expect(read(`${FOLDER}/mine.ts`)).toBe(MINE.typescript);
  });
});

describe('--check', () => {
  test('says that a copy is intact', () => {
    copied();
    write('config/plugins.ts', 'export default () => ({});\n');
    const { status, said } = copyInto(ROOT, project, '--check');
    expect(said).toContain('intact.');
    expect(status).toBe(0);
  });

  test('does not treat line endings of another machine as edits', () => {
    copied();
    edit('sessions/repository.ts', /\n/g, '\r\n');
    expect(copyInto(ROOT, project, '--check').said).toContain('intact.');
  });

  test('lists the files that are edited, and those that are gone', () => {
    copied();
    edit('errors.ts', 'Sign in again.', 'Please sign in again.');
    rmSync(inFolder('README.md'));
    const before = contents(project);
    const { said } = copyInto(ROOT, project, '--check');
    expect(said).toContain('edited.\n  edited: errors.ts\n  deleted: README.md\n');
    expect(contents(project)).toEqual(before);
  });

  test('says that a copy is behind, and what would be done', () => {
    copied();
    const before = contents(project);
    withVersion(
      '99.0.0',
      (name, text) => (name === 'sessions/refresh-outcome.ts' ? `// newer\n${text}` : text),
      (newer) => {
        const { status, said } = copyInto(newer, project, '--check');
        expect(status).toBe(1);
        expect(said).toMatch(/A copy of version \S+ \(this command: 99\.0\.0\), intact\./);
        expect(said).toContain('replaced (you had not edited them): sessions/refresh-outcome.ts');
      }
    );
    expect(contents(project)).toEqual(before);
  });

  test('accepts a fresh clone of a project whose copy is intact', () => {
    copied();
    write('config/plugins.ts', 'export default () => ({});\n');
    commit(project);
    const clone = scratch();
    execFileSync('git', ['clone', '-q', project, clone]);
    const { status, said } = copyInto(ROOT, clone, '--check');
    rmSync(clone, { recursive: true });
    expect(said).toContain('intact.');
    expect(said).toContain('There is no .env here');
    expect(said).toContain('Nothing to do.');
    expect(status).toBe(0);
  });

  test('does not require an .env.example that git ignores', () => {
    copied();
    write('config/plugins.ts', 'export default () => ({});\n');
    rmSync(path.join(project, '.env.example'));
    commit(project);
    expect(copyInto(ROOT, project, '--check')).toMatchObject({ status: 1 });
    write('.gitignore', '.env*\n');
    expect(copyInto(ROOT, project, '--check')).toMatchObject({ status: 0 });
  });

  test('accepts a project whose Strapi release is known only after installation', () => {
    copied();
    write('config/plugins.ts', 'export default () => ({});\n');
    for (const range of ['catalog:', '*', 'latest']) {
      const manifest = JSON.parse(read('package.json'));
      manifest.dependencies['@strapi/strapi'] = range;
      write('package.json', JSON.stringify(manifest, null, 2));
      const { status, said } = copyInto(ROOT, project, '--check');
      expect(said).toContain(`Strapi ${range}, TypeScript`);
      expect(status).toBe(0);
    }
  });

  test('says that a .env lacks the secret', () => {
    copied();
    write('config/plugins.ts', 'export default () => ({});\n');
    write('.env', 'APP_KEYS=a\n');
    const { status, said } = copyInto(ROOT, project, '--check');
    expect(said).toContain('.env: adds a newly generated REFRESH_SECRET');
    expect(status).toBe(1);
  });

  test('says that .env.example, which is in git, lacks a variable', () => {
    copied();
    write('config/plugins.ts', 'export default () => ({});\n');
    write('.env.example', read('.env.example').replace('REFRESH_SECRET=', ''));
    rmSync(path.join(project, '.env'));
    const { status, said } = copyInto(ROOT, project, '--check');
    expect(said).toContain('.env.example: adds REFRESH_SECRET\n');
    expect(status).toBe(1);
  });

  test('does not treat line endings from git on Windows as differences', () => {
    copied();
    write('config/plugins.ts', 'export default () => ({});\n');
    withVersion(
      JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')).version,
      (_, text) => text.replaceAll('\n', '\r\n'),
      (windows) => {
        const { status, said } = copyInto(windows, project, '--check');
        expect(said).toContain('Nothing to do.');
        expect(status).toBe(0);
      }
    );
  });

  test('says that there is no copy', () => {
    fresh();
    const { status, said } = copyInto(ROOT, project, '--check');
    expect([status, said]).toEqual([
      1,
      expect.stringContaining('has no copy made by this command'),
    ]);
  });

  test('shows the CORS lines to paste, and accepts them once they are there', () => {
    copied();
    const { said } = copyInto(ROOT, project, '--check');
    expect(said).toContain('origin allows every site');
    expect(said).toContain('x-strapi-refresh-cookie');
    const [lines] = / +\{\n +name: 'strapi::cors',[^]*?\n {6}\},/.exec(said)!;
    write(
      'config/middlewares.ts',
      read('config/middlewares.ts').replace("  'strapi::cors',", lines)
    );
    expect(read('config/middlewares.ts')).toContain("name: 'strapi::cors'");
    expect(copyInto(ROOT, project, '--check').said).not.toContain('middlewares');
  });

  test.each([
    ["{ name: 'strapi::cors', config: { origin: ['*'] } },", 'origin allows every site'],
    [
      "{ name: 'strapi::cors', config: { origin: 'https://a.example', credentials: false } },",
      'credentials is false',
    ],
    ['', 'strapi::cors is missing'],
  ])('reports what would block a front end: %s', (line, doubt) => {
    copied();
    write('config/middlewares.ts', read('config/middlewares.ts').replace("'strapi::cors',", line));
    expect(copyInto(ROOT, project, '--check').said).toContain(doubt);
  });
});

describe('--diff', () => {
  /** The project after its diff was applied, without what the diff leaves out. */
  const applied = (diff: string) => {
    commit(project);
    execFileSync('git', ['apply'], { cwd: project, input: diff });
    rmSync(path.join(project, '.git'), { recursive: true });
    return withoutSecrets();
  };
  const withoutSecrets = () => {
    const { '.env': _, [`${FOLDER}/refresh-token.stamp`]: __, ...files } = contents(project);
    return files;
  };

  test('of an upgrade is a patch that changes what the upgrade would, and changes nothing itself', () => {
    copied();
    edit('errors.ts', 'This user is not allowed to sign in.', 'You are not welcome.');
    edit('types.ts', '/**', '/** Mine. */\n/**');
    edit('wrap.ts', /^/, '// mine\n');
    const before = contents(project);
    const change = (name: string, text: string) => {
      if (name === 'errors.ts') return text.replace('Session not found.', 'There is none.');
      if (name === 'wrap.ts') return `// theirs\n${text}`;
      return name === 'cron/cleanup.ts' ? null : text;
    };
    withVersion('99.0.0', change, (newer) => {
      writeFileSync(path.join(newer, FOLDER, 'brought.ts'), 'export {};\n');
      const { status, said, stdout } = copyInto(newer, project, '--diff');
      expect([status, contents(project)]).toEqual([1, before]);
      expect(stdout).toContain(`--- a/${FOLDER}/errors.ts\n+++ b/${FOLDER}/errors.ts\n@@ `);
      expect(stdout).toMatch(/^\+.*There is none\.'/m);
      expect(stdout).toMatch(/^ .*You are not welcome\.'/m);
      expect(stdout).toContain('deleted file');
      expect(stdout).toContain(`+++ b/${FOLDER}/wrap.ts.new\n`);
      expect(stdout).not.toMatch(/types\.ts|refresh-token\.stamp/);
      expect(said).toContain('refresh-token.stamp, not shown: records version 99.0.0\n');

      const files = applied(stdout);
      rmSync(project, { recursive: true });
      for (const [name, text] of Object.entries(before)) {
        mkdirSync(path.dirname(path.join(project, name)), { recursive: true });
        write(name, text);
      }
      copyInto(newer, project);
      expect(files).toEqual(withoutSecrets());
    });
  });

  test('of a first copy shows everything but the secret', () => {
    fresh();
    const { status, said, stdout } = copyInto(ROOT, project, '--diff');
    expect(status).toBe(1);
    expect(stdout).toMatch(/^\+ {4}"jsonwebtoken": "9\.0\.3",$/m);
    expect(said).toContain('.env, not shown: adds a newly generated REFRESH_SECRET\n');
    expect(said).not.toMatch(/^\+REFRESH_SECRET=./m);
    const files = applied(stdout);
    copyInto(ROOT, project);
    expect(withoutSecrets()).toEqual(files);
  });

  test('is empty if nothing would change', () => {
    copied();
    expect(copyInto(ROOT, project, '--diff')).toMatchObject({ status: 0, said: '' });
  });

  test('has another exit status if it fails', () => {
    fresh();
    rmSync(path.join(project, 'package.json'));
    expect(copyInto(ROOT, project, '--diff')).toMatchObject({ status: 2, stdout: '' });
  });
});

describe('An upgrade', () => {
  const newer = (name: string, text: string) => {
    if (name === 'errors.ts')
      return text.replace('Session not found.', 'There is no such session.');
    if (name === 'cron/cleanup.ts') return null;
    if (name === 'types.ts') return `${text}// newer\n`;
    return text;
  };

  test('replaces what the owner did not edit, deletes what is gone, and adds what is new', () => {
    copied();
    withVersion('99.0.0', newer, (repository) => {
      writeFileSync(path.join(repository, FOLDER, 'brought.ts'), 'export {};\n');
      expect(copyInto(repository, project).status).toBe(0);
      const { 'refresh-token.stamp': _, ...files } = contents(inFolder('.'));
      expect(files).toEqual(contents(path.join(repository, FOLDER)));
      expect(Object.keys(files)).toContain('brought.ts');
    });
  });

  test('merges with the owner’s edits', () => {
    copied();
    const name = 'errors.ts';
    edit(name, 'This user is not allowed to sign in.', 'You are not welcome.');
    withVersion('99.0.0', newer, (repository) => {
      const { said } = copyInto(repository, project);
      expect(said).toContain(`merged with your edits, please review: ${name}`);
      const before = contents(project);
      copyInto(repository, project);
      expect(contents(project)).toEqual(before);
    });
    expect(read(`${FOLDER}/${name}`)).toContain('You are not welcome.');
    expect(read(`${FOLDER}/${name}`)).toContain('There is no such session.');
  });

  test.each(['typescript', 'javascript'] as const)(
    'never overwrites policy, and says when its type has changed: %s',
    (language) => {
      copied(language);
      const name = language === 'typescript' ? 'policy.ts' : 'policy.js';
      const changeAll = (file: string, text: string) => {
        if (file === 'policy.ts') return `${text}// newer\n`;
        if (file === 'policy-types.ts') return text.replace('sid: string;', '$&\n  newer: true;');
        return text;
      };
      const mine = read(`${FOLDER}/${name}`).replace('= {', '= { claims: () => ({ a: 1 }),');
      for (const own of [read(`${FOLDER}/${name}`), mine]) {
        write(`${FOLDER}/${name}`, own);
        withVersion('99.0.0', changeAll, (repository) => {
          for (const options of [['--check'], ['--dry-run']]) {
            const { said } = copyInto(repository, project, ...options);
            expect(said).toContain('The type of policy.ts has changed: see policy-types');
          }
        });
      }
      withVersion('99.0.0', changeAll, (repository) => {
        expect(copyInto(repository, project).status).toBe(0);
        expect(read(`${FOLDER}/${name}`)).toBe(mine);
        expect(contents(inFolder('.'))).not.toHaveProperty([`${name}.new`]);
        const { said } = copyInto(repository, project, '--check');
        expect(said).not.toMatch(/The type of policy.ts|Would change/);
      });
    }
  );

  test('keeps an edit that conflicts, puts the new file next to it, and waits for its owner', () => {
    copied();
    edit('errors.ts', 'Session not found.', 'Nothing here.');
    const mine = read(`${FOLDER}/errors.ts`);
    withVersion('99.0.0', newer, (repository) => {
      const { said } = copyInto(repository, project);
      expect(said).toContain(
        'errors.ts has your edits: merge the two, then delete this one: errors.ts.new'
      );
      expect(read(`${FOLDER}/errors.ts`)).toBe(mine);
      expect(read(`${FOLDER}/errors.ts.new`)).toContain('There is no such session.');

      const before = contents(project);
      copyInto(repository, project);
      expect(contents(project)).toEqual(before);
      expect(copyInto(repository, project, '--check')).toMatchObject({
        status: 1,
        said: expect.stringContaining('merge errors.ts.new into errors.ts'),
      });
      withVersion(
        '99.1.0',
        (name, text) => `${newer(name, text) ?? text}\n`,
        (newest) => {
          expect(copyInto(newest, project)).toMatchObject({
            status: 1,
            said: expect.stringContaining('is not fully merged'),
          });
          expect(contents(project)).toEqual(before);
          rmSync(inFolder('errors.ts.new'));
          expect(copyInto(newest, project).status).toBe(0);
        }
      );
    });
  });

  test('does not create a .env in a clone that has none', () => {
    copied();
    rmSync(path.join(project, '.env'));
    withVersion('99.0.0', newer, (repository) => {
      expect(copyInto(repository, project).status).toBe(0);
    });
    expect(Object.keys(contents(project))).not.toContain('.env');
  });

  test('does not bring back what the owner deleted', () => {
    copied();
    rmSync(inFolder('README.md'));
    withVersion(
      '99.0.0',
      (_, text) => `${text}\n`,
      (repository) => {
        const { said } = copyInto(repository, project);
        expect(said).toContain('README.md has changed since you deleted it');
      }
    );
    expect(Object.keys(contents(inFolder('.')))).not.toContain('README.md');
  });

  test('keeps the line endings of the owner’s machine', () => {
    copied();
    edit('errors.ts', /\n/g, '\r\n');
    edit('errors.ts', 'This user is not allowed to sign in.', 'You are not welcome.');
    withVersion('99.0.0', newer, (repository) => copyInto(repository, project));
    const text = read(`${FOLDER}/errors.ts`);
    expect(text).toContain('There is no such session.');
    expect(text.replaceAll('\r\n', '')).not.toContain('\n');
  });

  test('is not undone by an older command', () => {
    fresh();
    withVersion('99.0.0', newer, (repository) => copyInto(repository, project));
    const before = contents(project);
    const { status, said } = copyInto(ROOT, project);
    expect([status, said]).toEqual([1, expect.stringContaining('Run a newer one')]);
    expect(contents(project)).toEqual(before);
  });

  test('says that a stamp is damaged', () => {
    copied();
    edit('refresh-token.stamp', 'This user is not allowed to sign in.', 'You are not welcome.');
    const { status, said } = copyInto(ROOT, project);
    expect([status, said]).toEqual([
      1,
      expect.stringContaining(
        `is damaged (the text of "${FOLDER}/errors.ts" does not have the hash`
      ),
    ]);
  });
});

describe('It is refused with a clear message for', () => {
  const refusals: [string, () => string[], string][] = [
    ['no project', () => [], 'Pass the path of one project.'],
    ['an unknown option', () => [project, '--force'], '--force'],
    ['a missing folder', () => [path.join(project, 'nowhere')], 'has no package.json'],
    ['this repository', () => [ROOT], 'is this repository itself'],
    [
      'this repository by another name',
      () => {
        symlinkSync(ROOT, path.join(project, 'link'));
        return [path.join(project, 'link')];
      },
      'is this repository itself',
    ],
    [
      'an invalid package.json',
      () => {
        write('package.json', '{');
        return [project];
      },
      'cannot be read',
    ],
    [
      'a package.json that is not an object',
      () => {
        write('package.json', 'null');
        return [project];
      },
      'cannot be read',
    ],
    ['a project without Strapi', () => depends({}), 'does not depend on @strapi/strapi'],
    ['Strapi 4', () => depends({ '@strapi/strapi': '4.25.1' }), 'uses Strapi 4.25.1'],
    [
      'a project without users-permissions',
      () => depends({ '@strapi/strapi': '5.54.0' }),
      'does not depend on @strapi/plugin-users-permissions',
    ],
    [
      'an unknown version',
      () => depends({ '@strapi/strapi': 'catalog:' }),
      'which is not a version',
    ],
  ];
  const depends = (dependencies: Record<string, string>) => {
    const all =
      Object.keys(dependencies).length > 0 && dependencies['@strapi/strapi'] !== '5.54.0'
        ? { '@strapi/plugin-users-permissions': '1', ...dependencies }
        : dependencies;
    write('package.json', JSON.stringify({ dependencies: all }));
    return [project];
  };

  test.each(refusals)('%s', (_, options, reason) => {
    fresh();
    const asked = options();
    const before = contents(project);
    const { status, said } = copyInto(ROOT, ...asked);
    expect([status, said]).toEqual([1, expect.stringContaining(reason)]);
    expect(said).not.toMatch(/\n +at /);
    expect(contents(project)).toEqual(before);
  });
});
