import { useId } from 'react';
import type { ReactNode } from 'react';
import { Box, Flex, Typography } from '@strapi/design-system';

interface SectionProps {
  title: string;
  subtitle: string;
  children: ReactNode;
}

/** A part of the page below its main table. */
export function Section({ title, subtitle, children }: SectionProps) {
  const id = useId();
  return (
    <Flex tag="section" aria-labelledby={id} direction="column" alignItems="stretch" gap={4}>
      <Box>
        <Typography id={id} variant="beta" tag="h2">
          {title}
        </Typography>
        <Typography tag="p" textColor="neutral600">
          {subtitle}
        </Typography>
      </Box>
      {children}
    </Flex>
  );
}

export function Card({ children }: { children: ReactNode }) {
  return (
    <Box
      background="neutral0"
      borderColor="neutral150"
      hasRadius
      shadow="tableShadow"
      paddingTop={2}
      paddingBottom={2}
      paddingLeft={6}
      paddingRight={6}
    >
      {children}
    </Box>
  );
}
