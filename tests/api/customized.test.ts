import { readFileSync, rmSync, writeFileSync } from 'fs';
import path from 'path';
import { superAdmin } from '../support/admins';
import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import type { Database } from '../support/database';
import { currentProject, customizedProject } from '../support/project';
import type { Project } from '../support/project';
import { boot, pass, testDatabase } from '../support/server';
import type { Server } from '../support/server';

let project: Project;
let server: Server;
let call: ReturnType<typeof calls>;

/** Boots with the project's own changes to the plugin in `strapi-server`. */
async function bootWith(mine: string): Promise<void> {
  project = customizedProject(mine);
  server = await boot({}, undefined, undefined, project.folder);
  call = calls(server);
}
afterEach(async () => {
  await server.stop();
  project.remove();
});

const signIn = async () => (await call.signIn(await server.user())).body;
const revokeAs = (jwt: string) =>
  server.api.post('/api/token/revoke').set('Authorization', `Bearer ${jwt}`).send();

describe('A project’s own jwt service', () => {
  const CLAIMS_AND_DENYLIST = `
    const denied = new Set();
    module.exports = (plugin) => {
      const original = plugin.services.jwt;
      plugin.services.jwt = (context) => {
        const service = original(context);
        return {
          ...service,
          issue: (payload, options) => service.issue({ ...payload, tenant: 'acme' }, options),
          async verify(token) {
            if (denied.has(token)) throw new Error('Denied.');
            return service.verify(token);
          },
          deny: (token) => denied.add(token),
        };
      };
    };`;

  test.each([
    ['set on the plugin itself', CLAIMS_AND_DENYLIST],
    [
      'in a copy of the plugin',
      CLAIMS_AND_DENYLIST.replace(
        'module.exports = (plugin) => {',
        'module.exports = (stock) => { const plugin = { ...stock, services: { ...stock.services } };'
      ).replace(/\};\s*$/, 'return plugin; };'),
    ],
  ])('can add claims and deny tokens, and sessions still end: %s', async (_how, mine) => {
    await bootWith(mine);
    const one = await signIn();
    expect(claims(one.jwt)).toMatchObject({ tenant: 'acme', gen: 0, sid: expect.any(String) });
    expect(claims(one.jwt).exp! - claims(one.jwt).iat!).toBe(360);
    expect((await call.me(one.jwt)).status).toBe(200);

    const next = (await call.refresh(one.refreshToken)).body;
    expect(claims(next.jwt)).toMatchObject({ tenant: 'acme', gen: 1 });

    server.strapi.plugin('users-permissions').service('jwt').deny(next.jwt);
    expect((await call.me(next.jwt)).status).toBe(401);
    expect((await call.me(one.jwt)).status).toBe(200);

    await call.revoke(next.refreshToken);
    expect((await call.me(one.jwt)).status).toBe(401);
    expect((await call.me((await signIn()).refreshToken)).status).toBe(401);
  });

  test('can sign with its own secret, and the session routes still recognize the caller', async () => {
    await bootWith(`
      const jwt = require('jsonwebtoken');
      class Tokens {
        constructor(service) { for (const name in service) this[name] ??= service[name]; }
        issue(payload, { expiresIn }) { return jwt.sign(payload, 'own', { expiresIn, issuer: 'me' }); }
        async verify(token) { return jwt.verify(token, 'own', { issuer: 'me' }); }
      }
      module.exports = (plugin) => {
        const original = plugin.services.jwt;
        plugin.services.jwt = (context) => new Tokens(original(context));
      };`);
    const user = await server.user();
    const [mine, other] = [(await call.signIn(user)).body, (await call.signIn(user)).body];
    expect(claims(mine.jwt)).toMatchObject({ iss: 'me' });
    const ended = await server.api
      .delete('/api/users/me/sessions?except=current')
      .set('Authorization', `Bearer ${mine.jwt}`);
    expect(ended.body).toEqual({ ended: 1 });
    expect((await call.me(other.jwt)).status).toBe(401);
    expect((await call.me(mine.jwt)).status).toBe(200);

    await revokeAs(mine.jwt);
    expect(outcome(await call.refresh(mine.refreshToken))).toBe('401 session_ended');
  });

  test('that returns only the user still has its sessions checked', async () => {
    await bootWith(`
      module.exports = (plugin) => {
        const original = plugin.services.jwt;
        plugin.services.jwt = (context) => {
          const service = original(context);
          return { ...service, verify: async (token) => ({ id: (await service.verify(token)).id }) };
        };
      };`);
    const mine = await signIn();
    expect((await call.me(mine.jwt)).status).toBe(200);
    await revokeAs(mine.jwt);
    expect((await call.me(mine.jwt)).status).toBe(401);
    expect(outcome(await call.refresh(mine.refreshToken))).toBe('401 session_ended');
  });

  test('whose token does not contain its user still gets a session', async () => {
    await bootWith(`
      module.exports = (plugin) => {
        const original = plugin.services.jwt;
        const users = new Map();
        plugin.services.jwt = (context) => ({
          ...original(context),
          issue: (payload) => { const token = 'opaque-' + users.size; users.set(token, payload); return token; },
          async verify(token) { if (!users.has(token)) throw new Error('Unknown.'); return users.get(token); },
        });
      };`);
    const mine = await signIn();
    expect(mine.jwt).toMatch(/^opaque-/);
    expect((await call.me(mine.jwt)).status).toBe(200);
    await revokeAs(mine.jwt);
    expect((await call.me(mine.jwt)).status).toBe(401);
  });
});

describe('A project’s own controller', () => {
  test('is called by every sign-in, and finds the other actions on `this`', async () => {
    await bootWith(`
      module.exports = (plugin) => {
        const original = plugin.controllers.auth;
        plugin.controllers.auth = (context) => {
          const actions = typeof original === 'function' ? original(context) : original;
          return {
            ...actions,
            async callback(ctx) {
              if (ctx.request.body.identifier === 'me') return this.greet(ctx);
              await actions.callback(ctx);
              ctx.body.greeting = 'Hello';
            },
            async greet(ctx) { ctx.body = { greeting: 'It is you' }; },
          };
        };
      };`);
    const signedIn = await call.signIn(await server.user());
    expect(signedIn.body).toMatchObject({ greeting: 'Hello', refreshToken: expect.any(String) });
    const greeted = await call.signIn({ username: 'me' });
    expect(greeted.body).toEqual({ greeting: 'It is you' });
    expect(cookies(greeted)).toEqual({});
  });

  test('can end the session by calling the sign-out action on `this`', async () => {
    await bootWith(`
      module.exports = (plugin) => {
        const original = plugin.controllers.auth;
        plugin.controllers.auth = (context) => {
          const actions = typeof original === 'function' ? original(context) : original;
          return {
            ...actions,
            async callback(ctx) {
              if (ctx.request.body.identifier === 'out') return this.logout(ctx);
              await actions.callback(ctx);
            },
          };
        };
      };`);
    const { refreshToken } = (await call.signIn(await server.user())).body;
    const out = await server.api
      .post('/api/auth/local')
      .send({ identifier: 'out', password: '-', refreshToken });
    expect(out.body).toEqual({ ok: true });
    expect(outcome(await call.refresh(refreshToken))).toBe('401 session_ended');
  });

  test('can return a token that it signed itself, without the user', async () => {
    await bootWith(`
      const jwt = require('jsonwebtoken');
      module.exports = (plugin) => {
        const original = plugin.controllers.auth;
        plugin.controllers.auth = (context) => ({
          ...(typeof original === 'function' ? original(context) : original),
          async callback(ctx) {
            ctx.body = { jwt: jwt.sign({ id: Number(ctx.request.body.identifier) }, 'own') };
          },
        });
      };`);
    const { id } = await server.user();
    const signedIn = await call.signIn({ username: String(id) });
    expect(claims(signedIn.body.jwt)).toMatchObject({ id, sid: expect.any(String) });
    expect((await call.me(signedIn.body.jwt)).status).toBe(200);
  });
});

describe('A project’s own registration', () => {
  test('can have its own deviceId field, which the session also stores', async () => {
    await bootWith(`
      module.exports = (plugin) => {
        plugin.config.register = { allowedFields: ['deviceId'] };
        const original = plugin.controllers.auth;
        plugin.controllers.auth = (context) => ({
          ...(typeof original === 'function' ? original(context) : original),
          async register(ctx) { ctx.body = { seen: ctx.request.body.deviceId }; },
        });
      };`);
    const register = (deviceId: unknown) =>
      server.api.post('/api/auth/local/register').send({ deviceId });
    expect((await register('mine')).body).toEqual({ seen: 'mine' });
    expect((await register(7)).body).toEqual({ seen: 7 });
    expect((await register('x'.repeat(300))).body).toEqual({ seen: 'x'.repeat(300) });

    const { jwt } = (await call.signIn(await server.user(), { deviceId: 'phone' })).body;
    expect((await server.rows()).pop()!.device_id).toBe('phone');
    await server.api
      .post('/api/auth/logout')
      .set('Authorization', `Bearer ${jwt}`)
      .send({ deviceId: 'phone' });
    expect((await call.me(jwt)).status).toBe(401);
  });

  test('and login can respond without a body, as for a second factor', async () => {
    await bootWith(`
      module.exports = (plugin) => {
        const original = plugin.controllers.auth;
        plugin.controllers.auth = (context) => ({
          ...(typeof original === 'function' ? original(context) : original),
          async callback(ctx) { ctx.status = 204; },
        });
      };`);
    for (const path of ['/api/auth/local', '/api/auth/token/request']) {
      expect((await server.api.post(path).send({})).status).toBe(204);
    }
  });
});

describe('A project’s own user service', () => {
  test('can be a class that checks passwords in its own way, and a password change still ends sessions', async () => {
    await bootWith(`
      class Users {
        constructor(service) { for (const name in service) this[name] ??= service[name]; }
        async validatePassword(password, hash) { return this.isMaster(password) || hash === 'x'; }
        isMaster(password) { return password === 'master'; }
      }
      module.exports = (plugin) => {
        const original = plugin.services.user;
        plugin.services.user = (context) => new Users(original(context));
      };`);
    const user = await server.user();
    expect((await call.signIn(user)).status).toBe(400);
    const { body } = await call.signIn(user, { password: 'master' });
    expect((await call.me(body.jwt)).status).toBe(200);
    await server.strapi
      .service('plugin::users-permissions.user')!
      .edit(user.id, { password: 'new password' });
    expect((await call.me(body.jwt)).status).toBe(401);
  });
});

describe('A project without an optional part', () => {
  /** Boots without a file or folder of the extension, its import and its line in `strapi-server`. */
  async function bootWithout(part: string, database?: Database): Promise<void> {
    project = currentProject();
    const folder = path.join(project.folder, 'src/extensions/users-permissions');
    rmSync(path.join(folder, part), { recursive: true });
    const file = path.join(folder, 'strapi-server.js');
    const lines = readFileSync(file, 'utf8').split('\n');
    // What the compiler calls an import.
    const others = lines.filter((line) => !line.includes(`${path.basename(part, '.js')}_1`));
    expect(others).toHaveLength(lines.length - 2);
    writeFileSync(file, others.join('\n'));

    server = await boot({}, undefined, database, project.folder);
    call = calls(server);
  }

  test('boots, signs in and refreshes without the routes of other front ends', async () => {
    await bootWithout('controllers/compatibility.js');
    const { refreshToken } = await signIn();
    expect((await call.refresh(refreshToken)).status).toBe(200);
    expect((await server.api.post('/api/auth/local/refresh').send({ refreshToken })).status).toBe(
      405
    );
  });

  test('boots, signs in and refreshes without the admin routes, and loses their table', async () => {
    const hasTable = () => server.strapi.db.connection.schema.hasTable('up_refresh_incidents');
    const database = await testDatabase();
    server = await boot({}, undefined, database);
    expect(await hasTable()).toBe(true);
    await server.stop();

    await bootWithout('admin', database);
    const { stop } = server;
    server.stop = () => stop().finally(() => database.drop());
    const { refreshToken } = await signIn();
    expect((await call.refresh(refreshToken)).status).toBe(200);
    const admin = await superAdmin(server);
    expect((await admin.get()).status).toBe(404);
    expect(await hasTable()).toBe(false);
  });
});

describe('A project’s own code that runs before the plugin', () => {
  test('can use the plugin’s services', async () => {
    await bootWith(`
      module.exports = (plugin) => {
        const { bootstrap } = plugin;
        plugin.bootstrap = async (context) => {
          const { strapi } = context;
          const { jwt } = strapi.plugin('users-permissions').services;
          const sessions = strapi.service('plugin::users-permissions.refresh-session');
          strapi.early = { token: jwt.issue({ id: 1 }), ended: await sessions.signOut('everyone') };
          await bootstrap(context);
        };
      };`);
    const { early } = server.strapi as unknown as { early: { token: string; ended: number } };
    expect(claims(early.token)).toMatchObject({ id: 1 });
    expect(early.ended).toBe(0);
    expect((await call.signIn(await server.user())).status).toBe(200);
  });
});

describe('The plugin’s list of routes', () => {
  const list = () => (server.strapi.plugin('users-permissions').routes as any)['content-api'];

  test('can be read, extended and replaced, in an extension and in register()', async () => {
    project = currentProject();
    const own = (route: string) =>
      `{ method: 'GET', path: '${route}', handler: (ctx) => ctx.send('${route}'), config: { auth: false, prefix: '' } }`;
    writeFileSync(
      path.join(project.folder, 'src/index.js'),
      `module.exports = { register({ strapi }) {
        const api = strapi.plugin('users-permissions').routes['content-api'];
        api.routes.push(${own('/pushed')});
        api.routes = [...api.routes, ${own('/replaced')}].filter(({ path }) => path !== '/users/count');
        api.routes.find(({ path }) => path === '/auth/local').config.middlewares = [
          (ctx, next) => (ctx.query.open === 'yes' ? next() : ctx.forbidden()),
        ];
      } };`
    );
    server = await boot({}, undefined, undefined, project.folder);
    call = calls(server);

    expect((await server.api.get('/api/pushed')).text).toBe('/pushed');
    expect((await server.api.get('/api/replaced')).text).toBe('/replaced');
    const names = list().routes.map(({ path: name }: { path: string }) => name);
    expect(names).toContain('/token/refresh');
    expect(names).not.toContain('/users/count');

    const { username } = await server.user();
    expect((await call.signIn({ username })).status).toBe(403);
    const signedIn = await server.api
      .post('/api/auth/local?open=yes')
      .send({ identifier: username, password: 'correct horse 1' });
    expect(signedIn.status).toBe(200);
    pass(1);
    const refreshed = await server.api
      .post('/api/token/refresh')
      .set('Cookie', cookieHeader(signedIn));
    expect(refreshed.status).toBe(200);
  });
});
