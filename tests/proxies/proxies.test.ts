import { execFileSync, spawn } from 'child_process';
import type { ChildProcess } from 'child_process';
import { once } from 'events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'fs';
import http from 'http';
import type { RequestOptions } from 'http';
import https from 'https';
import type { AddressInfo } from 'net';
import { tmpdir } from 'os';
import path from 'path';
import { setTimeout as sleep } from 'timers/promises';
import { createDatabase } from '../support/database';
import type { Database } from '../support/database';
import { blockUnder } from '../support/deploying';
import { freePort } from '../support/port';
import { boot, PASSWORD } from '../support/server';
import type { Server } from '../support/server';

/** Runs the proxies of `docs/deploying.md`, with the configuration that the page shows, in front of a Strapi in production mode. */

const HOST = 'api.example.com';
let callers = 1;
/** A new address of this machine, which Linux has many of. The proxy itself calls Strapi from 127.0.0.1. */
const newCaller = () => `127.0.0.${(callers += 1)}`;

interface Setup {
  folder: string;
  http: number;
  https: number;
  strapi: number;
}

const certificateOf = (folder: string) => path.join(folder, 'certificate.pem');
const keyOf = (folder: string) => path.join(folder, 'key.pem');

/** Makes a file of a proxy's configuration. @returns the command that runs it */
const PROXIES: Record<string, (setup: Setup) => string[]> = {
  nginx(setup) {
    const { folder } = setup;
    const block = blockUnder('Behind nginx', 'nginx')
      .replace('listen 80', `listen 127.0.0.1:${setup.http}`)
      .replace('listen 443', `listen 127.0.0.1:${setup.https}`)
      .replace('/etc/ssl/api.example.com.pem', certificateOf(folder))
      .replace('/etc/ssl/api.example.com.key', keyOf(folder))
      .replace('127.0.0.1:1337', `127.0.0.1:${setup.strapi}`);
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${folder};`
    );
    const file = path.join(folder, 'nginx.conf');
    writeFileSync(
      file,
      `daemon off; pid ${folder}/pid; events {} http { access_log off; ${paths.join(' ')}\n${block}}`
    );
    return ['nginx', '-c', file, '-e', 'stderr'];
  },
  caddy(setup) {
    const { folder } = setup;
    const block = blockUnder('Caddy', 'caddyfile')
      .replace(' {\n', ` {\n  tls ${certificateOf(folder)} ${keyOf(folder)}\n`)
      .replace('127.0.0.1:1337', `127.0.0.1:${setup.strapi}`);
    const ports = `http_port ${setup.http}\n  https_port ${setup.https}`;
    const file = path.join(folder, 'Caddyfile');
    writeFileSync(file, `{\n  admin off\n  default_bind 127.0.0.1\n  ${ports}\n}\n${block}`);
    return ['caddy', 'run', '--config', file, '--adapter', 'caddyfile'];
  },
};

const { TEST_PROXIES } = globalThis as unknown as { TEST_PROXIES: string[] };

let server: Server;
let database: Database;
beforeAll(async () => {
  database = await createDatabase('sqlite');
  const env = { NODE_ENV: 'production', TRUST_PROXY: 'true', RATE_LIMIT_MAX: '' };
  server = await boot(env, undefined, database);
});
afterAll(async () => {
  await server.stop();
  await database.drop();
});

describe.each(TEST_PROXIES)('Behind %s,', (name) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'refresh-token-proxy-'));
  let setup: Setup;
  let proxy: ChildProcess;
  let output = '';

  beforeAll(async () => {
    const strapi = (server.strapi.server.httpServer.address() as AddressInfo).port;
    setup = { folder, http: await freePort(), https: await freePort(), strapi };
    const options = `-nodes -days 1 -subj /CN=${HOST} -addext subjectAltName=DNS:${HOST}`;
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', ...options.split(' ')].concat(
        ['-out', certificateOf(folder)],
        ['-keyout', keyOf(folder)]
      ),
      { stdio: 'pipe' }
    );
    const [command, ...args] = PROXIES[name](setup);
    proxy = spawn(command, args, {
      // Debian's nginx is where only root looks. Caddy keeps files in its home.
      env: { PATH: `${process.env.PATH}:/usr/sbin`, HOME: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [proxy.stdout!, proxy.stderr!]) {
      stream.on('data', (text) => (output += text));
    }
    await Promise.race([listening(), ended()]);
  });
  afterAll(async () => {
    if (proxy.pid && proxy.exitCode === null) {
      const exited = once(proxy, 'exit');
      proxy.kill();
      await exited;
    }
    rmSync(folder, { recursive: true });
  });

  async function listening(): Promise<void> {
    for (let turn = 0; turn < 300; turn += 1) {
      if (await call('GET', '/_health').catch(() => false)) return;
      await sleep(100);
    }
    throw new Error(`${name} does not respond:\n${output}`);
  }

  async function ended(): Promise<never> {
    // Fails by itself if there is no such command.
    await once(proxy, 'exit');
    throw new Error(`${name} ended:\n${output}`);
  }

  /** Requests like a browser on a page of this host, which checks the certificate. */
  async function call(
    method: string,
    route: string,
    body?: object,
    { scheme = 'https', from = '127.0.0.1', ...headers }: Record<string, string> = {}
  ) {
    const options: RequestOptions & https.RequestOptions = {
      method,
      path: route,
      host: '127.0.0.1',
      servername: HOST,
      ca: readFileSync(certificateOf(setup.folder)),
      localAddress: from,
      agent: false,
      headers: { Host: HOST, 'Content-Type': 'application/json', ...headers },
    };
    const request =
      scheme === 'https'
        ? https.request({ ...options, port: setup.https })
        : http.request({ ...options, port: setup.http });
    request.end(body && JSON.stringify(body));
    const [response] = await once(request, 'response');
    let text = '';
    for await (const part of response) text += part;
    return {
      status: response.statusCode as number,
      headers: response.headers as http.IncomingHttpHeaders,
      body: text.startsWith('{') ? JSON.parse(text) : text,
    };
  }

  const page = { Origin: `https://${HOST}`, 'Sec-Fetch-Site': 'same-origin' };
  const cookieOf = ({ headers }: { headers: http.IncomingHttpHeaders }) =>
    (headers['set-cookie'] ?? []).map((line) => line.split(';')[0]).join('; ');

  test('plain http is redirected to HTTPS', async () => {
    const { status, headers } = await call('GET', '/api/users/me?a=b', undefined, {
      scheme: 'http',
    });
    expect([301, 308]).toContain(status);
    expect(headers.location).toBe(`https://${HOST}/api/users/me?a=b`);
  });

  test('a page signs in, refreshes with a __Host- cookie, and signs out', async () => {
    const { username } = await server.user();
    const credentials = { identifier: username, password: PASSWORD };
    const signedIn = await call('POST', '/api/auth/local', credentials, page);
    expect(signedIn.status).toBe(200);
    expect(signedIn.headers['set-cookie']).toContainEqual(
      expect.stringMatching(/^__Host-refreshToken=.*; path=\/; .*samesite=lax; secure; httponly/i)
    );
    expect(server.log.filter((line) => line.includes('server.proxy'))).toEqual([]);

    const refreshed = await call(
      'POST',
      '/api/token/refresh',
      {},
      { ...page, Cookie: cookieOf(signedIn) }
    );
    expect(refreshed).toMatchObject({ status: 200, body: { jwt: expect.any(String) } });
    const Cookie = cookieOf(refreshed);
    expect(Cookie).toMatch(/^__Host-refreshToken=/);
    // A browser from before 2023: the host decides.
    const { Origin } = page;
    expect((await call('POST', '/api/token/refresh', {}, { Origin, Cookie })).status).toBe(200);
    const evil = { Origin: 'https://evil.test', Cookie };
    expect(await call('POST', '/api/token/refresh', {}, evil)).toMatchObject({
      status: 403,
      body: { error: { details: { code: 'origin_refused' } } },
    });

    const signedOut = await call('POST', '/api/token/revoke', {}, { ...page, Cookie });
    expect(signedOut.status).toBe(200);
    expect(cookieOf(signedOut)).toMatch(/^__Host-refreshToken=;/);
    expect(await call('POST', '/api/token/refresh', {}, { ...page, Cookie })).toMatchObject({
      status: 401,
      body: { error: { details: { code: 'session_ended' } } },
    });
  });

  test('sign-ins are limited and recorded by the caller’s address, whatever they claim', async () => {
    const { username } = await server.user();
    const [caller, other] = [newCaller(), newCaller()];
    const signIn = (password: string, from: string, claimed: string) =>
      call(
        'POST',
        '/api/auth/local',
        { identifier: username, password },
        { from, 'X-Forwarded-For': claimed, 'X-Real-IP': claimed }
      );
    const statuses: number[] = [];
    for (let turn = 0; turn < 12; turn += 1) {
      statuses.push((await signIn('wrong', caller, `203.0.113.${turn}`)).status);
    }
    expect(statuses).toEqual([...Array(10).fill(400), 429, 429]);

    expect((await signIn(PASSWORD, other, caller)).status).toBe(200);
    expect((await server.rows()).at(-1)!.ip).toBe(other);
  });
});
