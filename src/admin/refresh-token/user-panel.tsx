import { useRef } from 'react';
import { Box, Divider, Flex, Link, Typography } from '@strapi/design-system';
import { useRBAC } from '@strapi/strapi/admin';
import { NavLink } from 'react-router-dom';
import { PERMISSIONS } from './api';
import type { Session } from './api';
import { EndOne, EndUser } from './end-buttons';
import { BREAKABLE, Device, Time, transportName, USER_MODEL, userName, WithData } from './parts';
import { useTexts } from './texts';
import { useSessions } from './use-sessions';

interface PanelProps {
  model: string;
  /** Missing while the user is being created. */
  document?: { id?: number | string };
}

/** The panel next to a user, for admins who may read sessions. Strapi renders it like a component, so it may use hooks. */
export function userPanel({ model, document }: PanelProps) {
  const { allowedActions } = useRBAC(PERMISSIONS);
  const { t } = useTexts();
  const id = document?.id;
  if (model !== USER_MODEL || !id || !allowedActions['canRead']) return null;
  return {
    title: t('title'),
    content: <UserSessions key={id} user={String(id)} canEnd={allowedActions['canEnd'] ?? false} />,
  };
}

function UserSessions({ user, canEnd }: { user: string; canEnd: boolean }) {
  const texts = useTexts();
  const { t } = texts;
  const { list, endOne, endMany } = useSessions({ user });
  const panel = useRef<HTMLDivElement>(null);

  /** The element that had the focus is gone. */
  const focusNext = () => (panel.current?.querySelector('button') ?? panel.current)?.focus();

  return (
    <Box ref={panel} tabIndex={-1} width="100%" aria-busy={list.isLoading}>
      <WithData loaded={list} loading={t('panel.loading')}>
        {({ sessions, older }) => (
          <Flex direction="column" alignItems="stretch" gap={3}>
            {sessions.length === 0 ? (
              <Typography textColor="neutral600">{t('panel.empty')}</Typography>
            ) : (
              <Items sessions={sessions} onEnd={canEnd ? endOne : undefined} onEnded={focusNext} />
            )}
            {older === null ? null : <AllLink user={user} />}
            {canEnd && sessions.length > 1 ? (
              <EndUser
                user={userName(sessions[0]?.user ?? null, texts)}
                fullWidth
                onEnd={() => endMany({ user })}
                onEnded={focusNext}
              />
            ) : null}
          </Flex>
        )}
      </WithData>
    </Box>
  );
}

interface ItemsProps {
  sessions: Session[];
  onEnd: ((session: Session) => Promise<boolean>) | undefined;
  onEnded: () => void;
}

function Items({ sessions, onEnd, onEnded }: ItemsProps) {
  const texts = useTexts();
  return (
    <Flex tag="ul" direction="column" alignItems="stretch" gap={3}>
      {sessions.map((session, index) => (
        <Box tag="li" key={session.id}>
          {index > 0 ? <Divider marginBottom={3} /> : null}
          <Flex justifyContent="space-between" alignItems="flex-start" gap={2}>
            <Device client={session} detail={transportName(session, texts)} />
            {onEnd ? <EndOne session={session} onEnd={onEnd} onEnded={onEnded} /> : null}
          </Flex>
          <Details session={session} />
        </Box>
      ))}
    </Flex>
  );
}

function Details({ session }: { session: Session }) {
  const { t } = useTexts();
  return (
    <Typography tag="div" variant="pi" textColor="neutral600">
      <p style={BREAKABLE}>{session.ip ?? t('address.unknown')}</p>
      <p>
        {t('panel.lastActivity')} <Time at={session.lastActivity} isPast variant="pi" />
      </p>
      <p>
        {t('panel.ends')} <Time at={session.expiresAt} variant="pi" />
      </p>
    </Typography>
  );
}

function AllLink({ user }: { user: string }) {
  const { t } = useTexts();
  return (
    <Link tag={NavLink} to={`/settings/users-permissions/sessions?user=${user}`}>
      {t('panel.all')}
    </Link>
  );
}
