import { useId } from 'react';
import type { ReactNode } from 'react';
import { Box, Flex, Typography } from '@strapi/design-system';

interface SectionProps {
  title: string;
  subtitle: string;
  children: ReactNode;
}

export function Section({ title, subtitle, children }: SectionProps) {
  const id = useId();
  return (
    <Box
      tag="section"
      aria-labelledby={id}
      background="neutral0"
      hasRadius
      shadow="tableShadow"
      padding={6}
    >
      <Flex direction="column" alignItems="stretch" gap={4}>
        <Box>
          <Typography id={id} variant="delta" tag="h2">
            {title}
          </Typography>
          <Typography tag="p" textColor="neutral600">
            {subtitle}
          </Typography>
        </Box>
        {children}
      </Flex>
    </Box>
  );
}
