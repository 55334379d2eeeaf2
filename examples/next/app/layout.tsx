import Link from 'next/link';
import type { ReactNode } from 'react';
import { LeaveWhenEnded } from '@/components/session';

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <LeaveWhenEnded />
        <nav>
          <Link href="/">Home</Link> <Link href="/me">Account</Link>{' '}
          <Link href="/me/settings">Settings</Link> <Link href="/login">Sign in</Link>
        </nav>
        {children}
      </body>
    </html>
  );
}
