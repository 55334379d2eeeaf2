import { useRef } from 'react';
import type { ReactNode, RefObject } from 'react';
import { Box, Button, Flex } from '@strapi/design-system';
import type { Position } from './api';
import { useTexts } from './texts';
import type { Loaded } from './use-loaded';

interface PagedProps {
  loaded: Loaded<{ newer: number | null; older: number | null }>;
  title: string;
  /** Names the buttons' group. */
  label: string;
  onTurn: (position: Position) => void;
  region?: RefObject<HTMLDivElement>;
  children: ReactNode;
}

/** A list with buttons to its neighboring pages. It stays while its content changes, so the focus has a place. */
export function Paged({ loaded, title, label, onTurn, region, children }: PagedProps) {
  const { t } = useTexts();
  const own = useRef<HTMLDivElement>(null);
  const box = region ?? own;
  const { newer, older } = loaded.data ?? { newer: null, older: null };
  const turn = (position: Position) => {
    // The button may be disabled on the next page. The top of the list is also where people continue reading.
    box.current?.focus();
    onTurn(position);
  };

  return (
    <Box ref={box} tabIndex={-1} role="group" aria-label={title} aria-busy={loaded.isLoading}>
      <Flex direction="column" alignItems="stretch" gap={4}>
        {children}
        {newer === null && older === null ? null : (
          <Flex tag="nav" aria-label={label} justifyContent="flex-end" gap={2}>
            <Button
              variant="tertiary"
              disabled={newer === null}
              onClick={() => turn({ after: String(newer) })}
            >
              {t('list.newer')}
            </Button>
            <Button
              variant="tertiary"
              disabled={older === null}
              onClick={() => turn({ before: String(older) })}
            >
              {t('list.older')}
            </Button>
          </Flex>
        )}
      </Flex>
    </Box>
  );
}
