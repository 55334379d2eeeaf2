import jwt from 'jsonwebtoken';
import type { Response } from 'supertest';
import { PASSWORD } from './server';
import type { Server } from './server';

type Fields = Record<string, unknown>;

/** The calls of a front end, by name. */
export const calls = ({ api }: Server) => ({
  /** Signs in with a body token. */
  async signIn(user: { username: string }, fields: Fields = {}): Promise<Response> {
    return api
      .post('/api/auth/local')
      .send({ identifier: user.username, password: PASSWORD, requestRefresh: true, ...fields });
  },
  async refresh(refreshToken: unknown): Promise<Response> {
    return api.post('/api/token/refresh').send({ refreshToken });
  },
  async revoke(refreshToken: unknown): Promise<Response> {
    return api.post('/api/token/revoke').send({ refreshToken });
  },
  /** Uses an access token. */
  async me(accessToken: string): Promise<Response> {
    return api.get('/api/users/me').set('Authorization', `Bearer ${accessToken}`);
  },
});

/** Status and stable code of a response, such as `401 session_ended`. */
export const outcome = ({ status, body }: Response): string =>
  [status, body?.error?.details?.code].filter(Boolean).join(' ');

export const claims = (token: string) => jwt.decode(token) as jwt.JwtPayload;

/** The `Set-Cookie` lines of a response, by cookie name. */
export function cookies(response: Response): Record<string, string> {
  const lines = (response.headers['set-cookie'] ?? []) as unknown as string[];
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line]));
}

/** The cookies of a response as a browser would send them back. */
export const cookieHeader = (response: Response): string =>
  Object.values(cookies(response))
    .map((line) => line.split(';')[0])
    .join('; ');
