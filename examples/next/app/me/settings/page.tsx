import { redirect } from 'next/navigation';
import { currentUser, strapi } from '@/lib/user';

async function endOthers() {
  'use server';
  const response = await strapi('/api/users/me/sessions?except=current', { method: 'DELETE' });
  if ([401, 403].includes(response.status)) redirect('/login');
  if (!response.ok) throw new Error(`DELETE /api/users/me/sessions: ${response.status}.`);
  redirect('/me');
}

export const instant = false;

export default async function Settings() {
  const user = await currentUser();
  if (!user) redirect('/login');
  return (
    <>
      <h1>Settings of {user.username}</h1>
      <form action={endOthers}>
        <button style={{ border: '1px solid' }}>Sign out on all other devices</button>
      </form>
    </>
  );
}
