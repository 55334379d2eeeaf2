import { useState } from 'react';
import { Table, Tbody, Td, Thead, Tr, Typography } from '@strapi/design-system';
import { useSessionsApi } from './api';
import type { Incident, Position } from './api';
import { HeadRow } from './head-row';
import { Paged } from './paged';
import { Device, Time, UserLink, WithData, WRAPPING } from './parts';
import { Card, Section } from './section';
import { useTexts } from './texts';
import type { Key } from './translations';
import { useLoaded } from './use-loaded';

const COLUMNS: Key[] = ['column.when', 'column.user', 'column.session', 'column.request'];

/** Refresh tokens that were used twice, the latest first: of one user, or of all. */
export function Incidents({ user }: { user: string | undefined }) {
  const { t } = useTexts();
  const api = useSessionsApi();
  const [position, setPosition] = useState<Position>({});
  const params = { ...(user && { user }), ...position };
  const loaded = useLoaded((signal) => api.incidents(params, signal), JSON.stringify(params));

  return (
    <Section title={t('incidents.title')} subtitle={t('incidents.subtitle')}>
      <Paged
        loaded={loaded}
        title={t('incidents.title')}
        label={t('incidents.pages')}
        onTurn={setPosition}
      >
        <WithData loaded={loaded} loading={t('incidents.loading')}>
          {({ incidents }) =>
            incidents.length > 0 ? <IncidentsTable incidents={incidents} /> : <NoIncidents />
          }
        </WithData>
      </Paged>
    </Section>
  );
}

function NoIncidents() {
  const { t } = useTexts();
  return (
    <Card>
      <Typography tag="p" textColor="neutral600" paddingTop={2} paddingBottom={2}>
        {t('incidents.empty')}
      </Typography>
    </Card>
  );
}

function IncidentsTable({ incidents }: { incidents: Incident[] }) {
  const { t } = useTexts();
  return (
    <Table
      colCount={COLUMNS.length}
      rowCount={incidents.length + 1}
      style={WRAPPING}
      aria-label={t('incidents.title')}
    >
      <Thead>
        <HeadRow columns={COLUMNS} />
      </Thead>
      <Tbody>
        {incidents.map(({ id, at, user, session, request }) => (
          <Tr key={id}>
            <Td>
              <Time at={at} isPast />
            </Td>
            <Td>
              <UserLink user={user} />
            </Td>
            <Td>
              <Device client={session} detail={session.ip ?? t('address.unknown')} />
            </Td>
            <Td>
              <Device client={request} detail={request.ip ?? t('address.unknown')} />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
