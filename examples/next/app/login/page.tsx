import { cookies } from 'next/headers';
import { Suspense } from 'react';
import { UnlessSignedIn } from '@/components/session';
import { REFRESH } from '@/lib/strapi';
import { SignInForm } from './form';

interface Props {
  searchParams: Promise<{ ended?: string }>;
}

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
      {ended === 'refresh_token_reused' && (
        <p role="alert">
          Someone else may have used your account. Sign in and change your password.
        </p>
      )}
      <SignInForm />
    </>
  );
}
