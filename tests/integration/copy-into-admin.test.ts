import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'fs';
import path from 'path';
import ts from 'typescript';
import {
  bareProject,
  contents,
  copyInto,
  FOLDER,
  otherRepository,
  PANEL,
  ROOT,
  scratch,
  unpacked,
} from '../support/copied';

/** The admin panel, which is copied beside the folder, and its routes in the folder's `admin/`. */

const LANGUAGES = ['ts', 'js'] as const;

type Language = (typeof LANGUAGES)[number];

const APPS = { ts: 'src/admin/app.tsx', js: 'src/admin/app.js' };
const IMPORT = "import { addSessions } from './refresh-token';";
const WITHOUT = ['--without', 'admin'];

let here: string;
/** The package of this version, with few files beside the panel. */
let release: string;
/** A release in which the first line of every file is different. */
let newer: string;
/** Has no admin panel, as 2.1.0. */
let older: string;
let project: string;

const made = (language: Language, name: 'fresh' | 'copied') => path.join(here, name + language);
/** The output of the first copy into each project. */
const first = {} as Record<Language, ReturnType<typeof copyInto>>;

const FILES = ['strapi-server.ts', 'errors.ts', 'admin/index.ts', 'admin/routes.ts'];

const few = (name: string, text: string) =>
  FILES.includes(name) || name.startsWith(PANEL) ? text : null;

const withoutAdmin = (name: string, text: string) => {
  if (name.startsWith('admin/') || name.startsWith(PANEL)) return null;
  return name === 'strapi-server.ts' ? text.replace(/^.*withAdmin.*\n/gm, '') : text;
};

beforeAll(() => {
  here = scratch();
  const make = (name: string, version: string, edit: typeof few) => {
    const repository = path.join(here, `${name}-repository`);
    otherRepository(repository, version, edit);
    return unpacked(repository, path.join(here, name));
  };
  const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  release = make('release', version, few);
  newer = make('newer', '99.0.0', (name, text) => {
    const kept = few(name, text);
    return kept === null ? null : `// newer\n${kept}`;
  });
  older = make('older', '1.9.0', (name, text) => {
    const kept = few(name, text);
    return kept === null ? null : withoutAdmin(name, kept);
  });
  for (const language of LANGUAGES) {
    const fresh = made(language, 'fresh');
    bareProject(fresh);
    if (language === 'js') rmSync(path.join(fresh, 'tsconfig.json'));
    cpSync(fresh, made(language, 'copied'), { recursive: true });
    first[language] = copyInto(release, made(language, 'copied'));
  }
});
afterAll(() => rmSync(here, { recursive: true }));
beforeEach(() => {
  project = path.join(scratch(), 'project');
});
afterEach(() => rmSync(path.dirname(project), { recursive: true }));

const use = (language: Language, name: 'fresh' | 'copied') =>
  cpSync(made(language, name), project, { recursive: true });

const inProject = (name: string) => path.join(project, name);
const read = (name: string) => readFileSync(inProject(name), 'utf8');
const write = (name: string, text: string) => {
  mkdirSync(path.dirname(inProject(name)), { recursive: true });
  writeFileSync(inProject(name), text);
};
const edit = (name: string, from: string, to: string) => {
  expect(read(name)).toContain(from);
  write(name, read(name).replace(from, to));
};
const isThere = (name: string) => existsSync(inProject(name));

/** Without what each copy generates anew. */
const comparable = (folder: string) => {
  const files = contents(folder);
  return { ...files, '.env': files['.env'].replace(/(?<=REFRESH_SECRET=).*/, '') };
};

function expectNoAdmin(language: Language): void {
  expect(isThere(PANEL)).toBe(false);
  expect(isThere(`${FOLDER}/admin`)).toBe(false);
  expect(isThere(APPS[language])).toBe(false);
  for (const [name, text] of Object.entries(contents(inProject(FOLDER)))) {
    if (/\.[jt]s$/.test(name)) expect(text).not.toMatch(/withAdmin|['(]\.{1,2}\/admin/);
  }
  expect(read(`${FOLDER}/strapi-server.${language}`)).toContain('  withGraphql,\n];\n');
}

describe('A first copy', () => {
  test('adds the panel to a TypeScript project as it is', () => {
    use('ts', 'copied');
    expect(contents(inProject(PANEL))).toEqual(contents(path.join(ROOT, PANEL)));
  });

  test('adds readable JSX, in ES modules, to a JavaScript project', () => {
    use('js', 'copied');
    const files = contents(inProject(PANEL));
    const sources = contents(path.join(ROOT, PANEL));
    expect(Object.keys(files)).toEqual(
      Object.keys(sources).map((name) => name.replace(/\.ts(?=x?$)/, '.js'))
    );
    for (const [name, text] of Object.entries(files)) {
      // Vite accepts JSX in .jsx only.
      const kind = name.endsWith('x') ? ts.ScriptKind.JSX : ts.ScriptKind.JS;
      const parsed = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, false, kind) as any;
      expect(parsed.parseDiagnostics).toEqual([]);
      const isTyped = ts.transpileModule(text, { fileName: name, reportDiagnostics: true });
      expect(isTyped.diagnostics).toEqual([]);
      expect(text).toMatch(/^export /m);
      expect(text).not.toMatch(/EMPTY-LINE|require\(|module\.exports|_jsx|createElement/);
      expect(text).not.toMatch(/\b(?:sessions-page|translations|device|api)\.tsx?\b/);
      const comments = sources[name.replace(/\.js(?=x?$)/, '.ts')].match(/^\/\*\* .*$/gm) ?? [];
      const kept = text.match(/^\/\*\* .*$/gm) ?? [];
      // Those of types go with the types.
      expect(kept.length).toBeLessThanOrEqual(comments.length);
      for (const line of kept) expect(comments).toContain(line);
    }
    expect(files['index.js']).toMatch(/^\/\*\*\n \* Sessions in the admin panel: .*\n/);
    expect(files['index.js']).toContain('`translations.js` holds every text');
    expect(files['sessions-page.jsx']).toMatch(/<Page\.|<Layouts\./);
    expect(files['sessions-page.jsx']).toContain('\n\n');
  });

  test.each(LANGUAGES)(
    'creates the app of the admin panel, with only the panel (%s)',
    (language) => {
      use(language, 'copied');
      expect(first[language].said).toContain(`${APPS[language]}: new`);
      expect(read(APPS[language])).toMatch(
        new RegExp(`^${IMPORT.replace(/[{}.]/g, '\\$&')}$[^]*addSessions\\(app\\);`, 'm')
      );
      expect(read(APPS[language])).not.toContain('config');
    }
  );

  test.each([
    ['app.js', 'js'],
    ['app.mjs', 'ts'],
    ['app.ts', 'ts'],
    ['app.jsx', 'js'],
    ['app.tsx', 'ts'],
  ] as const)('does not edit an existing %s, and prints the two lines (%s)', (name, language) => {
    const app = `src/admin/${name}`;
    use(language, 'fresh');
    write(app, 'export default { bootstrap() {} };\n');
    const { status, said } = copyInto(release, project);
    expect(status).toBe(0);
    const apps = Object.keys(contents(inProject('src/admin'))).filter((each) => /^app/.test(each));
    expect(apps).toEqual([name]);
    expect(read(app)).toBe('export default { bootstrap() {} };\n');
    const [, steps] = said.split('Next steps');
    const [, line, call] = new RegExp(`${app}: add .*\\n +(import .*)\\n +(.*)`).exec(steps)!;
    expect(line).toBe(IMPORT);
    expect(call).toBe('addSessions(app);');

    expect(copyInto(release, project, '--check')).toMatchObject({
      status: 1,
      said: expect.stringContaining(`${app}: add`),
    });
    write(app, `${line}\n\nexport default { bootstrap(app) { ${call} } };\n`);
    expect(copyInto(release, project, '--check')).toMatchObject({
      status: 0,
      said: expect.stringContaining('Nothing to do.'),
    });
  });

  test('does not overwrite another file at the path of the panel', () => {
    use('ts', 'fresh');
    write(`${PANEL}/api.ts`, 'export {};\n');
    const before = contents(project);
    const { status, said } = copyInto(release, project);
    expect([status, contents(project)]).toEqual([1, before]);
    expect(said).toContain(`  ${PANEL}/api.ts\n`);
  });
});

describe.each(LANGUAGES)('An upgrade (%s)', (language) => {
  const texts = `${PANEL}/translations.${language}`;

  test('merges edits of the panel, and replaces the rest', () => {
    use(language, 'copied');
    edit(texts, 'End all sessions', 'Sign everyone out');
    const { status, said } = copyInto(newer, project);
    expect(status).toBe(0);
    expect(said).toContain(
      `${PANEL}, merged with your edits, please review: translations.${language}`
    );
    expect(read(texts)).toMatch(/^\/\/ newer\n[^]*Sign everyone out/);
    expect(read(`${PANEL}/api.${language}`)).toMatch(/^\/\/ newer\n/);
    expect(said).toContain('after the next build');
    expect(copyInto(newer, project, '--check').said).toContain(`edited.\n  edited: ${texts}\n`);
  });

  test('keeps an edit of the panel that conflicts, and puts the new file next to it', () => {
    use(language, 'copied');
    const mine = `// mine\n${read(texts)}`;
    write(texts, mine);
    expect(copyInto(newer, project)).toMatchObject({ status: 0 });
    expect(read(texts)).toBe(mine);
    expect(read(`${texts}.new`)).toMatch(/^\/\/ newer\n/);
    const check = copyInto(newer, project, '--check');
    expect(check).toMatchObject({ status: 1 });
    expect(check.said).toContain(`merge ${texts}.new into ${texts}`);
  });

  test('of a copy that had no panel adds it, and leaves the app of the owner alone', () => {
    use(language, 'fresh');
    write(APPS[language], 'export default { bootstrap() {} };\n');
    copyInto(older, project);
    expect(isThere(PANEL)).toBe(false);
    const { said } = copyInto(release, project);
    expect(said).toContain(`${APPS[language]}: add`);
    expect(read(APPS[language])).toBe('export default { bootstrap() {} };\n');
    rmSync(inProject(APPS[language]));
    copyInto(release, project);
    expect(comparable(project)).toEqual(comparable(made(language, 'copied')));
  });

  test('of a copy that had no panel adds none with --without admin', () => {
    use(language, 'fresh');
    copyInto(older, project);
    expect(copyInto(release, project, ...WITHOUT)).toMatchObject({ status: 0 });
    expectNoAdmin(language);
  });
});

describe.each(LANGUAGES)('--without admin (%s)', (language) => {
  test('leaves out the panel and its routes, also in upgrades, until --with admin', () => {
    use(language, 'fresh');
    const { status, said } = copyInto(release, project, ...WITHOUT);
    expect(status).toBe(0);
    expect(said).not.toContain('src/admin');
    expectNoAdmin(language);
    expect(copyInto(release, project, '--check')).toMatchObject({
      status: 0,
      said: expect.stringMatching(/A copy of version \S+ without admin .* intact\./),
    });

    copyInto(newer, project);
    expect(read(`${FOLDER}/errors.${language}`)).toMatch(/\/\/ newer\n/);
    expectNoAdmin(language);

    expect(copyInto(newer, project, '--with', 'admin')).toMatchObject({ status: 0 });
    const whole = path.join(path.dirname(project), 'whole');
    cpSync(made(language, 'fresh'), whole, { recursive: true });
    copyInto(newer, whole);
    expect(comparable(project)).toEqual(comparable(whole));
    expect(copyInto(newer, project, '--check').said).toContain('Nothing to do.');
  });

  test('removes both from a copy that has them, with the app that it had created', () => {
    use(language, 'copied');
    const { status, said } = copyInto(release, project, ...WITHOUT);
    expect(status).toBe(0);
    expectNoAdmin(language);
    expect(said).not.toContain('Next steps');

    const never = path.join(path.dirname(project), 'never');
    cpSync(made(language, 'fresh'), never, { recursive: true });
    copyInto(release, never, ...WITHOUT);
    expect(comparable(project)).toEqual(comparable(never));
  });

  test('keeps what an edited file imports, so that the project still builds', () => {
    use(language, 'copied');
    const parts = inProject(`${PANEL}/parts.${language}x`);
    const mine = [`${PANEL}/incidents.${language}x`, `${FOLDER}/admin/index.${language}`];
    for (const name of mine) write(name, `// mine\n${read(name)}`);
    const { said } = copyInto(release, project, ...WITHOUT);
    for (const name of mine) expect(read(name)).toMatch(/^\/\/ mine\n/);
    expect(isThere(APPS[language])).toBe(false);
    expect(read(`${FOLDER}/strapi-server.${language}`)).not.toContain('withAdmin');

    expect(existsSync(parts)).toBe(true);
    const names = Object.keys(contents(inProject('src')));
    for (const name of names.filter((each) => /\.[jt]sx?$/.test(each))) {
      for (const [, specifier] of read(`src/${name}`).matchAll(/(?:from|require\() ?'(\..*?)'/g)) {
        const target = path.join('src', path.dirname(name), specifier!);
        // Only these files of the folder are in this release.
        if (!/\/refresh-token\/|\/admin\/(?:index|routes)$/.test(target)) continue;
        const candidates = ['.ts', '.tsx', '.js', '.jsx'].map((extension) => target + extension);
        expect([name, specifier, candidates.some(isThere)]).toEqual([name, specifier, true]);
      }
    }
    expect(isThere(`${PANEL}/sessions-table.${language}x`)).toBe(false);
    const [, kept] = /Also kept, because other kept files import them: (.*)\./.exec(said)!;
    expect(kept).toContain(`${PANEL}/parts.${language}x`);
    expect(kept).toContain(`admin/routes.${language}`);
    expect(copyInto(release, project, '--check').said).toContain('Nothing to do.');
  });

  test('keeps admin/ if a conflict leaves the owner’s strapi-server as it is', () => {
    use(language, 'copied');
    const server = `${FOLDER}/strapi-server.${language}`;
    edit(server, '  withAdmin,\n', '  withAdmin, // mine\n');
    const mine = read(server);
    copyInto(release, project, ...WITHOUT);
    expect(read(server)).toBe(mine);
    expect(isThere(`${server}.new`)).toBe(true);
    expect(isThere(`${FOLDER}/admin/index.${language}`)).toBe(true);
    expect(isThere(`${FOLDER}/admin/routes.${language}`)).toBe(true);
    expect(isThere(PANEL)).toBe(false);
  });

  test('keeps edited files and an app of the owner, and says what to delete', () => {
    use(language, 'copied');
    const texts = `${PANEL}/translations.${language}`;
    edit(texts, 'End all sessions', 'Sign everyone out');
    edit(APPS[language], 'bootstrap', '/* mine */ bootstrap');
    const app = read(APPS[language]);
    const { said } = copyInto(release, project, ...WITHOUT);
    expect(Object.keys(contents(inProject('src/admin')))).toEqual(
      [path.basename(APPS[language]), `refresh-token/translations.${language}`].sort()
    );
    expect(read(APPS[language])).toBe(app);
    expect(said).toContain(`${texts} is no longer part of the copy. It was kept`);
    const step = `${APPS[language]}: delete the import and the call of addSessions`;
    expect(said).toContain(step);
    expect(copyInto(release, project, '--check').said).toContain(step);
  });
});

describe('Before Strapi 5.37, it says that the build would not find the design system', () => {
  const SAID = 'the build of the admin panel does not find @strapi/design-system here';
  const depend = (strapi: string, more = {}) => {
    use('ts', 'fresh');
    const dependencies = {
      '@strapi/plugin-users-permissions': strapi,
      '@strapi/strapi': strapi,
      ...more,
    };
    write('package.json', JSON.stringify({ dependencies }));
  };
  const install = () => write('node_modules/@strapi/design-system/index.js', '');

  test('to pnpm projects', () => {
    depend('5.36.0');
    write('pnpm-lock.yaml', '');
    const { said } = copyInto(release, project, '--dry-run');
    expect(said).toContain(SAID);
    expect(said).toContain('pnpm why @strapi/design-system');
    expect(copyInto(release, project, '--dry-run', ...WITHOUT).said).not.toContain(SAID);
    install();
    expect(copyInto(release, project, '--dry-run').said).not.toContain(SAID);
  });

  test('to an installed project that does not have it', () => {
    depend('5.36.0');
    expect(copyInto(release, project, '--dry-run').said).not.toContain(SAID);
    mkdirSync(inProject('node_modules'));
    expect(copyInto(release, project, '--dry-run').said).not.toContain(SAID);
    write('node_modules/@strapi/strapi/package.json', '{ "version": "5.36.0" }');
    expect(copyInto(release, project, '--dry-run').said).toContain(SAID);
    install();
    expect(copyInto(release, project, '--dry-run').said).not.toContain(SAID);
  });

  test.each([
    ['5.37.0', {}],
    ['5.36.0', { '@strapi/design-system': '2.0.0-rc.30' }],
  ])('but not with Strapi %s and %j', (strapi, more) => {
    depend(strapi, more);
    write('pnpm-lock.yaml', '');
    expect(copyInto(release, project, '--dry-run').said).not.toContain(SAID);
  });
});

test.each([
  [['--without', 'services'], '"services" is not a part'],
  [['--with', 'admin', ...WITHOUT], 'not both'],
])('%j is refused', (options, reason) => {
  use('ts', 'fresh');
  const before = contents(project);
  const { status, said } = copyInto(release, project, ...options);
  expect([status, said]).toEqual([1, expect.stringContaining(reason)]);
  expect(contents(project)).toEqual(before);
});

test('A stamp that leaves out another part is damaged', () => {
  use('ts', 'copied');
  const stamp = `${FOLDER}/refresh-token.stamp`;
  write(stamp, read(stamp).replace(/^version .*$/m, '$&\nwithout ../..'));
  expect(copyInto(release, project)).toMatchObject({
    status: 1,
    said: expect.stringContaining('is damaged'),
  });
});
