import type { RefObject } from 'react';
import { Table, Tbody, Td, Th, Thead, Tr, VisuallyHidden } from '@strapi/design-system';
import type { Session } from './api';
import { EndOne } from './end-buttons';
import { HeadRow } from './head-row';
import { Address, Device, Time, transportName, UserLink, WRAPPING } from './parts';
import { useTexts } from './texts';
import type { Key } from './translations';

const COLUMNS: Key[] = [
  'column.user',
  'column.device',
  'column.address',
  'column.signedIn',
  'column.lastActivity',
  'column.ends',
];

interface SessionsTableProps {
  sessions: Session[];
  /** Takes the focus when the last row has gone. */
  region: RefObject<HTMLElement>;
  /** Undefined for admins who may only view sessions. */
  onEnd: ((session: Session) => Promise<boolean>) | undefined;
}

export function SessionsTable({ sessions, region, onEnd }: SessionsTableProps) {
  const { t } = useTexts();

  /** The row that had the focus is gone, so the next one takes it. */
  const focusRow = (index: number) => {
    const buttons = [...(region.current?.querySelectorAll('tbody button') ?? [])] as HTMLElement[];
    (buttons[Math.min(index, buttons.length - 1)] ?? region.current)?.focus();
  };

  return (
    <Table
      colCount={COLUMNS.length + (onEnd ? 1 : 0)}
      rowCount={sessions.length + 1}
      style={WRAPPING}
      aria-label={t('title')}
    >
      <Thead>
        <HeadRow columns={COLUMNS}>
          {onEnd ? (
            <Th>
              <VisuallyHidden>{t('column.actions')}</VisuallyHidden>
            </Th>
          ) : null}
        </HeadRow>
      </Thead>
      <Tbody>
        {sessions.map((session, index) => (
          <Row key={session.id} session={session} onEnd={onEnd} onEnded={() => focusRow(index)} />
        ))}
      </Tbody>
    </Table>
  );
}

interface RowProps {
  session: Session;
  onEnd: SessionsTableProps['onEnd'];
  onEnded: () => void;
}

/** Strapi's table numbers its rows and hands each its number, so the props have to reach the `Tr`. */
function Row({ session, onEnd, onEnded, ...row }: RowProps) {
  const texts = useTexts();
  return (
    <Tr {...row}>
      <Td>
        <UserLink user={session.user} />
      </Td>
      <Td>
        <Device client={session} detail={transportName(session, texts)} />
      </Td>
      <Td>
        <Address ip={session.ip} />
      </Td>
      <Td>
        <Time at={session.createdAt} isPast />
      </Td>
      <Td>
        <Time at={session.lastActivity} isPast />
      </Td>
      <Td>
        <Time at={session.expiresAt} />
      </Td>
      {onEnd ? (
        <Td>
          <EndOne session={session} onEnd={onEnd} onEnded={onEnded} />
        </Td>
      ) : null}
    </Tr>
  );
}
