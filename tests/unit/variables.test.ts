import { readFileSync } from 'fs';
import path from 'path';
import { parse } from 'dotenv';
import { readConfig } from '../../src/extensions/users-permissions/config/read';

/** docs/configuration.md is the source. Everything else that lists the variables must agree with it. */

const FOLDER = 'src/extensions/users-permissions';

const read = (name: string) => readFileSync(path.resolve(__dirname, '../..', name), 'utf8');

interface Row {
  name: string;
  default: string;
  meaning: string;
}

/** @returns the rows of the table whose first column is "Variable" */
function rowsIn(file: string): Row[] {
  const table =
    /^\| Variable \| Default \| Meaning \|\n\| --- \| --- \| --- \|\n((?:\|.*\n)+)/m.exec(
      read(file)
    );
  if (!table) throw new Error(`${file} has no table of variables.`);
  return table[1]!
    .trim()
    .split('\n')
    .map((line) => {
      const [, name, byDefault, meaning] = /^\| `(\w+)` \| (.+?) \| (.+) \|$/.exec(line) ?? [];
      if (!name || !byDefault || !meaning) throw new Error(`${file}: cannot read ${line}`);
      return { name, default: byDefault, meaning };
    });
}

/** A default that is a plain value. Others are computed, or there is none. */
const valueOf = (row: Row): string => /^`([^`]*)`$/.exec(row.default)?.[1] ?? '';

const namesOf = (rows: Row[]) => rows.map(({ name }) => name);

const rows = rowsIn('docs/configuration.md');

describe('docs/configuration.md', () => {
  const SECRET = 'kq3V0b1ZtYx8mC2n5p7Rw9s4d6f8g0hJ';

  const configured = (env: Record<string, string> = {}) => {
    const { keys: _keys, ...others } = readConfig({ REFRESH_SECRET: SECRET, ...env });
    return others;
  };

  test('lists the variables that the extension reads, once each', () => {
    const names = new Set<string>();
    const env = { REFRESH_SECRET: SECRET };
    readConfig(
      new Proxy(env, {
        get(target, name, receiver) {
          names.add(String(name));
          return Reflect.get(target, name, receiver);
        },
      })
    );
    names.delete('NODE_ENV');
    expect(namesOf(rows).sort()).toEqual([...names].sort());
  });

  test('has the default value of each variable', () => {
    const withDefault = rows.filter((row) => valueOf(row) !== '');
    expect(withDefault.length).toBeGreaterThan(5);
    for (const row of withDefault) {
      const env = { [row.name]: valueOf(row) };
      expect([row.name, configured(env)]).toEqual([row.name, configured()]);
    }
  });

  test('has the default value of each variable that depends on others', () => {
    const shown = Object.fromEntries(rows.map((row) => [row.name, row.default]));
    expect(shown).toMatchObject({
      REFRESH_COOKIE_NAME:
        '`__Host-refreshToken` if the cookie is Secure and has no domain, otherwise `refreshToken`',
      REFRESH_COOKIE_SECURE: '`true` in production, otherwise `false`',
      REFRESH_COOKIE_DOMAIN: 'none',
      REFRESH_ALLOWED_ORIGINS: 'none',
    });
    const production = { NODE_ENV: 'production' };
    expect(configured(production).cookie).toMatchObject({
      name: '__Host-refreshToken',
      secure: true,
    });
    const withDomain = { ...production, REFRESH_COOKIE_DOMAIN: 'my-shop.com' };
    expect(configured(withDomain).cookie.name).toBe('refreshToken');
    expect(configured()).toMatchObject({
      allowedOrigins: [],
      cookie: { name: 'refreshToken', secure: false, domain: undefined },
    });
  });
});

test('the folder’s README has the same table', () => {
  expect(rowsIn(`${FOLDER}/README.md`)).toEqual(rows);
});

test('.env.example has the same variables with the same defaults', () => {
  const [section] = /^# --- The refresh-token extension[^]*?(?=^# --- )/m.exec(
    read('.env.example')
  )!;
  expect(parse(section)).toEqual(Object.fromEntries(rows.map((row) => [row.name, valueOf(row)])));
});

test('README.md has five of the variables with the same defaults', () => {
  const main = rowsIn('README.md').map(({ name, default: byDefault }) => [name, byDefault]);
  const known = Object.fromEntries(rows.map((row) => [row.name, row.default]));
  expect(main).toHaveLength(5);
  expect(main).toEqual(main.map(([name]) => [name, known[name!]]));
});
