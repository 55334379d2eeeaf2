import { useId, useRef, useState } from 'react';
import type { FormEvent, ReactElement } from 'react';
import { Box, Button, Dialog, Field, Flex } from '@strapi/design-system';
import { useTexts } from './texts';

interface ConfirmProps {
  /** The button that opens the dialog. */
  children: ReactElement;
  title: string;
  body: string;
  action: string;
  /** A word that has to be typed first. */
  word?: string | undefined;
  /** @returns whether it worked; otherwise the dialog stays open */
  onConfirm: () => Promise<boolean>;
  /** Moves the focus after the dialog has closed, where the button that opened it is gone. */
  onDone?: () => void;
}

/** A button that asks before it does something. Strapi's own dialog cannot ask for a word or control where the focus goes. */
export function Confirm({ children, onConfirm, onDone, ...question }: ConfirmProps) {
  const [open, setOpen] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const isDone = useRef(false);
  const isSent = useRef(false);

  const confirm = async () => {
    // The second click of a double click arrives before the button is disabled.
    if (isSent.current) return;
    isSent.current = true;
    setBusy(true);
    isDone.current = await onConfirm();
    isSent.current = false;
    setBusy(false);
    if (isDone.current) setOpen(false);
  };
  const onOpenChange = (next: boolean) => {
    if (isBusy) return;
    isDone.current = false;
    setOpen(next);
  };

  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Trigger>{children}</Dialog.Trigger>
      <Dialog.Content
        // To React, the dialog is inside a table that moves its focus with the arrow keys. Escape has to reach the document,
        // where it closes the dialog.
        onKeyDown={(event) => {
          if (event.key !== 'Escape') event.stopPropagation();
        }}
        onCloseAutoFocus={(event) => {
          if (!isDone.current || !onDone) return;
          event.preventDefault();
          onDone();
        }}
      >
        <Question {...question} isBusy={isBusy} onConfirm={confirm} />
      </Dialog.Content>
    </Dialog.Root>
  );
}

interface QuestionProps {
  title: string;
  body: string;
  action: string;
  word?: string | undefined;
  isBusy: boolean;
  onConfirm: () => Promise<void>;
}

function Question({ title, body, action, word, isBusy, onConfirm }: QuestionProps) {
  const { t } = useTexts();
  const [typed, setTyped] = useState('');
  const form = useId();
  const isConfirmed = word === undefined || typed.trim() === word;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    // In the document, the dialog is outside the page, but React's events still bubble through the page.
    event.stopPropagation();
    if (isConfirmed) void onConfirm();
  };

  return (
    <>
      <Dialog.Header>{title}</Dialog.Header>
      <Dialog.Body alignItems="stretch" gap={4}>
        <Dialog.Description textAlign={word === undefined ? 'center' : 'left'}>
          {body}
        </Dialog.Description>
        <Box tag="form" id={form} onSubmit={submit}>
          {word === undefined ? null : (
            <Field.Root name="confirmation">
              <Field.Label>{t('confirm.type', { word })}</Field.Label>
              <Field.Input
                value={typed}
                autoComplete="off"
                onChange={(event) => setTyped(event.target.value)}
              />
            </Field.Root>
          )}
        </Box>
      </Dialog.Body>
      <Dialog.Footer>
        <Flex flex="1" direction="column" alignItems="stretch">
          <Dialog.Cancel>
            <Button fullWidth variant="tertiary" disabled={isBusy}>
              {t('confirm.cancel')}
            </Button>
          </Dialog.Cancel>
        </Flex>
        <Flex flex="1" direction="column" alignItems="stretch">
          <Button
            fullWidth
            type="submit"
            form={form}
            variant="danger-light"
            loading={isBusy}
            disabled={!isConfirmed}
          >
            {action}
          </Button>
        </Flex>
      </Dialog.Footer>
    </>
  );
}
