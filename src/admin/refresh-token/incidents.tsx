import { useState } from 'react';
import { Flex, Table, Tbody, Td, Th, Thead, Tr, Typography } from '@strapi/design-system';
import { useSessionsApi } from './api';
import type { Incident, Position } from './api';
import { Device, Pages, Time, UserLink, WithData, WRAPPING } from './parts';
import { Section } from './section';
import { useTexts } from './texts';
import type { Key } from './translations';
import { useLoaded } from './use-loaded';

const COLUMNS: Key[] = ['column.when', 'column.user', 'column.session', 'column.request'];

/** Refresh tokens that were used twice, the latest first. */
export function Incidents() {
  const { t } = useTexts();
  const api = useSessionsApi();
  const [position, setPosition] = useState<Position>({});
  const loaded = useLoaded((signal) => api.incidents(position, signal), JSON.stringify(position));

  return (
    <Section title={t('incidents.title')} subtitle={t('incidents.subtitle')}>
      <WithData loaded={loaded} loading={t('incidents.loading')}>
        {({ incidents, newer, older }) =>
          incidents.length === 0 ? (
            <Typography textColor="neutral600">{t('incidents.empty')}</Typography>
          ) : (
            <Flex direction="column" alignItems="stretch" gap={4}>
              <IncidentsTable incidents={incidents} />
              <Pages
                label={t('incidents.pages')}
                newer={newer}
                older={older}
                onNewer={(cursor) => setPosition({ after: String(cursor) })}
                onOlder={(cursor) => setPosition({ before: String(cursor) })}
              />
            </Flex>
          )
        }
      </WithData>
    </Section>
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
        <Tr>
          {COLUMNS.map((key) => (
            <Th key={key}>
              <Typography variant="sigma" textColor="neutral600">
                {t(key)}
              </Typography>
            </Th>
          ))}
        </Tr>
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
