import { Box, Divider, Flex, Grid, Typography } from '@strapi/design-system';
import { useSessionsApi } from './api';
import { BREAKABLE, WithData } from './parts';
import { Card, Section } from './section';
import { useTexts } from './texts';
import { useLoaded } from './use-loaded';
import type { Overview } from './api';

/** The settings in effect, and what the server warns about. */
export function Configuration() {
  const { t } = useTexts();
  const api = useSessionsApi();
  const loaded = useLoaded(api.overview);
  return (
    <Section title={t('settings.title')} subtitle={t('settings.subtitle')}>
      <WithData loaded={loaded} loading={t('settings.loading')}>
        {({ settings, warnings }) => (
          <Flex direction="column" alignItems="stretch" gap={4}>
            {warnings.length > 0 ? <Warnings warnings={warnings} /> : null}
            <Card>
              <Settings settings={settings} />
            </Card>
          </Flex>
        )}
      </WithData>
    </Section>
  );
}

function Warnings({ warnings }: Pick<Overview, 'warnings'>) {
  const { t } = useTexts();
  return (
    <Box background="warning100" borderColor="warning200" hasRadius padding={4}>
      <Typography tag="h3" fontWeight="bold" textColor="neutral800">
        {t('settings.warnings')}
      </Typography>
      <Box tag="ul" paddingTop={1}>
        {warnings.map((warning) => (
          <Typography key={warning} tag="li" textColor="neutral800" lang="en">
            {warning}
          </Typography>
        ))}
      </Box>
    </Box>
  );
}

function Settings({ settings }: Pick<Overview, 'settings'>) {
  return (
    <Box tag="dl">
      {settings.map(({ name, value, description }, index) => (
        <Box key={name}>
          {index > 0 ? <Divider /> : null}
          <Grid.Root gap={4} paddingTop={3} paddingBottom={3}>
            <Grid.Item col={4} s={12} direction="column" alignItems="flex-start">
              <Typography tag="dt" fontWeight="bold" textColor="neutral800">
                {name}
              </Typography>
            </Grid.Item>
            <Grid.Item col={3} s={12} direction="column" alignItems="flex-start">
              <Typography tag="dd" textColor="neutral800" style={BREAKABLE}>
                {value}
              </Typography>
            </Grid.Item>
            <Grid.Item col={5} s={12} direction="column" alignItems="flex-start">
              <Typography tag="dd" textColor="neutral600" lang="en">
                {description}
              </Typography>
            </Grid.Item>
          </Grid.Root>
        </Box>
      ))}
    </Box>
  );
}
