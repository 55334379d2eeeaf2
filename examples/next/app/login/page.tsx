import { cookies } from 'next/headers';
import { Suspense } from 'react';
import { UnlessSignedIn } from '@/components/session';
import { REFRESH } from '@/lib/strapi';
import { SignInForm } from './form';

interface Props {
  searchParams: Promise<{ ended?: string }>;
}

/** What the user should know about the end of the session, by its code. */
const REASONS = new Map([
  [
    'refresh_token_reused',
    'Someone else may have used your account. Sign in and change your password.',
  ],
  ['refresh_token_expired', 'You have been away for a while. Please sign in again.'],
  ['session_ended', 'You have been signed out. Please sign in again.'],
]);

export default function SignIn(props: Props) {
  return (
    <main>
      <h1>Sign in</h1>
      <Suspense>
        <Form {...props} />
      </Suspense>
    </main>
  );
}

async function Form({ searchParams }: Props) {
  const { ended } = await searchParams;
  const jar = await cookies();
  if (!ended && jar.has(REFRESH)) {
    return (
      <UnlessSignedIn>
        <SignInForm />
      </UnlessSignedIn>
    );
  }
  return (
    <>
      <p role="alert">{ended && REASONS.get(ended)}</p>
      <SignInForm />
    </>
  );
}
