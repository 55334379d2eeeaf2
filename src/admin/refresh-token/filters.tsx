import { useEffect, useState } from 'react';
import type { FormEvent } from 'react';
import { Button, Flex, Searchbar, SearchForm, Typography } from '@strapi/design-system';
import type { SessionFilter } from './api';
import { useTexts } from './texts';

interface SearchProps {
  filter: SessionFilter;
  onChange: (filter: SessionFilter) => void;
}

export function Search({ filter: { user, search = '' }, onChange }: SearchProps) {
  const { t } = useTexts();
  const [typed, setTyped] = useState(search);
  // The back button changes it, too.
  useEffect(() => setTyped(search), [search]);

  const find = (text: string) => onChange({ ...(user && { user }), ...(text && { search: text }) });
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    find(typed.trim());
  };
  return (
    <SearchForm onSubmit={onSubmit}>
      <Searchbar
        name="search"
        size="S"
        value={typed}
        maxLength={255}
        onChange={(event) => setTyped(event.target.value)}
        onClear={() => {
          setTyped('');
          find('');
        }}
        placeholder={t('search.placeholder')}
        clearLabel={t('search.clear')}
      >
        {t('search.label')}
      </Searchbar>
    </SearchForm>
  );
}

interface UserFilterProps {
  name: string;
  onClear: () => void;
}

/** For admins who come from the panel of one user. */
export function UserFilter({ name, onClear }: UserFilterProps) {
  const { t } = useTexts();
  return (
    <Flex gap={2}>
      <Typography textColor="neutral800">{t('filter.user', { user: name })}</Typography>
      <Button variant="tertiary" size="S" onClick={onClear}>
        {t('filter.clear')}
      </Button>
    </Flex>
  );
}
