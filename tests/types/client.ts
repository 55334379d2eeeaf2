/** What the client's types promise to a front end. Nothing here runs: `npm run typecheck` fails where one of them breaks. */
import { createSession } from '../../client/session';
import type { EndCode, SessionEvent, SessionRequestError, TokenStore } from '../../client/session';

export function told(event: SessionEvent): string {
  switch (event.type) {
    case 'signed-in':
      // @ts-expect-error An access token is no part of any event.
      return String(event.jwt);
    case 'refreshed':
      return `${event.expiresAt.toFixed()} ${event.by === 'another tab'}`;
    case 'ended':
      // @ts-expect-error There is no such code.
      return event.code === 'session_expired' ? '' : (event.message ?? '');
  }
}

/** Every code has its sentence. */
export const sentences: Record<EndCode, string> = {
  signed_out: '',
  refresh_token_missing: '',
  refresh_token_invalid: '',
  refresh_token_expired: '',
  refresh_token_reused: '',
  session_ended: '',
  user_refused: '',
  invalid_request: '',
};

/** A store may answer at once or later, and what `set` and `delete` answer does not matter. */
const map = new Map<string, string>();
export const stores: TokenStore[] = [
  {
    get: () => map.get('token') ?? null,
    set: (token) => map.set('token', token),
    delete: () => map.delete('token'),
  },
  { get: async () => 'token', set: async (_token: string) => {}, delete: async () => {} },
];

// @ts-expect-error A sign-in answers `both`, but a session goes on with one.
createSession({ baseUrl: '', transport: 'both' });
// @ts-expect-error A store that cannot forget is none.
createSession({ baseUrl: '', transport: 'body', store: { get: () => null, set: () => {} } });

export async function used(): Promise<[number, string, string | null, SessionRequestError]> {
  const session = createSession({ baseUrl: 'https://api.example.com', fetch });
  const stop: () => void = session.subscribe(told);
  stop();
  const user = await session.signIn({ username: 'ada', email: '', password: '' }, '/auth/local');
  const { status }: Response = await session.fetch(new URL('https://api.example.com/api/x'), {
    method: 'POST',
  });
  const error = Object.assign(new Error(), { status, code: 'user_refused' });
  return [user.id, user.username, await session.accessToken(), error];
}
