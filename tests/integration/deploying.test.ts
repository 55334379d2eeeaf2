import { cookieHeader, cookies, outcome } from '../support/client';
import { createDatabase } from '../support/database';
import { blockUnder } from '../support/deploying';
import { boot, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

/** Applies the settings of `docs/deploying.md`, and makes requests like a browser behind that page's proxy. */

const environment = (heading: string): Record<string, string> =>
  Object.fromEntries(
    blockUnder(heading, 'sh')
      .trim()
      .split('\n')
      .map((line) => line.split('='))
  );

const evaluate = (code: string) => new Function(`return [${code}]`)();

/** The headers that nginx sets in its block. */
function throughNginx(host: string): Record<string, string> {
  const values: Record<string, string> = {
    $host: host,
    $scheme: 'https',
    $remote_addr: '203.0.113.7',
  };
  return Object.fromEntries(
    [...blockUnder('Behind nginx', 'nginx').matchAll(/proxy_set_header (\S+)\s+(\S+);/g)].map(
      ([, name, variable]) => [name, values[variable]]
    )
  );
}

describe.each([
  ['Same site', 'https://www.example.com', 'api.example.com', 'same-site', 'lax'],
  ['Another site', 'https://www.shop.com', 'api.other.com', 'cross-site', 'none'],
])('%s: %s, which calls %s,', (heading, front, host, site, sameSite) => {
  let server: Server;
  let drop: () => Promise<void>;
  beforeAll(async () => {
    const database = await createDatabase('sqlite');
    ({ drop } = database);
    const [cors] = evaluate(blockUnder('CORS', 'ts'));
    const [session] = heading === 'Another site' ? evaluate(blockUnder(heading, 'ts')) : [];
    const { proxy } = new Function(
      `return {${/^proxy: .*$/m.exec(blockUnder('Behind nginx', 'ts'))![0]}}`
    )();
    const configure = (strapi: Server['strapi']) => {
      // As Strapi would pass it to Koa, which already exists at this point.
      strapi.server.app.proxy = proxy.koa;
      strapi.config.set(
        'middlewares',
        (strapi.config.get('middlewares') as any[]).map(
          (entry) =>
            [cors, session].find((ours) => ours && ours.name === (entry.name ?? entry)) ?? entry
        )
      );
    };
    server = await boot(environment(heading), configure, database);
  });
  afterAll(async () => {
    await server.stop();
    await drop();
  });

  const fromPage = (origin: string) => ({
    ...throughNginx(host),
    Origin: origin,
    'Sec-Fetch-Site': site,
  });

  test('can call with credentials, but an untrusted page cannot', async () => {
    const preflight = (origin: string) =>
      server.api.options('/api/token/refresh').set({
        ...fromPage(origin),
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'content-type,authorization,x-strapi-refresh-cookie',
      });
    const { status, headers } = await preflight(front);
    expect(status).toBe(204);
    expect(headers['access-control-allow-origin']).toBe(front);
    expect(headers['access-control-allow-credentials']).toBe('true');
    expect(headers['access-control-allow-headers'].toLowerCase().split(',')).toEqual(
      expect.arrayContaining(['content-type', 'authorization', 'x-strapi-refresh-cookie'])
    );
    const foreign = await preflight('https://evil.test');
    expect(foreign.headers['access-control-allow-origin'] ?? '').toBe('');
  });

  test('keeps the session in a __Host- cookie, which an untrusted page cannot use', async () => {
    const { username } = await server.user();
    const signedIn = await server.api
      .post('/api/auth/local')
      .set(fromPage(front))
      .send({ identifier: username, password: PASSWORD });
    const line = cookies(signedIn)['__Host-refreshToken'];
    expect(line).toMatch(new RegExp(`; path=/; .*samesite=${sameSite}; secure; httponly`, 'i'));
    expect(line).not.toMatch(/domain/i);
    expect((await server.rows()).at(-1)!.ip).toBe('203.0.113.7');
    expect(server.log.filter((entry) => entry.includes('server.proxy'))).toEqual([]);

    const Cookie = cookieHeader(signedIn);
    const refresh = (origin: string) =>
      server.api
        .post('/api/token/refresh')
        .set({ ...fromPage(origin), Cookie })
        .send();
    expect(outcome(await refresh('https://evil.test'))).toBe('403 origin_refused');
    expect(outcome(await refresh(front))).toBe('200');
  });

  test('starts a social sign-in, with cookies that the front end’s calls will send', async () => {
    const store = server.strapi.store({ type: 'plugin', name: 'users-permissions', key: 'grant' });
    const grant = (await store.get({})) as Record<string, object>;
    const github = { ...grant.github, enabled: true, key: 'key', secret: 'secret' };
    await store.set({ value: { ...grant, github } });
    const visit = await server.api
      .get('/api/connect/github')
      .set({ ...throughNginx(host), 'Sec-Fetch-Site': site, 'Sec-Fetch-Mode': 'navigate' });
    expect(visit.status).toBe(302);
    const lines = cookies(visit);
    // Browsers treat a cookie without SameSite as Lax.
    expect(/samesite=(\w+)/i.exec(lines['koa.sess'])?.[1] ?? 'lax').toBe(sameSite);
    if (sameSite === 'none') expect(lines['koa.sess']).toMatch(/; secure/i);
    expect(lines['__Host-refreshTokenVisit']).toMatch(
      new RegExp(`; samesite=${sameSite}; secure`, 'i')
    );
  });

  test('is refused over plain http if the proxy forwards a different host, no matter which page sends it', async () => {
    const http = { ...throughNginx(host), 'X-Forwarded-Proto': 'http' };
    const ask = (headers: object) =>
      server.api.post('/api/token/refresh').set({ ...headers, Origin: `http://${host}` });
    expect(outcome(await ask(http))).toBe('400 refresh_token_missing');
    const rewritten = { ...http, Host: '127.0.0.1:1337', 'X-Forwarded-Host': '127.0.0.1:1337' };
    expect(outcome(await ask(rewritten))).toBe('403 origin_refused');
  });

  test('is recognized by the host that nginx forwards, in a browser without Sec-Fetch-Site', async () => {
    const own = await server.api
      .post('/api/token/refresh')
      .set({ ...throughNginx(host), Origin: `https://${host}` });
    expect(outcome(own)).toBe('400 refresh_token_missing');
    const sister = await server.api
      .post('/api/token/refresh')
      .set({ ...throughNginx(host), Origin: `https://blog.${host}` });
    expect(outcome(sister)).toBe('403 origin_refused');
  });
});
