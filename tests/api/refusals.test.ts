import { customizedProject } from '../support/project';
import { boot } from '../support/server';
import type { Server } from '../support/server';

const SECRET = '7f3a9c1e5b2d8f4a6c0e1b3d5f7a9c2e';
let server: Server | undefined;
afterEach(() => server?.stop());

describe('The boot is stopped', () => {
  test.each<[string, Record<string, string>, RegExp]>([
    ['a missing secret outside development', { REFRESH_SECRET: '' }, /REFRESH_SECRET is missing/],
    [
      'several wrong values, all named',
      { REFRESH_TOKEN_EXPIRES: '10 d', JWT_SECRET_EXPIRES: 'soon' },
      /JWT_SECRET_EXPIRES="soon"[^]*REFRESH_TOKEN_EXPIRES="10 d"/,
    ],
    [
      'a secret equal to the JWT secret',
      { REFRESH_SECRET: SECRET, JWT_SECRET: SECRET },
      /equals the JWT secret/,
    ],
  ])('by %s', async (_case, env, message) => {
    await expect(boot(env)).rejects.toThrow(message);
    await expect(boot(env)).rejects.not.toThrow(SECRET);
  });

  test('by Strapi’s own refresh mode beside the extension', async () => {
    const configure = (strapi: any) =>
      strapi.config.set('plugin::users-permissions.jwtManagement', 'refresh');
    await expect(boot({}, configure)).rejects.toThrow(/Remove that line/);
  });

  test.each(['4.25.1', '5.0.0-rc.30', '6.0.0'])(
    'by Strapi %s, with its release named',
    async (release) => {
      const configure = (strapi: any) => strapi.config.set('info.strapi', release);
      await expect(boot({}, configure)).rejects.toThrow(`This is Strapi ${release}`);
    }
  );

  test('by a project’s own auth controller that lacks an action, as without the extension', async () => {
    const project = customizedProject(`
      module.exports = (plugin) => {
        const original = plugin.controllers.auth;
        plugin.controllers.auth = (context) => {
          const { emailConfirmation, ...actions } = original(context);
          return actions;
        };
      };`);
    const booted = boot({}, undefined, undefined, project.folder);
    await expect(booted).rejects.toThrow(/auth\.emailConfirmation/);
    project.remove();
  });
});

describe('The boot warns once', () => {
  test.each<[string, Record<string, string>, RegExp]>([
    ['a long access life', { JWT_SECRET_EXPIRES: '12h' }, /JWT_SECRET_EXPIRES is 12h/],
    ['a cookie without Secure outside development', {}, /not Secure outside development/],
    ['an origin without TLS', { REFRESH_ALLOWED_ORIGINS: 'http://shop.test' }, /without TLS/],
  ])('of %s, with its cure', async (_case, env, message) => {
    server = await boot(env);
    expect(server.log.filter((line) => line.startsWith('warn') && message.test(line))).toHaveLength(
      1
    );
  });
});
