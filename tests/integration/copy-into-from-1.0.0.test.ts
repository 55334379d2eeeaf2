import { execFileSync } from 'child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'fs';
import path from 'path';
import { pathToFileURL } from 'url';
import { gunzipSync } from 'zlib';
import {
  bareProject,
  contents,
  copyInto,
  FOLDER,
  otherRepository,
  ROOT,
  scratch,
  unpacked,
} from '../support/copied';

/** The upgrade of a copy that 1.0.0 made, when most files had other paths. */

const FIXTURE = path.resolve(__dirname, '../fixtures/1.0.0');

/** The new path of a file by its old one, both without the extension. */
const RENAMES = new Map<string, string>(
  JSON.parse(
    execFileSync(process.execPath, [
      '--input-type=module',
      '--eval',
      `import { RENAMES } from ${JSON.stringify(pathToFileURL(path.join(ROOT, 'cli/lib/renames.mjs')))};
      console.log(JSON.stringify([...RENAMES]));`,
    ]).toString()
  )
);

type Language = 'ts' | 'js';

let place: string;
let project: string;
beforeEach(() => {
  place = scratch();
  project = path.join(place, 'project');
});
afterEach(() => rmSync(place, { recursive: true }));

const inFolder = (name: string) => path.join(project, FOLDER, name);
const isThere = (name: string) => existsSync(inFolder(name));
const read = (name: string) => readFileSync(inFolder(name), 'utf8');

function writeFiles(folder: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

/** The files that 1.0.0 delivered, which its stamp records. */
function delivered(language: Language): Record<string, string> {
  const { files } = JSON.parse(readFileSync(path.join(FIXTURE, `${language}.stamp`), 'utf8'));
  const packed = Buffer.from(files.join(''), 'base64');
  return Object.fromEntries(JSON.parse(gunzipSync(packed).toString()));
}

function createProject(folder: string, language: Language): void {
  bareProject(folder);
  if (language === 'js') rmSync(path.join(folder, 'tsconfig.json'));
}

/** A project with the copy that 1.0.0 made. */
function use(language: Language, edit = (_: string, text: string) => text): void {
  createProject(project, language);
  const files = Object.entries(delivered(language)).map(([name, text]) => [name, edit(name, text)]);
  writeFiles(path.join(project, FOLDER), Object.fromEntries(files));
  writeFileSync(
    inFolder('refresh-token.stamp'),
    readFileSync(path.join(FIXTURE, `${language}.stamp`))
  );
}

const newPath = (name: string) =>
  name.replace(/^(.+?)(?=(?:\.d)?\.[jt]s$)/, (stem) => RENAMES.get(stem) ?? stem);

const MINE = '\n// Mine.\n';
const isCode = (name: string) => /(?<!\.d)\.[jt]s$/.test(name);
const edited = (name: string, text: string) => (isCode(name) ? text + MINE : text);

test('An edit of each file is merged if a release has the same files at their new paths', () => {
  use('ts', edited);
  const files = Object.entries(delivered('ts')).map(([name, text]) => [newPath(name), text]);
  const moved = path.join(place, 'moved');
  otherRepository(moved, '99.0.0', () => null);
  writeFiles(path.join(moved, FOLDER), Object.fromEntries(files));

  const { status, said } = copyInto(moved, project);
  expect(status).toBe(0);
  expect(said).not.toContain('.new');
  for (const name of Object.keys(delivered('ts')).filter(isCode)) {
    expect(read(newPath(name))).toBe(delivered('ts')[name] + MINE);
    if (newPath(name) === name) continue;
    expect(isThere(name)).toBe(false);
    expect(said).toContain(`${name} to ${newPath(name)}`);
  }
});

describe.each<Language>(['ts', 'js'])('To this version (%s)', (language) => {
  /** The folder of a project that never had an older version. */
  let firstCopy: string;
  let here: string;
  let command: string;
  beforeAll(() => {
    here = scratch();
    command = language === 'ts' ? ROOT : unpacked(ROOT, path.join(here, 'package'));
    const fresh = path.join(here, 'fresh');
    createProject(fresh, language);
    copyInto(command, fresh);
    firstCopy = path.join(fresh, FOLDER);
  });
  afterAll(() => rmSync(here, { recursive: true }));

  const folders = (folder: string) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => path.relative(folder, path.join(entry.parentPath ?? entry.path, entry.name)))
      .sort();

  test('a copy without edits becomes identical to a first copy', () => {
    use(language);
    const { status, said } = copyInto(command, project);
    expect(status).toBe(0);
    expect(contents(inFolder('.'))).toEqual(contents(firstCopy));
    expect(folders(inFolder('.'))).toEqual(folders(firstCopy));
    expect(said).toContain(`store.${language} to sessions/repository.${language}`);
  });

  test('every edit is merged, or kept next to the new file, at the file’s new path', () => {
    use(language, edited);
    const { status, said } = copyInto(command, project);
    expect(status).toBe(0);
    const next = contents(firstCopy);
    for (const name of Object.keys(delivered(language)).filter(isCode)) {
      const now = newPath(name);
      expect(read(now)).toMatch(/\n\/\/ Mine\.\n$/);
      if (now !== name) {
        expect(Object.keys(next)).toContain(now);
        expect(isThere(name)).toBe(false);
        expect(said).toContain(`${name} to ${now}`);
      }
      if (isThere(`${now}.new`)) expect(read(`${now}.new`)).toBe(next[now]);
      else if (now in next) expect(read(now)).toBe(next[now] + MINE);
    }
  });
});

test('Every new path exists in this version, or is moved again', () => {
  const names = Object.keys(contents(path.join(ROOT, FOLDER)));
  for (const name of RENAMES.values()) {
    if (!RENAMES.has(name)) expect(names).toContain(`${name}.ts`);
  }
});
