import { redirect } from 'next/navigation';
import { Suspense } from 'react';
import { Devices } from '@/components/session';
import { currentUser, strapi } from '@/lib/user';

export const instant = false;

/** Next.js renders a layout and its page at the same time, and keeps a layout: every page asks for itself. */
export default async function Account() {
  const user = await currentUser();
  if (!user) redirect('/login');
  return (
    <>
      <h1>Hello {user.username}</h1>
      <Suspense>
        <SessionCount />
      </Suspense>
      <Devices />
    </>
  );
}

async function SessionCount() {
  const response = await strapi('/api/users/me/sessions');
  if (!response.ok) throw new Error(`GET /api/users/me/sessions: ${response.status}.`);
  const sessions: unknown[] = await response.json();
  return <p>Devices signed in: {sessions.length}</p>;
}
