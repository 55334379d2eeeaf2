import { useEffect } from 'react';
import { EmptyStateLayout, Flex, useNotifyAT } from '@strapi/design-system';
import { Layouts, Page, useRBAC } from '@strapi/strapi/admin';
import { useSearchParams } from 'react-router-dom';
import { PERMISSIONS, READ, useSessionsApi } from './api';
import type { Session, SessionFilter, SessionList } from './api';
import { Configuration } from './configuration';
import { EndAll } from './end-buttons';
import { Search, UserFilter } from './filters';
import { Incidents } from './incidents';
import { Pages, WithData } from './parts';
import { SessionsTable } from './sessions-table';
import { useTexts } from './texts';
import { useLoaded } from './use-loaded';
import type { Loaded } from './use-loaded';
import { useSessions } from './use-sessions';

const FILTERS = ['user', 'search', 'before', 'after'] as const;

/** What the page shows is in its address, so that the back button and a link to one user work. */
function useFilter(): [SessionFilter, (filter: SessionFilter) => void] {
  const [query, setQuery] = useSearchParams();
  const filter = Object.fromEntries(
    FILTERS.map((name) => [name, query.get(name)]).filter(([, value]) => value)
  ) as SessionFilter;
  return [filter, (next) => setQuery({ ...next })];
}

function SessionsPage() {
  const { t, plural } = useTexts();
  const api = useSessionsApi();
  const { canEnd } = useRBAC(PERMISSIONS).allowedActions;
  const [filter, setFilter] = useFilter();
  const count = useLoaded(api.count);
  const { list, endOne, endMany } = useSessions(filter, count.reload);
  useAnnouncement(list);
  useFullPage(list, filter, setFilter);

  return (
    <Page.Main>
      <Page.Title>{t('title')}</Page.Title>
      <Layouts.Header
        title={t('title')}
        subtitle={count.data === null ? t('subtitle') : plural('subtitle.count', count.data)}
        primaryAction={
          canEnd ? <EndAll living={count.data} onEnd={() => endMany({ everyone: true })} /> : null
        }
      />
      <Layouts.Action
        startActions={
          <>
            <Search filter={filter} onChange={setFilter} />
            <UserFilter
              filter={filter}
              list={list}
              onChange={setFilter}
              onEnd={canEnd ? (user) => endMany({ user }) : undefined}
            />
          </>
        }
      />
      <Layouts.Content>
        <Flex direction="column" alignItems="stretch" gap={8}>
          <Sessions
            list={list}
            filter={filter}
            onChange={setFilter}
            onEnd={canEnd ? endOne : undefined}
          />
          <Incidents />
          <Configuration />
        </Flex>
      </Layouts.Content>
    </Page.Main>
  );
}

/** Tells screen readers what a search or a turn of the page has found. */
function useAnnouncement({ data, isLoading }: Loaded<SessionList>): void {
  const { plural } = useTexts();
  const { notifyStatus } = useNotifyAT();
  const found = isLoading ? undefined : data?.sessions.length;
  useEffect(() => {
    if (found !== undefined) notifyStatus(plural('list.loaded', found));
  }, [found, data, plural, notifyStatus]);
}

/** Returns to the newest page from one that has become empty. */
function useFullPage(
  { data, isLoading }: Loaded<SessionList>,
  { before, after, ...filter }: SessionFilter,
  setFilter: (filter: SessionFilter) => void
): void {
  const isPastTheEnd = !isLoading && data?.sessions.length === 0 && Boolean(before ?? after);
  useEffect(() => {
    if (isPastTheEnd) setFilter(filter);
    // Only when that becomes true: the other values are new in each render.
  }, [isPastTheEnd]);
}

interface SessionsProps {
  list: Loaded<SessionList>;
  filter: SessionFilter;
  onChange: (filter: SessionFilter) => void;
  onEnd: ((session: Session) => Promise<boolean>) | undefined;
}

function Sessions({ list, filter, onChange, onEnd }: SessionsProps) {
  const { t } = useTexts();
  const { before: _before, after: _after, ...kept } = filter;
  return (
    <WithData loaded={list} loading={t('list.loading')}>
      {({ sessions, newer, older }) => (
        <Flex direction="column" alignItems="stretch" gap={4}>
          {sessions.length === 0 ? (
            <EmptyStateLayout
              content={t(filter.search || filter.user ? 'list.noMatch' : 'list.empty')}
              hasRadius
              shadow="tableShadow"
            />
          ) : (
            <SessionsTable sessions={sessions} isLoading={list.isLoading} onEnd={onEnd} />
          )}
          <Pages
            label={t('list.pages')}
            newer={newer}
            older={older}
            onNewer={(cursor) => onChange({ ...kept, after: String(cursor) })}
            onOlder={(cursor) => onChange({ ...kept, before: String(cursor) })}
          />
        </Flex>
      )}
    </WithData>
  );
}

export default function ProtectedSessionsPage() {
  return (
    <Page.Protect permissions={[READ]}>
      <SessionsPage />
    </Page.Protect>
  );
}
