import { writeFileSync } from 'fs';
import path from 'path';
import { currentProject, customizedProject } from '../support/project';
import type { Project } from '../support/project';
import { boot } from '../support/server';
import type { Server } from '../support/server';

/** Not one of Strapi's own warnings, about admin.auth.sessions. */
const OF_REFRESH_MODE = /sessions\.\S+ of users-permissions/;
const SECRET = '7f3a9c1e5b2d8f4a6c0e1b3d5f7a9c2e';
let server: Server | undefined;
let project: Project | undefined;
afterEach(async () => {
  await server?.stop();
  project?.remove();
  server = undefined;
  project = undefined;
});

describe('The boot stops', () => {
  test.each<[string, Record<string, string>, RegExp]>([
    ['a missing secret outside development', { REFRESH_SECRET: '' }, /REFRESH_SECRET is missing/],
    [
      'several wrong values, and lists all of them',
      { REFRESH_TOKEN_EXPIRES: '10 d', JWT_SECRET_EXPIRES: 'soon' },
      /JWT_SECRET_EXPIRES="soon"[^]*REFRESH_TOKEN_EXPIRES="10 d"/,
    ],
    [
      'a secret equal to the JWT secret',
      { REFRESH_SECRET: SECRET, JWT_SECRET: SECRET },
      /equals the JWT secret/,
    ],
  ])('because of %s', async (_case, env, message) => {
    await expect(boot(env)).rejects.toThrow(message);
    await expect(boot(env)).rejects.not.toThrow(SECRET);
  });

  test('because Strapi’s own refresh mode is also enabled', async () => {
    const configure = (strapi: any) =>
      strapi.config.set('plugin::users-permissions.jwtManagement', 'refresh');
    await expect(boot({}, configure)).rejects.toThrow(/Remove that line/);
  });

  test.each(['4.25.1', '5.0.0-rc.30', '6.0.0'])(
    'because of Strapi %s, and names the release',
    async (release) => {
      const configure = (strapi: any) => strapi.config.set('info.strapi', release);
      await expect(boot({}, configure)).rejects.toThrow(`this project runs Strapi ${release}`);
    }
  );

  test('because of a partitioned cookie that Strapi’s cookie library does not know', async () => {
    const partitioned = {
      REFRESH_COOKIE_SECURE: 'true',
      REFRESH_COOKIE_SAMESITE: 'none',
      REFRESH_ALLOWED_ORIGINS: 'https://www.shop.test',
      REFRESH_COOKIE_PARTITIONED: 'true',
    };
    const older = (strapi: Server['strapi']) => {
      const { app } = strapi.server;
      const original = app.createContext.bind(app);
      app.createContext = (...args) => {
        const ctx = original(...args);
        const set = ctx.cookies.set.bind(ctx.cookies);
        ctx.cookies.set = (name, value, { partitioned: _ignored, ...options }: any = {}) =>
          set(name, value, options);
        return ctx;
      };
    };
    await expect(boot(partitioned, older)).rejects.toThrow(
      'REFRESH_COOKIE_PARTITIONED=true has no effect with the cookie library of this Strapi'
    );
  });

  test('because the project’s own auth controller lacks an action, as without the extension', async () => {
    project = customizedProject(`
      module.exports = (plugin) => {
        const original = plugin.controllers.auth;
        plugin.controllers.auth = (context) => {
          const all = typeof original === 'function' ? original(context) : original;
          const { emailConfirmation, ...actions } = all;
          return actions;
        };
      };`);
    const booted = boot({}, undefined, undefined, project.folder);
    await expect(booted).rejects.toThrow(/auth\.emailConfirmation/);
  });
});

/** How often each of the warnings is logged. */
const counts = ({ log }: Server, warnings: RegExp[]): number[] =>
  warnings.map((text) => log.filter((line) => line.startsWith('warn') && text.test(line)).length);

describe('The boot warns once', () => {
  test.each<[string, Record<string, string>, RegExp]>([
    ['a long access token lifetime', { JWT_SECRET_EXPIRES: '12h' }, /JWT_SECRET_EXPIRES is 12h/],
    ['a cookie without Secure outside development', {}, /not Secure outside development/],
    ['an origin without TLS', { REFRESH_ALLOWED_ORIGINS: 'http://shop.test' }, /without TLS/],
  ])('about %s, with the fix', async (_case, env, message) => {
    server = await boot(env);
    expect(counts(server, [message])).toEqual([1]);
  });

  test('about each remaining setting of Strapi’s refresh mode, with the variable to set instead', async () => {
    project = currentProject();
    const sessions = {
      httpOnly: true,
      idleRefreshTokenLifespan: 7 * 86_400,
      cookie: { name: 'rt', maxAge: 7 * 86_400_000 },
    };
    const plugins = { 'users-permissions': { config: { sessions } } };
    writeFileSync(
      path.join(project.folder, 'config/plugins.js'),
      `module.exports = () => (${JSON.stringify(plugins)});`
    );
    server = await boot({}, undefined, undefined, project.folder);
    expect(
      counts(server, [
        /sessions\.httpOnly .*no effect\. REFRESH_TOKEN_RESPONSE is already cookie, so remove it/,
        /sessions\.idleRefreshTokenLifespan .*no effect\. Set REFRESH_TOKEN_EXPIRES=7d \(currently 2d\)/,
        /sessions\.cookie\.name .*no effect\. Set REFRESH_COOKIE_NAME=rt \(currently refreshToken\)/,
        /sessions\.cookie\.maxAge .*no effect\. The cookie expires with its refresh token/,
        OF_REFRESH_MODE,
      ])
    ).toEqual([1, 1, 1, 1, 4]);
  });

  test('but not about settings that Strapi itself adds', async () => {
    server = await boot();
    expect(counts(server, [OF_REFRESH_MODE])).toEqual([0]);
  });

  test.each<[string, number[]]>([
    ['5.36.1', [1, 1]],
    ['5.44.0', [0, 1]],
    ['5.45.0', [0, 0]],
  ])('about the published vulnerabilities of Strapi %s', async (release, expected) => {
    server = await boot({}, (strapi) => strapi.config.set('info.strapi', release));
    expect(
      counts(server, [
        /CVE-2026-27886: .*Update to 5\.37\.0 or later/,
        /CVE-2025-64526: .*Update to 5\.45\.0 or later/,
      ])
    ).toEqual(expected);
  });
});
