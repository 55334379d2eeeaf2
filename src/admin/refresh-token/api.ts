import { useMemo } from 'react';
import { useFetchClient } from '@strapi/strapi/admin';
import type { Permission } from '@strapi/strapi/admin';

/** What `useRBAC` and settings links ask for. Strapi's type has fields that only a stored permission has. */
const permission = (uid: string) =>
  ({ action: `plugin::users-permissions.sessions.${uid}`, subject: null }) as Permission;

export const READ = permission('read');
export const END = permission('end');

/** One array for all renders: `useRBAC` checks again for each new one. */
export const PERMISSIONS = [READ, END];

export interface SessionUser {
  id: number;
  documentId: string;
  username: string | null;
  email: string | null;
}

export interface Session {
  id: string;
  user: SessionUser | null;
  description: string | null;
  deviceId: string | null;
  userAgent: string | null;
  ip: string | null;
  transport: 'cookie' | 'body';
  createdAt: string;
  lastActivity: string;
  expiresAt: string;
  endsAt: string;
}

export interface Incident {
  id: number;
  at: string;
  user: SessionUser | null;
  session: { id: string; description: string | null; userAgent: string | null; ip: string | null };
  request: { userAgent: string | null; ip: string | null };
}

/** Cursors of the neighboring pages; null where there is none. */
interface Cursors {
  newer: number | null;
  older: number | null;
}

export type SessionList = { sessions: Session[] } & Cursors;
export type IncidentList = { incidents: Incident[] } & Cursors;

export interface Overview {
  settings: { name: string; value: string; description: string }[];
  warnings: string[];
}

/** Where a page of a list starts. Without either cursor, it is the newest page. */
export interface Position {
  before?: string;
  after?: string;
}

export interface IncidentFilter extends Position {
  user?: string;
}

export interface SessionFilter extends IncidentFilter {
  search?: string;
}

const ROUTE = '/users-permissions/sessions';

export function useSessionsApi() {
  const { get, del } = useFetchClient();
  return useMemo(
    () => ({
      list: async (params: SessionFilter, signal: AbortSignal) =>
        (await get<SessionList>(ROUTE, { params, signal })).data,
      count: async (signal: AbortSignal) =>
        (await get<{ active: number }>(`${ROUTE}/count`, { signal })).data.active,
      overview: async (signal: AbortSignal) =>
        (await get<Overview>(`${ROUTE}/overview`, { signal })).data,
      incidents: async (params: IncidentFilter, signal: AbortSignal) =>
        (await get<IncidentList>(`${ROUTE}/incidents`, { params, signal })).data,
      end: async (id: string) => {
        await del(`${ROUTE}/${id}`);
        return 1;
      },
      endMany: async (params: { user: string } | { everyone: true }) =>
        (await del<{ ended: number }>(ROUTE, { params })).data.ended,
    }),
    [get, del]
  );
}

export type SessionsApi = ReturnType<typeof useSessionsApi>;

/** @returns the HTTP status of a failed request; undefined if there was no response */
export function statusOf(error: unknown): number | undefined {
  const { status, response } = error as {
    status?: number;
    response?: { data?: { error?: { status?: number } } };
  };
  return status ?? response?.data?.error?.status;
}
