import type { Core } from '@strapi/strapi';
import { addToCleanup } from '../cron/cleanup';
import { oneLine } from '../errors';
import { createDatabase, retryOnConflict, USER_UID } from '../sessions/database';
import type { Knex } from '../sessions/database';
import type { SessionEvent } from '../sessions/dependencies';

export const INCIDENT_TABLE = 'up_refresh_incidents';

type Query = ReturnType<Knex>;

const DAYS = 24 * 60 * 60 * 1000;

/** How long incidents are kept, and how many for each user. */
const KEPT = 90 * DAYS;
const MAX_PER_USER = 1000;

/** How many rows one statement of the cleanup deletes. */
const BATCH = 500;

/** Reuse of a refresh token: when, whose, and the devices on both sides. An internal table, like the table of sessions. */
const incidentModel = {
  uid: 'plugin::users-permissions.refresh-incident',
  tableName: INCIDENT_TABLE,
  singularName: 'refresh-incident',
  attributes: {
    id: { type: 'increments' },
    // Milliseconds since the epoch.
    at: { type: 'biginteger' },
    user: { type: 'relation', relation: 'manyToOne', target: USER_UID, useJoinTable: false },
    sid: { type: 'string' },
    description: { type: 'string' },
    userAgent: { type: 'string' },
    ip: { type: 'string' },
    requestUserAgent: { type: 'string' },
    requestIp: { type: 'string' },
  },
};

/** Must run in `register`: the schema is synchronized right after it. */
export function addIncidentModel(strapi: Core.Strapi): void {
  strapi.get('models').add(incidentModel);
}

/** Writes a row for each reuse. The event hub waits for its listeners in turn, so this one neither waits nor fails. */
export function recordIncidents(strapi: Core.Strapi): void {
  const record = async ({ sid, userId, userAgent, ip, session }: SessionEvent) => {
    // Not with `run`: nothing waits for this, so the caller's transaction may have ended by then.
    await retryOnConflict(() =>
      strapi.db.connection(INCIDENT_TABLE).insert({
        at: Date.now(),
        user_id: userId,
        sid,
        description: session?.description,
        user_agent: session?.userAgent,
        ip: session?.ip,
        request_user_agent: userAgent,
        request_ip: ip,
      })
    );
  };
  strapi.eventHub.on('refresh-session.reused', async (event: SessionEvent) => {
    record(event).catch((error: unknown) => {
      strapi.log.error(`[refresh-token] an incident was not recorded: ${oneLine(error)}`);
    });
  });
}

/** Makes the hourly cleanup delete incidents that are too old, over the limit, or of a deleted user. */
export function cleanUpIncidents(strapi: Core.Strapi): void {
  const { run } = createDatabase(strapi);
  const deleteAll = async (select: (incidents: Query) => Query) => {
    for (;;) {
      const found = await run((knex) => select(knex(INCIDENT_TABLE)).limit(BATCH).select('id'));
      if (found.length === 0) return;
      const ids = found.map(({ id }: { id: number }) => id);
      await run((knex) => knex(INCIDENT_TABLE).whereIn('id', ids).delete());
    }
  };

  addToCleanup(strapi, async () => {
    const oldest = Date.now() - KEPT;
    await deleteAll((incidents) =>
      incidents.where('at', '<=', oldest).orWhereNull('user_id').orderBy('id')
    );
    const users = await run((knex) =>
      knex(INCIDENT_TABLE)
        .groupBy('user_id')
        .having(knex.raw('count(*) > ?', [MAX_PER_USER]))
        .select('user_id')
    );
    for (const { user_id } of users) {
      await deleteAll((incidents) =>
        incidents.where({ user_id }).orderBy('id', 'desc').offset(MAX_PER_USER)
      );
    }
  });
}
