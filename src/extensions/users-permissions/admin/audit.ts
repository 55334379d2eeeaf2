import type { Core } from '@strapi/strapi';
import { oneLine } from '../errors';

/** What an admin did. `sid`: one session. `userId` without it: a user's sessions, or everyone's if it is null. */
interface AdminEnd {
  adminId: number;
  userAgent: string | null;
  ip: string | null;
  sid?: string;
  userId: number | null;
  /** Null if a database error interrupted it. */
  ended: number | null;
}

const EVENT = 'refresh-session.ended-by-admin';

/**
 * The audit log of Strapi's Enterprise Edition, which accepts events from plugins since 5.53.
 *
 * @see @strapi/admin dist/server/ee/server/src/audit-logs/services/lifecycles.js
 */
interface AuditLog {
  registerEvent?(name: string, transform: (event: AdminEnd) => object): void;
}

/** Makes the audit log record one entry each time an admin ends sessions. */
export function registerAuditEvent(strapi: Core.Strapi): void {
  findAuditLog(strapi)?.registerEvent?.(EVENT, ({ sid, userId, ended }) => ({
    resource: { type: 'refresh-session', id: sid ?? null },
    details: { userId: userId ?? 'everyone', ended },
    outcome: ended === null ? 'failure' : 'success',
  }));
}

function findAuditLog(strapi: Core.Strapi): AuditLog | null {
  try {
    return strapi.get('audit-logs-lifecycle') as AuditLog;
  } catch {
    // `get` throws if the service is missing, as in the Community Edition.
    return null;
  }
}

/** Writes the log line, and emits the event that the audit log listens for. It looks up the admin of the current request. */
export function reportEnd(strapi: Core.Strapi, what: AdminEnd): void {
  strapi.log.info(`[refresh-token] ended by admin ${JSON.stringify(what)}`);
  strapi.eventHub.emit(EVENT, what).catch((error: unknown) => {
    strapi.log.error(`[refresh-token] a listener of ${EVENT} failed: ${oneLine(error)}`);
  });
}
