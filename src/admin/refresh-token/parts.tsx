import { Fragment } from 'react';
import type { ReactNode } from 'react';
import { Box, Button, Flex, Link, Loader, Typography } from '@strapi/design-system';
import type { TypographyProps } from '@strapi/design-system';
import { NavLink } from 'react-router-dom';
import { statusOf } from './api';
import type { Session, SessionUser } from './api';
import { parseUserAgent } from './device';
import { useTexts } from './texts';
import type { Texts } from './texts';
import type { Loaded } from './use-loaded';

export const USER_MODEL = 'plugin::users-permissions.user';

export const userName = (user: SessionUser | null, { t }: Texts): string =>
  user ? (user.username ?? user.email ?? `#${user.id}`) : t('user.deleted');

const LONGEST_NAME = 60;

interface Client {
  description?: string | null;
  userAgent: string | null;
  ip: string | null;
}

/** What people call the device, by the client's own description or its User-Agent header. Both can be of any length. */
export function deviceName({ description, userAgent }: Client, texts: Texts): string {
  const name = description || productName(userAgent, texts) || texts.t('device.unknown');
  return name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name;
}

function productName(userAgent: string | null, { t }: Texts): string {
  const { app, system } = parseUserAgent(userAgent ?? '');
  if (app && system) return t('device.named', { app, system });
  return app ?? system ?? userAgent ?? '';
}

/** Names, addresses and User-Agent headers can be long and have no spaces. */
export const BREAKABLE = { overflowWrap: 'anywhere' } as const;

export function UserLink({ user }: { user: SessionUser | null }) {
  const texts = useTexts();
  if (!user) return <Typography textColor="neutral600">{texts.t('user.deleted')}</Typography>;
  return (
    <Box style={BREAKABLE} maxWidth="20rem">
      <Link tag={NavLink} to={`/content-manager/collection-types/${USER_MODEL}/${user.documentId}`}>
        {userName(user, texts)}
      </Link>
    </Box>
  );
}

export function Device({ client, detail }: { client: Client; detail?: string | undefined }) {
  const texts = useTexts();
  const product = client.description ? productName(client.userAgent, texts) : '';
  const details = [product, detail].filter(Boolean).join(' · ');
  return (
    <Box style={BREAKABLE} maxWidth="20rem">
      <Typography
        tag="p"
        textColor="neutral800"
        title={[client.description, client.userAgent].filter(Boolean).join('\n') || undefined}
      >
        {deviceName(client, texts)}
      </Typography>
      {details ? (
        <Typography tag="p" variant="pi" textColor="neutral600">
          {details}
        </Typography>
      ) : null}
    </Box>
  );
}

/** An IPv6 address wraps between the groups that people read it in. */
export function Address({ ip }: { ip: string | null }) {
  const { t } = useTexts();
  if (!ip) return <Typography textColor="neutral600">{t('address.unknown')}</Typography>;
  return (
    <Typography tag="p" textColor="neutral800" style={BREAKABLE} maxWidth="16rem">
      {ip.split(/(?<=:)/).map((group, index) => (
        <Fragment key={index}>
          {group}
          <wbr />
        </Fragment>
      ))}
    </Typography>
  );
}

interface TimeProps extends Pick<TypographyProps, 'variant' | 'textColor'> {
  at: string;
  isPast?: boolean;
}

/** How long ago, or how far ahead. A clock that differs from the server's never puts activity into the future. */
export function Time({ at, isPast = false, ...typography }: TimeProps) {
  const { absolute, relative } = useTexts();
  const shown = isPast && Date.parse(at) > Date.now() ? new Date().toISOString() : at;
  return (
    <Typography tag="time" dateTime={at} title={absolute(at)} {...typography}>
      {relative(shown)}
    </Typography>
  );
}

export const transportName = (session: Session, { t }: Texts): string =>
  t(session.transport === 'cookie' ? 'transport.cookie' : 'transport.body');

/** The design system keeps each cell on one line, which needs more than 1,024 pixels. */
export const WRAPPING = { whiteSpace: 'normal' } as const;

interface WithDataProps<T> {
  loaded: Loaded<T>;
  loading: string;
  children: (data: T) => ReactNode;
}

/** The data, or its state: loading, failed, or forbidden. */
export function WithData<T>({ loaded, loading, children }: WithDataProps<T>) {
  if (loaded.error) return <LoadError error={loaded.error} onRetry={loaded.reload} />;
  if (loaded.data === null) {
    return (
      <Flex justifyContent="center" padding={6}>
        <Loader small>{loading}</Loader>
      </Flex>
    );
  }
  return <>{children(loaded.data)}</>;
}

function LoadError({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  const { t } = useTexts();
  const isForbidden = statusOf(error) === 403;
  return (
    <Flex role="alert" direction="column" gap={3} padding={6}>
      <Typography textColor="neutral800">
        {t(isForbidden ? 'error.forbidden' : 'error.load')}
      </Typography>
      <Button variant="secondary" size="S" onClick={onRetry}>
        {t('error.retry')}
      </Button>
    </Flex>
  );
}
