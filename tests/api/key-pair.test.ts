import { createPrivateKey } from 'crypto';
import { writeFileSync } from 'fs';
import path from 'path';
import type { Core } from '@strapi/strapi';
import jwt from 'jsonwebtoken';
import { calls, claims, cookieHeader, outcome } from '../support/client';
import { ecPair, rsaPair } from '../support/keys';
import { customizedProject } from '../support/project';
import type { Project } from '../support/project';
import { boot, pass, testDatabase } from '../support/server';
import type { Server } from '../support/server';

const rsa = rsaPair();
const otherRsa = rsaPair();
const ec = ecPair();

const UP = 'plugin::users-permissions';
/** As `jwt` of config/plugins, to which Strapi adds its default `expiresIn`. */
const withJwt = (settings: object) => (strapi: Core.Strapi) =>
  strapi.config.set(`${UP}.jwt`, { expiresIn: '30d', ...settings });
const RS256 = { algorithm: 'RS256', ...rsa };

let server: Server | undefined;
let project: Project | undefined;
afterEach(async () => {
  await server?.stop();
  project?.remove();
  server = undefined;
  project = undefined;
});

const headerOf = (token: string) => jwt.decode(token, { complete: true })!.header;
const warningsOf = ({ log }: Server) => log.filter((line) => line.startsWith('warn'));

describe('With a key pair in config/plugins', () => {
  test('users register, sign in, refresh and sign out, and anyone with the public key can verify their access tokens', async () => {
    server = await boot({}, withJwt(RS256));
    const call = calls(server);
    const registered = await server.api.post('/api/auth/local/register').send({
      username: 'ada',
      email: 'ada@test.local',
      password: 'correct horse 1',
      requestRefresh: true,
    });
    expect(registered.status).toBe(200);
    expect((await call.me(registered.body.jwt)).body).toMatchObject({ username: 'ada' });

    const signedIn = (await call.signIn({ username: 'ada' })).body;
    expect(headerOf(signedIn.jwt)).toMatchObject({ alg: 'RS256' });
    expect(headerOf(signedIn.refreshToken)).toMatchObject({ alg: 'HS256' });
    expect(jwt.verify(signedIn.jwt, rsa.publicKey, { algorithms: ['RS256'] })).toMatchObject({
      id: registered.body.user.id,
      gen: 0,
    });
    expect(claims(signedIn.jwt)).not.toHaveProperty('privateKey');

    const refreshed = (await call.refresh(signedIn.refreshToken)).body;
    expect(claims(refreshed.jwt)).toMatchObject({ gen: 1 });
    expect((await call.me(refreshed.jwt)).status).toBe(200);

    pass(3600);
    expect((await call.me(refreshed.jwt)).status).toBe(401);
    await server.api.post('/api/token/revoke').set('Authorization', `Bearer ${refreshed.jwt}`);
    expect(outcome(await call.refresh(refreshed.refreshToken))).toBe('401 session_ended');
    expect(JSON.stringify(server.log)).not.toContain('PRIVATE KEY');
  });

  test('password changes and the cookie work as usual', async () => {
    server = await boot({}, withJwt(RS256));
    const { username } = await server.user();
    const password = 'correct horse 1';
    const signedIn = await server.api
      .post('/api/auth/local')
      .send({ identifier: username, password });
    const refreshed = await server.api
      .post('/api/token/refresh')
      .set('Cookie', cookieHeader(signedIn));
    const changed = await server.api
      .post('/api/auth/change-password')
      .set('Authorization', `Bearer ${refreshed.body.jwt}`)
      .send({
        currentPassword: password,
        password: 'another 1',
        passwordConfirmation: 'another 1',
      });
    expect(changed.status).toBe(200);
    expect((await calls(server).me(refreshed.body.jwt)).status).toBe(401);
    expect((await calls(server).me(changed.body.jwt)).status).toBe(200);
  });

  test.each<[string, object]>([
    ['RS512', rsa],
    ['PS256', rsa],
    ['ES256', ec],
  ])('%s works too', async (algorithm, pair) => {
    server = await boot({ JWT_REQUIRE_SESSION: 'true' }, withJwt({ algorithm, ...pair }));
    const { body } = await calls(server).signIn(await server.user());
    expect(headerOf(body.jwt)).toMatchObject({ alg: algorithm });
    expect((await calls(server).me(body.jwt)).status).toBe(200);
  });

  test('tokens of any other key or algorithm are rejected', async () => {
    server = await boot({}, withJwt(RS256));
    const { id } = await server.user();
    const me = async (token: string) => (await calls(server!).me(token)).status;
    const sign = (key: string | null, algorithm: string, payload: object = { id }) =>
      jwt.sign(payload, key as string, { algorithm: algorithm as jwt.Algorithm });

    expect(await me(sign(rsa.privateKey, 'RS256'))).toBe(200);
    expect(await me(sign(rsa.publicKey, 'HS256'))).toBe(401);
    expect(await me(sign(rsa.publicKey.trim(), 'HS256'))).toBe(401);
    expect(await me(sign(process.env.JWT_SECRET!, 'HS256'))).toBe(401);
    expect(await me(sign(process.env.REFRESH_SECRET!, 'HS256'))).toBe(401);
    expect(await me(sign(otherRsa.privateKey, 'RS256'))).toBe(401);
    expect(await me(sign(rsa.privateKey, 'RS512'))).toBe(401);
    expect(await me(sign(rsa.privateKey, 'PS256'))).toBe(401);
    expect(await me(sign(null, 'none'))).toBe(401);
    expect(await me(sign(rsa.privateKey, 'RS256', { id, typ: 'refresh' }))).toBe(401);
  });

  test('tokens of Strapi’s own refresh mode, signed with the same key, are rejected as documented', async () => {
    server = await boot({}, withJwt(RS256));
    const { id } = await server.user();
    const sign = (type: string) =>
      jwt.sign({ userId: String(id), sessionId: 'a'.repeat(32), type }, rsa.privateKey, {
        algorithm: 'RS256',
        expiresIn: '10m',
      });
    expect((await calls(server).me(sign('access'))).status).toBe(401);
    expect((await calls(server).me(sign('refresh'))).status).toBe(401);
    expect(outcome(await calls(server).refresh(sign('refresh')))).toBe('401 refresh_token_invalid');
  });

  test('sessions survive a restart, and the switch from a secret to the key pair', async () => {
    const database = await testDatabase();
    const REFRESH_SECRET = '7f3a9c1e5b2d8f4a6c0e1b3d5f7a9c2e';
    server = await boot({ REFRESH_SECRET }, undefined, database);
    const before = (await calls(server).signIn(await server.user())).body;
    await server.stop();

    server = await boot({ REFRESH_SECRET }, withJwt(RS256), database);
    expect((await calls(server).me(before.jwt)).status).toBe(401);
    const refreshed = (await calls(server).refresh(before.refreshToken)).body;
    expect(headerOf(refreshed.jwt)).toMatchObject({ alg: 'RS256' });
    await server.stop();

    server = await boot({ REFRESH_SECRET }, withJwt(RS256), database);
    expect((await calls(server).me(refreshed.jwt)).status).toBe(200);
    await server.stop();
    server = undefined;
    await database.drop();
  });
});

describe('With a key pair, a project’s own jwt service', () => {
  let boots = 0;
  /** The configuration comes from a file, as in a project. */
  const bootWith = async (mine: string, settings: object = RS256) => {
    project = customizedProject(mine);
    const plugins = { 'users-permissions': { config: { jwt: settings } } };
    writeFileSync(
      path.join(project.folder, 'config/plugins.js'),
      `module.exports = () => (${JSON.stringify(plugins)});`
    );
    server = await boot({}, undefined, undefined, project.folder);
    // Strapi keeps its sign-in limit in this process, and all servers use the same username.
    boots += 1;
    pass(boots * 60);
    return server;
  };

  const WRAPPER = `
    const denied = new Set();
    module.exports = (plugin) => {
      const original = plugin.services.jwt;
      plugin.services.jwt = (context) => {
        const service = original(context);
        return {
          ...service,
          issue: (payload, options) => service.issue({ ...payload, tenant: 'acme' }, options),
          async verify(token) {
            await new Promise((resolve) => setImmediate(resolve));
            if (denied.has(token)) throw new Error('Denied.');
            return service.verify(token);
          },
          deny: (token) => denied.add(token),
          secret: () => context.strapi.config.get('plugin::users-permissions.jwt').privateKey,
        };
      };
    };`;

  test('that wraps the plugin’s is called, and signs with the private key', async () => {
    const { strapi, user } = await bootWith(WRAPPER);
    const call = calls(server!);
    const { jwt: token, refreshToken } = (await call.signIn(await user())).body;
    expect(headerOf(token)).toMatchObject({ alg: 'RS256' });
    expect(jwt.verify(token, rsa.publicKey)).toMatchObject({ tenant: 'acme' });
    expect((await call.me(token)).status).toBe(200);
    expect((await call.me(jwt.sign({ id: 1 }, rsa.publicKey))).status).toBe(401);
    expect((await call.me(jwt.sign({ id: 1 }, process.env.JWT_SECRET!))).status).toBe(401);

    const next = (await call.refresh(refreshToken)).body;
    const service = strapi.plugin('users-permissions').service('jwt');
    service.deny(next.jwt);
    expect((await call.me(next.jwt)).status).toBe(401);
    expect(service.secret()).toBe(rsa.privateKey);
    expect(strapi.config.get(`${UP}.jwtSecret`)).toBe(process.env.JWT_SECRET);
    expect(strapi.config.get(`${UP}.jwt`)).toEqual({ expiresIn: '30d', ...RS256 });

    await call.revoke(next.refreshToken);
    expect((await call.me(token)).status).toBe(401);
    expect(warningsOf(server!).join()).not.toMatch(/jwt service/);
  });

  test('that wraps the plugin’s works even if the algorithm does not use the key pair', async () => {
    const { user } = await bootWith(WRAPPER, rsa);
    const { body } = await calls(server!).signIn(await user());
    expect(headerOf(body.jwt)).toMatchObject({ alg: 'HS256' });
    expect((await calls(server!).me(body.jwt)).status).toBe(200);
    const about = warningsOf(server!).filter((line) => line.includes('jwt.privateKey'));
    expect(about).toEqual([expect.stringContaining('Set RS256')]);
  });

  test('can read the keys and sign tokens itself', async () => {
    const { user } = await bootWith(`
      const jwt = require('jsonwebtoken');
      module.exports = (plugin) => {
        const original = plugin.services.jwt;
        plugin.services.jwt = (context) => ({
          ...original(context),
          issue(payload, { expiresIn }) {
            const { privateKey, algorithm } = context.strapi.config.get('plugin::users-permissions.jwt');
            return jwt.sign(payload, privateKey, { algorithm, expiresIn, issuer: 'me' });
          },
          async verify(token) {
            const { publicKey } = strapi.config.get('plugin::users-permissions.jwt');
            return jwt.verify(token, publicKey, { algorithms: ['RS256'], issuer: 'me' });
          },
        });
      };`);
    const { body } = await calls(server!).signIn(await user());
    expect(claims(body.jwt)).toMatchObject({ iss: 'me' });
    expect((await calls(server!).me(body.jwt)).status).toBe(200);
  });

  test('causes a warning if the plugin’s service could not use the key pair, because it may not matter', async () => {
    await bootWith(WRAPPER, { ...RS256, publicKey: otherRsa.publicKey });
    const about = warningsOf(server!).filter((line) => line.includes('jwt service'));
    expect(about).toEqual([
      expect.stringMatching(
        /jwt\.publicKey .*does not verify.* Ignore this warning if that service does not call/
      ),
    ]);
    expect(about[0]).not.toContain('BEGIN');
  });

  test.each<[string, object]>([
    ['public key', { algorithm: 'RS256', publicKey: rsa.publicKey }],
    ['key that is broken', { algorithm: 'RS256', publicKey: 'none', privateKey: 'none' }],
  ])(
    'can use the secret, and have only someone else’s %s in the configuration',
    async (_what, settings) => {
      const { user } = await bootWith(
        `
      const jwt = require('jsonwebtoken');
      module.exports = (plugin) => {
        const original = plugin.services.jwt;
        plugin.services.jwt = (context) => {
          const secret = () => context.strapi.config.get('plugin::users-permissions.jwtSecret');
          return {
            ...original(context),
            issue: (payload, { expiresIn }) => jwt.sign(payload, secret(), { expiresIn }),
            verify: async (token) => jwt.verify(token, secret(), { algorithms: ['HS256'] }),
          };
        };
      };`,
        settings
      );
      const { body } = await calls(server!).signIn(await user());
      expect(body.jwt).toEqual(expect.any(String));
      expect((await calls(server!).me(body.jwt)).status).toBe(200);
    }
  );

  test('is not called at boot, because it may look up the user or record sign-ins', async () => {
    await bootWith(`
      module.exports = (plugin) => {
        const original = plugin.services.jwt;
        plugin.services.jwt = (context) => {
          const called = [];
          return {
            ...original(context),
            called,
            issue() { called.push('issue'); throw new Error('No such user.'); },
            async verify() { called.push('verify'); throw new Error('No such user.'); },
          };
        };
      };`);
    expect(server!.strapi.plugin('users-permissions').service('jwt').called).toEqual([]);
    expect(warningsOf(server!).join()).not.toMatch(/jwt service|No such user/);
  });
});

describe('The boot stops before anyone can register', () => {
  const secretOf = ({ privateKey }: { privateKey: string }) =>
    createPrivateKey(privateKey).export({ format: 'jwk' }).d!;

  test.each<[string, object, RegExp]>([
    [
      'because of keys from two different pairs',
      { ...RS256, publicKey: otherRsa.publicKey },
      /does not verify/,
    ],
    ['because of the algorithm none', { algorithm: 'none' }, /jwt\.algorithm .*"none"/],
    ['because of an unknown option', { isuer: 'shop' }, /cannot be used: "isuer" is not allowed/],
    [
      'because of an option of the wrong type',
      { issuer: 7 },
      /cannot be used: "issuer" must be a string/,
    ],
    [
      'because of tokens that are not yet valid',
      { notBefore: '1h' },
      /cannot be used: jwt not active/,
    ],
    [
      'because of a header with a different algorithm',
      { header: { alg: 'HS512' } },
      /cannot be used: /,
    ],
  ])('%s', async (_what, settings, message) => {
    const refusal = await boot({}, withJwt(settings)).then(
      (booted) => {
        server = booted;
        throw new Error('It booted.');
      },
      (error: Error) => error
    );
    expect(refusal.name).toBe('ConfigurationError');
    expect(refusal.message).toMatch(message);
    expect(refusal.message).not.toMatch(/BEGIN|jwt-secret-of-the-tests/);
    expect(refusal.message).not.toContain(secretOf(rsa).slice(0, 20));
  });

  test('because of a public key as the secret, with which anyone could sign', async () => {
    const booted = boot({}, (strapi) => strapi.config.set(`${UP}.jwtSecret`, rsa.publicKey));
    await expect(booted).rejects.toThrow(/jwtSecret .*is a PEM key, but HS256/);
  });
});

describe('jwt of config/plugins can contain', () => {
  test.each([null, '', 'never', 2.5])(
    'the lifetime %p, which is overridden with a warning',
    async (expiresIn) => {
      server = await boot({}, withJwt({ expiresIn }));
      const { body } = await calls(server).signIn(await server.user());
      expect((await calls(server).me(body.jwt)).status).toBe(200);
      expect(claims(body.jwt).exp! - claims(body.jwt).iat!).toBe(360);
      expect(warningsOf(server).join()).toMatch(/jwt\.expiresIn .* is overridden/);
    }
  );

  test.each<[string, object, unknown]>([
    [
      'an encrypted private key with its passphrase',
      { algorithm: 'RS256' },
      {
        key: createPrivateKey(rsa.privateKey).export({
          type: 'pkcs8',
          format: 'pem',
          cipher: 'aes-256-cbc',
          passphrase: 'open sesame',
        }),
        passphrase: 'open sesame',
      },
    ],
    [
      'a private key that is not PEM',
      { algorithm: 'RS256' },
      {
        key: createPrivateKey(rsa.privateKey).export({ type: 'pkcs8', format: 'der' }),
        format: 'der',
        type: 'pkcs8',
      },
    ],
    ['bytes', {}, new Uint8Array(Buffer.from('a secret of any bytes, at least 32'))],
  ])('and jwtSecret can be %s', async (_what, settings, secret) => {
    server = await boot({}, (strapi) => {
      withJwt(settings)(strapi);
      strapi.config.set(`${UP}.jwtSecret`, secret);
    });
    const { body } = await calls(server).signIn(await server.user());
    expect((await calls(server).me(body.jwt)).status).toBe(200);
  });

  test('audience, issuer, subject, key id and header, which are then in every token', async () => {
    server = await boot(
      {},
      withJwt({
        audience: ['shop'],
        issuer: 'api',
        subject: 'user',
        keyid: 'k1',
        header: { cty: 'x' },
        noTimestamp: true,
      })
    );
    const { body } = await calls(server).signIn(await server.user());
    expect(claims(body.jwt)).toMatchObject({ aud: ['shop'], iss: 'api', sub: 'user' });
    expect(headerOf(body.jwt)).toMatchObject({ kid: 'k1', cty: 'x' });
    expect((await calls(server).me(body.jwt)).status).toBe(200);
  });
});
