import { useState } from 'react';
import type { FormEvent } from 'react';
import type { EndCode } from '../client/session';
import { session } from './session';

const REASONS: Partial<Record<EndCode, string>> = {
  refresh_token_expired: 'You have not been here for a while.',
  session_ended: 'You were signed out on another device or by an administrator.',
  refresh_token_reused:
    'Someone else may have used your account. Sign in, and change your password.',
  user_refused: 'Your account is blocked.',
};

/** @param reason why the session has ended, if there was one */
export function SignIn({ reason }: { reason?: EndCode | undefined }) {
  const [problem, setProblem] = useState('');

  async function signIn(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    try {
      await session.signIn({ identifier: form.get('name'), password: form.get('password') });
    } catch (error) {
      setProblem((error as Error).message);
    }
  }

  return (
    <form onSubmit={signIn}>
      {reason && REASONS[reason] && <p>{REASONS[reason]}</p>}
      <label>
        User name <input name="name" autoComplete="username" required />
      </label>
      <label>
        Password <input name="password" type="password" autoComplete="current-password" required />
      </label>
      <button>Sign in</button>
      {problem && <p role="alert">{problem}</p>}
    </form>
  );
}
