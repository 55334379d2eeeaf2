'use client';

import { useActionState } from 'react';
import { signIn } from './actions';

export function SignInForm() {
  const [error, action, isPending] = useActionState(signIn, '');
  return (
    <form action={action}>
      <input name="identifier" aria-label="User name" autoComplete="username" required />
      <input
        name="password"
        type="password"
        aria-label="Password"
        autoComplete="current-password"
        required
      />
      <label>
        <input name="rememberMe" type="checkbox" defaultChecked /> Stay signed in
      </label>
      <button disabled={isPending}>Sign in</button>
      <p role="alert">{error}</p>
    </form>
  );
}
