import { useEffect, useRef } from 'react';
import { EmptyStateLayout, Flex, useNotifyAT } from '@strapi/design-system';
import { Layouts, Page, useRBAC } from '@strapi/strapi/admin';
import { useSearchParams } from 'react-router-dom';
import { PERMISSIONS, READ, useSessionsApi } from './api';
import type { Session, SessionFilter, SessionList, SessionUser } from './api';
import { Configuration } from './configuration';
import { EndAll, EndUser } from './end-buttons';
import { Search, UserFilter } from './filters';
import { Incidents } from './incidents';
import { Paged } from './paged';
import { userName, WithData } from './parts';
import { SessionsTable } from './sessions-table';
import { useTexts } from './texts';
import type { Key } from './translations';
import { useLoaded } from './use-loaded';
import type { Loaded } from './use-loaded';
import { useSessions } from './use-sessions';
import type { Sessions } from './use-sessions';

const FILTERS = ['user', 'search', 'before', 'after'] as const;

/** The URL says what the page shows, so that the back button and links to one user work. */
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
  const name = useFilteredName(filter, list);
  useAnnouncement(list);
  useFullPage(list, filter, setFilter);

  return (
    <Page.Main>
      <Page.Title>{t('title')}</Page.Title>
      <Layouts.Header
        title={t('title')}
        subtitle={count.data === null ? t('subtitle') : plural('subtitle.count', count.data)}
        primaryAction={
          canEnd ? (
            <EndMany filter={filter} name={name} active={count.data} endMany={endMany} />
          ) : null
        }
      />
      <Layouts.Action
        startActions={
          <>
            <Search filter={filter} onChange={setFilter} />
            {filter.user ? <UserFilter name={name} onClear={() => setFilter({})} /> : null}
          </>
        }
      />
      <Layouts.Content>
        <Flex direction="column" alignItems="stretch" gap={8}>
          <List
            list={list}
            filter={filter}
            onChange={setFilter}
            onEnd={canEnd ? endOne : undefined}
          />
          <Incidents key={filter.user} user={filter.user} />
          <Configuration />
        </Flex>
      </Layouts.Content>
    </Page.Main>
  );
}

interface EndManyProps {
  filter: SessionFilter;
  name: string;
  active: number | null;
  endMany: Sessions['endMany'];
}

/** Ends the sessions that the page is about: one user's, or everyone's. A search only narrows the table. */
function EndMany({ filter: { user }, name, active, endMany }: EndManyProps) {
  if (!user) return <EndAll active={active} onEnd={() => endMany({ everyone: true })} />;
  return <EndUser user={name} isNamed onEnd={() => endMany({ user })} />;
}

/** The name of the one user whose sessions are shown, even after the last one has ended. */
function useFilteredName({ user }: SessionFilter, { data }: Loaded<SessionList>): string {
  const texts = useTexts();
  const known = useRef<SessionUser | null>(null);
  const shown = data?.sessions[0]?.user ?? known.current;
  known.current = shown && String(shown.id) === user ? shown : null;
  return known.current ? userName(known.current, texts) : `#${user}`;
}

/** Tells screen readers what a search or a page change has found. */
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

const emptyText = ({ search, user }: SessionFilter): Key => {
  if (search) return 'list.noMatch';
  return user ? 'panel.empty' : 'list.empty';
};

interface ListProps {
  list: Loaded<SessionList>;
  filter: SessionFilter;
  onChange: (filter: SessionFilter) => void;
  onEnd: ((session: Session) => Promise<boolean>) | undefined;
}

function List({ list, filter, onChange, onEnd }: ListProps) {
  const { t } = useTexts();
  const region = useRef<HTMLDivElement>(null);
  const { before: _before, after: _after, ...kept } = filter;
  return (
    <Paged
      region={region}
      loaded={list}
      title={t('title')}
      label={t('list.pages')}
      onTurn={(position) => onChange({ ...kept, ...position })}
    >
      <WithData loaded={list} loading={t('list.loading')}>
        {({ sessions }) =>
          sessions.length > 0 ? (
            <SessionsTable sessions={sessions} region={region} onEnd={onEnd} />
          ) : (
            <EmptyStateLayout
              // The last session on a page has just ended, and there may be others on other pages.
              content={t(list.isLoading ? 'list.loading' : emptyText(filter))}
              hasRadius
              shadow="tableShadow"
            />
          )
        }
      </WithData>
    </Paged>
  );
}

export default function ProtectedSessionsPage() {
  return (
    <Page.Protect permissions={[READ]}>
      <SessionsPage />
    </Page.Protect>
  );
}
