'use server';

import { cookies, headers } from 'next/headers';
import { NextResponse } from 'next/server';
import { callStrapi, cookieLines } from '@/lib/strapi';

/** Signs in on the server. @returns why it failed, or '' */
export async function signIn(form: FormData): Promise<string> {
  const response = await callStrapi(
    '/api/auth/local',
    { headers: await headers() },
    ['cookie', 'user-agent'],
    {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        identifier: form.get('identifier'),
        password: form.get('password'),
        rememberMe: form.has('rememberMe'),
      }),
    }
  ).catch(() => null);
  if (!response?.ok) {
    const body = await response?.json().catch(() => null);
    return body?.error?.message ?? 'Please try again in a moment.';
  }

  // Next.js lets an action set cookies only one by one. This parses the lines.
  const parsed = new NextResponse();
  for (const line of await cookieLines(response)) parsed.headers.append('set-cookie', line);
  const jar = await cookies();
  for (const cookie of new NextResponse(null, parsed).cookies.getAll()) jar.set(cookie);
  return '';
}
