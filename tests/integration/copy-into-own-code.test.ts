import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'fs';
import path from 'path';
import { bareProject, contents, copyInto, FOLDER, ROOT, scratch } from '../support/copied';

/** Notes on the owner's code that touches what the extension wraps. */

let project: string;

beforeEach(() => {
  project = scratch();
  bareProject(project);
});
afterEach(() => rmSync(project, { recursive: true }));

const write = (name: string, text: string) => {
  mkdirSync(path.dirname(path.join(project, name)), { recursive: true });
  writeFileSync(path.join(project, name), text);
};

const POINTER = `  - More on these: "From your own code" in ${FOLDER}/README.md`;

/** The command's notes about these files, without its other output. */
function notesOn(files: Record<string, string>, ...options: string[]): string[] {
  for (const [name, text] of Object.entries(files)) write(name, text);
  const { status, said } = copyInto(ROOT, project, '--dry-run', ...options);
  expect(status).toBe(0);
  const [, notes = ''] = /\nNotes:\n((?: +.*\n)*)/.exec(said) ?? [];
  const lines = notes.split('\n').filter(Boolean);
  const isFound = lines.some((line) => !line.includes('Not checked'));
  expect(lines.filter((line) => line === POINTER)).toHaveLength(isFound ? 1 : 0);
  return lines.filter((line) => line !== POINTER);
}

const JWT = "strapi.plugin('users-permissions').service('jwt')";
const AUTH = "strapi.plugin('users-permissions').controller('auth')";
const ISSUES = 'calls issue() of the jwt service: a token without a sid has no session';
const VERIFIES = 'calls verify() of the jwt service: it now also rejects a token whose session has';
const IN_EXTENSION = (line: string) => `export default (plugin: any) => {\n  ${line}\n};\n`;
const MINE = `${FOLDER}/mine.ts`;

describe('A note has the file and the line, and says what happens now, if code', () => {
  test.each<[string, string, string, string]>([
    ['issues a token', 'src/index.ts', `${JWT}.issue({ id: 1 });`, `:1 ${ISSUES}`],
    [
      'issues one with the older spelling, over several lines',
      'src/api/x/controllers/x.js',
      "\nconst jwt = strapi.plugins['users-permissions']\n  .services.jwt.issue({ id: 1 });",
      `:2 ${ISSUES}`,
    ],
    [
      'issues one through a variable',
      'src/a.ts',
      `const service = (strapi as any)\n  .service('plugin::users-permissions.jwt')!;\nservice.issue({});`,
      `:3 ${ISSUES}`,
    ],
    [
      'issues one through a destructured service',
      'src/a.mjs',
      "const { jwt } = strapi.plugins['users-permissions'].services;\njwt.issue({});",
      `:2 ${ISSUES}`,
    ],
    [
      'issues one through a helper',
      'src/a.cjs',
      'getJwtService(strapi).issue({});',
      `:1 ${ISSUES}`,
    ],
    [
      'issues one in a template, after a regular expression and a comment with quotes',
      'src/a.ts',
      "const text = x.replace(/['`]/g, ''); // don't\nconst url = `a ${`b ${strapi.plugins['users-permissions'].services.jwt.issue({})}`}`;",
      `:2 ${ISSUES}`,
    ],
    [
      'issues one through a renamed variable with a type',
      'src/a.ts',
      "const { jwt: tokens }: Record<string, any> = strapi.plugin('users-permissions').services;\n(await tokens?.issue!({ id: 1 })) as string;",
      `:2 ${ISSUES}`,
    ],
    ['verifies one', 'config/functions.ts', `await ${JWT}.verify(token);`, `:1 ${VERIFIES}`],
    ['passes the service on', 'src/a.ts', `check(${JWT});`, ':1 uses the jwt service'],
    [
      'replaces a method at run time',
      'src/index.ts',
      `${JWT}.verify = async () => ({ id: 1 });`,
      ':1 replaces the jwt service or a part of it at run time',
    ],
    [
      'extends the service at run time',
      'src/index.ts',
      "strapi.get('services').extend('plugin::users-permissions.jwt', (jwt) => jwt);",
      ':1 replaces the jwt service or a part of it at run time',
    ],
    [
      'replaces a sign-in at run time',
      'src/index.ts',
      "strapi.plugin('users-permissions').controllers.auth.callback = login;",
      ':1 replaces the auth controller or an action of it at run time',
    ],
    [
      'calls a sign-in',
      'src/a.ts',
      `await ${AUTH}.register(ctx);`,
      ':1 calls register() of the auth controller: it opens a session',
    ],
    [
      'uses the list of routes',
      'src/index.ts',
      "const { routes } = strapi.plugin('users-permissions').routes['content-api'];\nroutes.push({});",
      ':2 uses the list of routes of users-permissions',
    ],
    [
      'signs a token itself',
      'src/a.ts',
      "import jwt from 'jsonwebtoken';\njwt.sign({}, 'x');",
      ':2 signs a token with jsonwebtoken itself',
    ],
    [
      'verifies a token itself',
      'src/a.js',
      "const { verify } = require('jsonwebtoken');\nverify(token, 'x');",
      ':2 verifies a token with jsonwebtoken itself',
    ],
    [
      'bypasses the database layer',
      'src/a.js',
      "strapi.db.connection('up_users').update({});",
      ':1 names the table up_users',
    ],
    [
      'turns hooks off',
      'src/a.js',
      'strapi.db.lifecycles.disable();',
      ':1 turns database hooks off',
    ],
    [
      'looks like an authentication middleware',
      'src/middlewares/cookie-auth.ts',
      'export default () => (ctx: any, next: any) => next();',
      ':1 looks like an authentication middleware',
    ],
    [
      'has a route of the same name in an API',
      'src/api/x/routes/x.ts',
      "export default { routes: [\n{ method: 'POST', path: '/token/refresh', handler: 'x.y' }] };",
      ':2 declares POST /token/refresh, which is also a route of this extension: yours comes first',
    ],
    [
      'has a route of the same name in a plugin',
      'src/plugins/p/server/routes.js',
      "module.exports = [{ method: 'POST', path: '/auth/revoke', config: { prefix: '' } }];",
      ':1 declares POST /auth/revoke, which is also a route of this extension: only one of them',
    ],
    [
      'has a route of the same name as one for admins',
      'src/plugins/p/server/routes.js',
      "module.exports = { type: 'admin', routes: [{ method: 'DELETE', path: '/users-permissions/sessions/:id', config: { prefix: '' } }] };",
      ':1 declares DELETE /users-permissions/sessions/:id, which is also a route of this extension: only one of them',
    ],
    [
      'has its own route for tokens',
      'src/api/x/routes/x.ts',
      "export default { routes: [{ method: 'post', path: '/auth/refresh-token' }] };",
      ':1 declares POST /auth/refresh-token, which looks like your own route for tokens',
    ],
    [
      'extends the plugin with a service',
      MINE,
      IN_EXTENSION('plugin.services.jwt = (context: any) => mine(context);'),
      ':2 replaces the jwt service: yours is called, and the session is checked as well',
    ],
    [
      'extends the plugin with a user service',
      MINE,
      IN_EXTENSION('plugin.services.user = (context: any) => mine(context);'),
      ':2 replaces the user service: yours is called',
    ],
    [
      'extends the plugin with a controller',
      MINE,
      IN_EXTENSION('plugin.controllers.auth = (context: any) => mine(context);'),
      ':2 replaces the auth controller: yours is called',
    ],
    [
      'assigns an action that Strapi ignores',
      MINE,
      IN_EXTENSION('plugin.controllers.auth.callback = async () => {};'),
      ':2 assigns controllers.auth.callback',
    ],
    [
      'extends the routes of the plugin',
      MINE,
      IN_EXTENSION("plugin.routes['content-api'].routes.push(mine);"),
      ':2 uses the list of routes of users-permissions',
    ],
  ])('%s', (_, name, text, note) => {
    const before = contents(project);
    const notes = notesOn({ [name]: text });
    expect(notes).toEqual([expect.stringContaining(`- ${name}${note}`)]);
    expect(contents(project)).toEqual({ ...before, [name]: text });
  });
});

test.each([
  'strapi-plugin-refresh-token',
  '@redon2inc/strapi-plugin-refresh-token',
  'strapi-plugin-refreshing',
])('A package that handles the same requests is reported: %s', (name) => {
  const file = path.join(project, 'package.json');
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(
      '"@strapi/strapi"',
      `"${name}": "1.0.0",\n    "@strapi/strapi"`
    )
  );
  expect(notesOn({})).toEqual([
    expect.stringContaining(`- package.json:5 ${name} is installed, and handles the same requests`),
  ]);
});

test('The owner’s strapi-server is checked under its new name', () => {
  const text = IN_EXTENSION('plugin.services.jwt = (context: any) => mine(context);');
  write(`${FOLDER}/strapi-server.ts`, text);
  const planned = copyInto(ROOT, project, '--dry-run', '--combine').said;
  expect(planned).toContain(`- ${MINE}:2 replaces the jwt service`);
  expect(copyInto(ROOT, project, '--combine').said).toContain(
    `- ${MINE}:2 replaces the jwt service`
  );
  expect(copyInto(ROOT, project, '--check').said).toContain(`- ${MINE}:2 replaces the jwt service`);
});

test('There are no notes about unrelated code', () => {
  const notes = notesOn({
    'src/a.ts': `
      import { verify } from 'other';
      const article = strapi.service('api::article.article').issue(1);
      await stripe.issuing.cards.verify(token);
      verify(signature);
      await strapi.plugin('users-permissions').service('user').edit(1, { email: 'a@example.com' });
      const users = await strapi.query('plugin::users-permissions.user').findMany();
      fetch('/api/token/refresh', { method: 'POST' });
      // ${JWT}.issue({ id: 1 }) is what it used to do
    `,
    'src/api/x/routes/x.ts':
      "export default { routes: [{ method: 'GET', path: '/articles', handler: 'x.find' }, { method: 'POST', path: '/token/refresh', config: { prefix: '/v2' } }] };",
    'src/api/y/routes/y.ts':
      "export default { routes: [{ method: 'GET', path: '/users-permissions/sessions', handler: 'y.find' }] };",
    'src/middlewares/timing.ts': 'export default () => (ctx: any, next: any) => next();',
    'src/plugins/p/routes.js': "module.exports = [{ method: 'POST', path: '/token/refresh' }];",
  });
  expect(notes).toEqual([]);
});

test('There are no notes about code that is generated, installed, or runs in the browser, or about links', () => {
  const issues = `${JWT}.issue({ id: 1 });\n`;
  const outside = scratch();
  writeFileSync(path.join(outside, 'a.ts'), issues);
  symlinkSync(outside, path.join(project, 'src/linked'));
  symlinkSync(path.join(outside, 'a.ts'), path.join(project, 'src/a.ts'));
  const names = [
    'node_modules/x/a.js',
    'src/plugins/p/node_modules/x/a.js',
    'src/plugins/p/dist/a.js',
  ];
  names.push('dist/src/a.js', 'build/a.js', '.tmp/a.js', 'types/generated/a.d.ts', 'src/a.d.ts');
  names.push('src/admin/app.ts', 'src/notes.md', 'tests/a.ts');
  expect(notesOn(Object.fromEntries(names.map((name) => [name, issues])))).toEqual([]);
  rmSync(outside, { recursive: true });
});

test('There are no notes about the extension’s own files', () => {
  copyInto(ROOT, project);
  expect(copyInto(ROOT, project).said).not.toContain('Notes:');
});

test('Only some of many lines and of many files are shown', () => {
  const many = Array.from({ length: 40 }, (_, index) => [
    `src/${index + 10}.ts`,
    `${JWT}.issue();`,
  ]);
  const notes = notesOn({ ...Object.fromEntries(many), 'src/0.ts': `${JWT}.issue();\n`.repeat(9) });
  expect(notes).toHaveLength(31);
  expect(notes[0]).toContain('src/0.ts:1, 2, 3, 4, 5 and more calls issue()');
  expect(notes[30]).toContain('… and 11 more like these');
});

test('Code that cannot be parsed is reported, and stops nothing', () => {
  const notes = notesOn({
    'src/deep.ts': `jwt = ${'('.repeat(100_000)}`,
    'src/large.ts': `// jwt ${'x'.repeat(600_000)}`,
    'src/broken.ts': `${JWT}.issue({ id: 1 }); }}} const (`,
  });
  expect(notes).toEqual([
    expect.stringContaining(`src/broken.ts:1 ${ISSUES}`),
    expect.stringMatching(/Not checked: src\/deep\.ts \(.*\), src\/large\.ts \(too large\)/),
  ]);
});
