/** What is measured: front-end requests, each of which checks its response. */
import type { Server } from './boot';
import { call } from './load';
import type { Connection, Side } from './load';
import { PASSWORD } from './seed';
import type { Kind } from './seed';

const REFRESH: { [kind in Kind]?: string } = {
  extension: '/api/token/refresh',
  'built-in': '/api/auth/refresh',
};

function expect(condition: unknown, call: string, answer: object): void {
  if (!condition)
    throw new Error(`${call} returned an unexpected response: ${JSON.stringify(answer)}`);
}

/** A refresh; every connection has its own session. */
export const refresh = (server: Server): Side => ({
  name: server.kind,
  server,
  async operation(connection) {
    const path = REFRESH[server.kind]!;
    const { refreshToken } = connection.tokens;
    const answer = await call(connection, 'POST', path, { body: { refreshToken } });
    expect(answer.jwt && answer.refreshToken && answer.refreshToken !== refreshToken, path, answer);
    Object.assign(connection.tokens, answer);
  },
});

/** An authenticated request. */
export const me = (server: Server): Side => ({
  name: server.kind,
  server,
  async operation(connection) {
    const { jwt, user } = connection.tokens;
    const answer = await call(connection, 'GET', '/api/users/me', { token: jwt });
    expect(answer.username === user, 'GET /api/users/me', answer);
  },
});

/** A refresh, and the first request with its access token, which acknowledges the refresh. */
export const refreshAndMe = (server: Server): Side => ({
  name: server.kind,
  server,
  async operation(connection: Connection) {
    await refresh(server).operation(connection);
    await me(server).operation(connection);
  },
});

/** The baseline: a route that gets the same body as a refresh and does nothing. */
export const noOp = (server: Server): Side => ({
  name: 'no-op',
  server,
  async operation(connection) {
    const { refreshToken } = connection.tokens;
    const answer = await call(connection, 'POST', '/api/no-op', { body: { refreshToken } });
    expect(answer.ok === true, 'POST /api/no-op', answer);
  },
});

/** A sign-in with a password. */
export const signIn = (server: Server): Side => ({
  name: server.kind,
  server,
  async operation(connection) {
    const withSession = server.kind === 'extension';
    const body = {
      identifier: connection.tokens.user,
      password: PASSWORD,
      ...(withSession && { requestRefresh: true }),
    };
    const answer = await call(connection, 'POST', '/api/auth/local', { body });
    const complete = answer.jwt && Boolean(answer.refreshToken) === withSession;
    expect(complete, 'POST /api/auth/local', answer);
  },
});

/** A sign-out; each ends a session opened before the round. */
export const signOut = (server: Server): Side => ({
  name: server.kind,
  server,
  spare: 2000,
  async operation(connection) {
    const tokens = connection.spare.pop();
    if (!tokens) return false;
    const { jwt: token, refreshToken } = tokens;
    const answer = await (server.kind === 'extension'
      ? call(connection, 'POST', '/api/token/revoke', { body: { refreshToken } })
      : call(connection, 'POST', '/api/auth/logout', { token, body: {} }));
    expect(answer.ok === true, 'A sign-out', answer);
    return true;
  },
});
