import { Suspense } from 'react';
import { SignInForm } from './form';

interface Props {
  searchParams: Promise<{ ended?: string }>;
}

export default function SignIn({ searchParams }: Props) {
  return (
    <main>
      <h1>Sign in</h1>
      <Suspense>
        <Warning searchParams={searchParams} />
      </Suspense>
      <SignInForm />
    </main>
  );
}

async function Warning({ searchParams }: Props) {
  const { ended } = await searchParams;
  if (ended !== 'refresh_token_reused') return null;
  return (
    <p role="alert">Someone else may have used your account. Sign in and change your password.</p>
  );
}
