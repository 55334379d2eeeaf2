import type { ReactNode } from 'react';
import { Th, Tr, Typography } from '@strapi/design-system';
import { useTexts } from './texts';
import type { Key } from './translations';

interface HeadRowProps {
  columns: Key[];
  /** Another cell at the end. */
  children?: ReactNode;
}

/** The names of a table's columns. As for all rows, the props that Strapi's table adds have to reach the `Tr`. */
export function HeadRow({ columns, children, ...row }: HeadRowProps) {
  const { t } = useTexts();
  return (
    <Tr {...row}>
      {columns.map((key) => (
        <Th key={key}>
          <Typography variant="sigma" textColor="neutral600">
            {t(key)}
          </Typography>
        </Th>
      ))}
      {children}
    </Tr>
  );
}
