'use client';

import { useActionState } from 'react';
import { leave } from '@/components/session';
import { session } from '@/lib/session';
import { signIn } from './actions';

/** Even where all other styles are reset, as by Tailwind. */
const style = { border: '1px solid', padding: '0.25em' };

export function SignInForm() {
  const [last, action, isPending] = useActionState(submit, null);
  return (
    <form action={action}>
      <p>
        <label>
          User name{' '}
          <input
            style={style}
            name="identifier"
            autoComplete="username"
            required
            defaultValue={last?.identifier}
          />
        </label>
      </p>
      <p>
        <label>
          Password{' '}
          <input
            style={style}
            name="password"
            type="password"
            autoComplete="current-password"
            required
          />
        </label>
      </p>
      <p>
        <label>
          <input name="rememberMe" type="checkbox" defaultChecked={last?.rememberMe ?? true} /> Stay
          signed in
        </label>
      </p>
      <button style={style} disabled={isPending}>
        Sign in
      </button>
      <p role="alert">{last?.error}</p>
    </form>
  );
}

/** @returns why it failed, and what React puts back into the form */
async function submit(_last: unknown, form: FormData) {
  const { error, answer } = await signIn(form);
  // This tells the other tabs. Then a full page load: Next.js remembers which page led here, and would come back at once.
  if (answer) await session.adopt(answer).finally(() => leave('/me'));
  return {
    error,
    identifier: String(form.get('identifier')),
    rememberMe: form.has('rememberMe'),
  };
}
