/** What the client's types guarantee to a front end. Nothing here runs: `npm run typecheck` fails if one of them breaks. */
import { createSession } from '../../client/session';
import type {
  EndCode,
  SessionEvent,
  SessionRequestError,
  TokenAnswer,
  TokenStore,
} from '../../client/session';
import type { SessionState } from '../../client/session-state';

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
  await session.signIn({ identifier: 'ada', password: '', rememberMe: false });
  const { status }: Response = await session.fetch(new URL('https://api.example.com/api/x'), {
    method: 'POST',
  });
  const error = Object.assign(new Error(), { status, code: 'user_refused' });
  return [user.id, user.username, await session.accessToken(), error];
}

/** A state has its user exactly if someone is signed in. */
export function shown(state: SessionState): string {
  switch (state.status) {
    case 'signed-in':
      return state.user.username;
    case 'signed-out':
      // @ts-expect-error No one is signed in.
      return state.user.username + (state.code === 'signed_out');
    case 'unknown':
      return String(state.error);
    case 'loading':
      // @ts-expect-error Nothing is known yet.
      return state.error;
  }
}

/** What a server gets from `/token/access`. */
export const access = ({ jwt, refreshToken }: TokenAnswer): [string, string | undefined] => [
  jwt,
  refreshToken,
];

export async function restored(): Promise<string[]> {
  const session = createSession({ quiet: true });
  const user = await session.restore();
  // @ts-expect-error No one may be signed in.
  void user.username;
  return [(await session.signInBy('github')).username, user?.username ?? ''];
}
