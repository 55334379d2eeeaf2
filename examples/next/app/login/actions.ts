'use server';

import { cookies, headers } from 'next/headers';
import { NextResponse } from 'next/server';
import { callStrapi, cookieLines } from '@/lib/strapi';
import type { User } from '@/lib/user';

export interface Result {
  /** Why it failed. */
  error?: string;
  /** What the browser may know of Strapi's response: not the refresh token. */
  answer?: { jwt: string; user: User };
}

/** Signs in on the server. @param form with `identifier`, `password` and, to stay signed in, `rememberMe` */
export async function signIn(form: FormData): Promise<Result> {
  // Anyone can call an action, with anything.
  if (!(form instanceof FormData)) return { error: 'Invalid form.' };
  const response = await callStrapi(
    '/api/auth/local',
    { headers: await headers() },
    ['cookie', 'user-agent'],
    {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        identifier: String(form.get('identifier') ?? ''),
        password: String(form.get('password') ?? ''),
        rememberMe: form.has('rememberMe'),
      }),
    }
  ).catch(() => null);
  if (!response?.ok) {
    const body = await response?.json().catch(() => null);
    return { error: body?.error?.message ?? 'Please try again in a moment.' };
  }

  // Next.js lets an action set cookies only one by one. This parses the lines.
  const parsed = new NextResponse();
  for (const line of await cookieLines(response)) parsed.headers.append('set-cookie', line);
  const jar = await cookies();
  for (const cookie of new NextResponse(null, parsed).cookies.getAll()) jar.set(cookie);
  const { jwt, user } = await response.json();
  return { answer: { jwt, user } };
}
