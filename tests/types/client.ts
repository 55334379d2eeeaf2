/** What the client's types guarantee to a front end. Nothing here runs: `npm run typecheck` fails if one of them breaks. */
import { createSession } from '../../client/session';
import type { EndCode, SessionEvent, SessionRequestError, TokenStore } from '../../client/session';

export function told(event: SessionEvent): string {
  switch (event.type) {
    case 'signed-in':
      // @ts-expect-error No event contains an access token.
      return String(event.jwt);
    case 'refreshed':
      return `${event.expiresAt.toFixed()} ${event.by === 'another tab'}`;
    case 'ended':
      // @ts-expect-error This code does not exist.
      return event.code === 'session_expired' ? '' : (event.message ?? '');
  }
}

/** Every code has a message. */
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

/** A store can be synchronous or asynchronous, and the results of `set` and `delete` are ignored. */
const map = new Map<string, string>();
export const stores: TokenStore[] = [
  {
    get: () => map.get('token') ?? null,
    set: (token) => map.set('token', token),
    delete: () => map.delete('token'),
  },
  { get: async () => 'token', set: async (_token: string) => {}, delete: async () => {} },
];

// @ts-expect-error A sign-in can return `both`, but a session uses one transport.
createSession({ baseUrl: '', transport: 'both' });
// @ts-expect-error A store must be able to delete.
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
