import { generateKeyPairSync } from 'crypto';
import jwt from 'jsonwebtoken';
import { calls, claims } from '../support/client';
import { boot, pass } from '../support/server';
import type { Server } from '../support/server';

let server: Server;
afterEach(() => server.stop());

const UP = 'plugin::users-permissions';

describe('The configuration of access tokens', () => {
  test('JWT_REQUIRE_SESSION rejects access tokens without a session', async () => {
    server = await boot({ JWT_REQUIRE_SESSION: 'true' });
    const user = await server.user();
    const old = jwt.sign({ id: user.id }, process.env.JWT_SECRET!);
    const call = calls(server);
    expect((await call.me(old)).status).toBe(401);
    expect((await call.me((await call.signIn(user)).body.jwt)).status).toBe(200);
  });

  test('jwt.expiresIn of config/plugins is overridden, with one warning', async () => {
    server = await boot({ JWT_SECRET_EXPIRES: '5m' }, (strapi) => {
      strapi.config.set(`${UP}.jwt`, { expiresIn: '7d', issuer: 'shop' });
    });
    const { body } = await calls(server).signIn(await server.user());
    const { iat, exp, iss } = claims(body.jwt);
    expect([exp! - iat!, iss]).toEqual([300, 'shop']);
    expect(server.log.filter((line) => /^warn.*jwt\.expiresIn \(7d\)/.test(line))).toHaveLength(1);
  });

  test('a key pair can sign access tokens, and an expired one can still sign out', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    server = await boot({}, (strapi) => {
      strapi.config.set(`${UP}.jwt`, { algorithm: 'RS256' });
      strapi.config.set(
        `${UP}.jwtSecret`,
        privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
      );
    });
    const { body } = await calls(server).signIn(await server.user());
    expect((await calls(server).me(body.jwt)).status).toBe(200);
    pass(3600);
    expect((await calls(server).me(body.jwt)).status).toBe(401);
    await server.api.post('/api/token/revoke').set('Authorization', `Bearer ${body.jwt}`);
    expect(await server.rows()).toEqual([]);
  });

  test.each(['HS384', 'HS512'])('the algorithm %s of config/plugins is used', async (algorithm) => {
    server = await boot({}, (strapi) => {
      strapi.config.set(`${UP}.jwt`, { algorithm });
    });
    const { body } = await calls(server).signIn(await server.user());
    expect(jwt.decode(body.jwt, { complete: true })!.header.alg).toBe(algorithm);
    expect((await calls(server).me(body.jwt)).status).toBe(200);
  });
});
