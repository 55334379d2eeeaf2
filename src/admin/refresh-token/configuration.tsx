import { Box, Flex, Table, Tbody, Td, Thead, Tr, Typography } from '@strapi/design-system';
import { useSessionsApi } from './api';
import type { Overview } from './api';
import { HeadRow } from './head-row';
import { BREAKABLE, WithData, WRAPPING } from './parts';
import { Section } from './section';
import { useTexts } from './texts';
import type { Key } from './translations';
import { useLoaded } from './use-loaded';

const COLUMNS: Key[] = ['column.variable', 'column.value', 'column.meaning'];

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
            <Settings settings={settings} />
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
  const { t } = useTexts();
  return (
    <Table
      colCount={COLUMNS.length}
      rowCount={settings.length + 1}
      style={WRAPPING}
      aria-label={t('settings.title')}
    >
      <Thead>
        <HeadRow columns={COLUMNS} />
      </Thead>
      <Tbody>
        {settings.map(({ name, value, description }) => (
          <Tr key={name}>
            <Td>
              <Typography fontWeight="semiBold" style={BREAKABLE}>
                {name}
              </Typography>
            </Td>
            <Td>
              <Typography style={BREAKABLE}>{value}</Typography>
            </Td>
            <Td>
              <Typography textColor="neutral600" lang="en">
                {description}
              </Typography>
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
