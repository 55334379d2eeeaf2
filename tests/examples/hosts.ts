import { execFileSync } from 'child_process';
import { mkdtempSync, readFileSync, rmSync } from 'fs';
import { createServer, request as send } from 'http';
import type { IncomingMessage, Server, ServerResponse } from 'http';
import { createServer as createTlsServer } from 'https';
import type { AddressInfo } from 'net';
import { tmpdir } from 'os';
import path from 'path';

/** Handles the requests for a host of this machine. */
export type Host = (request: IncomingMessage, response: ServerResponse) => unknown;

/**
 * Hosts with real names and ports, over http and https, for a browser that is launched with `rules`.
 *
 * @param names such as `www.example.com`
 */
export async function serveHosts(names: string[]) {
  const hosts = new Map<string, Host>();
  const onRequest: Host = (request, response) => {
    const host = hosts.get(request.headers.host!);
    if (host) return host(request, response);
    response.statusCode = 502;
    return response.end();
  };

  const folder = mkdtempSync(path.join(tmpdir(), 'refresh-token-tls-'));
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(folder, name));
  const options = `-x509 -newkey rsa:2048 -nodes -subj /CN=test -days 2 -keyout ${key} -out ${cert}`;
  execFileSync('openssl', ['req', ...options.split(' ')], { stdio: 'ignore' });
  const pair = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(folder, { recursive: true });

  const servers: [number, Server][] = [
    [80, createServer(onRequest)],
    [443, createTlsServer(pair, onRequest)],
  ];
  for (const [, server] of servers) {
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
  }
  return {
    hosts,
    rules: servers.flatMap(([port, server]) =>
      names.map((name) => `MAP ${name}:${port} 127.0.0.1:${(server.address() as AddressInfo).port}`)
    ),
    stop() {
      for (const [, server] of servers) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

/**
 * A proxy, with the headers of nginx in `docs/deploying.md`.
 *
 * @param dropped names of response headers that it does not pass back
 */
export const proxyTo =
  (url: string, dropped: string[] = []): Host =>
  (request, response) => {
    const { method, headers } = request;
    const forwarded = {
      ...headers,
      'x-forwarded-host': headers.host,
      'x-forwarded-proto': 'encrypted' in request.socket ? 'https' : 'http',
      'x-forwarded-for': '203.0.113.7',
    };
    const upstream = send(url + request.url, { method, headers: forwarded }, (answer) => {
      for (const name of dropped) delete answer.headers[name];
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    upstream.on('error', () => response.destroy());
    request.pipe(upstream);
  };
