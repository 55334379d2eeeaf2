import { Button } from '@strapi/design-system';
import type { Session } from './api';
import { Confirm } from './confirm';
import { deviceName, userName } from './parts';
import { useTexts } from './texts';

/** From this number of sessions on, ending everyone's requires typing a word. */
const MANY = 100;

interface EndOneProps {
  session: Session;
  onEnd: (session: Session) => Promise<boolean>;
  onEnded: () => void;
}

export function EndOne({ session, onEnd, onEnded }: EndOneProps) {
  const texts = useTexts();
  const { t } = texts;
  const names = { user: userName(session.user, texts), device: deviceName(session, texts) };
  return (
    <Confirm
      title={t('end.title')}
      body={t('end.body', names)}
      action={t('end.confirm')}
      onConfirm={() => onEnd(session)}
      onDone={onEnded}
    >
      <Button variant="danger-light" size="S" aria-label={t('end.label', names)}>
        {t('end.action')}
      </Button>
    </Confirm>
  );
}

interface EndUserProps {
  user: string;
  /** Whether the button has to say whose sessions it ends. */
  isNamed?: boolean;
  fullWidth?: boolean;
  onEnd: () => Promise<boolean>;
  onEnded?: () => void;
}

export function EndUser({
  user,
  isNamed = false,
  fullWidth = false,
  onEnd,
  onEnded,
}: EndUserProps) {
  const { t } = useTexts();
  return (
    <Confirm
      title={t('endUser.title', { user })}
      body={t('endUser.body', { user })}
      action={t('endUser.action')}
      onConfirm={onEnd}
      {...(onEnded && { onDone: onEnded })}
    >
      <Button variant="danger-light" size="S" fullWidth={fullWidth}>
        {t(isNamed ? 'endUser.named' : 'endUser.action', { user })}
      </Button>
    </Confirm>
  );
}

export function EndAll({
  active,
  onEnd,
}: {
  active: number | null;
  onEnd: () => Promise<boolean>;
}) {
  const { t, plural } = useTexts();
  return (
    <Confirm
      title={t('endAll.title')}
      body={active === null ? t('endAll.body') : plural('endAll.body.count', active)}
      action={t('endAll.action')}
      word={active === null || active > MANY ? t('endAll.word') : undefined}
      onConfirm={onEnd}
    >
      <Button variant="danger" disabled={active === 0}>
        {t('endAll.action')}
      </Button>
    </Confirm>
  );
}
