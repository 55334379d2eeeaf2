import { redirect } from 'next/navigation';
import type { ReactNode } from 'react';
import { ReloadForOthers, SignOut } from '@/components/session';
import { currentUser } from '@/lib/user';

/** Nothing is shown before it is known who is signed in. `instant` requires `cacheComponents` in next.config.ts. */
export const instant = false;

export default async function Layout({ children }: { children: ReactNode }) {
  const user = await currentUser();
  if (!user) redirect('/login');
  return (
    <main>
      <ReloadForOthers userId={user.id} />
      <p>Signed in as {user.username}</p>
      <SignOut />
      {children}
    </main>
  );
}
