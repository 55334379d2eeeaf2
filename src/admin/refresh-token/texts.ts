import { useMemo } from 'react';
import { translations } from './translations';
import type { Key, PluralKey } from './translations';

type Values = Record<string, string | number>;

const UNITS: [Intl.RelativeTimeFormatUnit, milliseconds: number, below: number][] = [
  ['second', 1_000, 60],
  ['minute', 60_000, 60],
  ['hour', 3_600_000, 24],
  ['day', 86_400_000, 60],
  ['month', 2_629_800_000, 24],
  ['year', 31_557_600_000, Infinity],
];

/** Texts, numbers and times in one language. Where a language has no text, it is in English. */
export function createTexts(locale: string) {
  const texts = translations[locale] ?? translations[locale.split('-')[0] ?? ''];
  const absoluteFormat = new Intl.DateTimeFormat(locale, {
    dateStyle: 'medium',
    timeStyle: 'medium',
  });
  const relativeFormat = new Intl.RelativeTimeFormat(locale, { numeric: 'always' });
  const plurals = new Intl.PluralRules(locale);

  const write = (value: string | number | undefined) =>
    typeof value === 'number' ? value.toLocaleString(locale) : (value ?? '');
  const t = (key: Key, values: Values = {}): string =>
    (texts?.[key] ?? translations.en[key]).replace(/\{(\w+)\}/g, (_, name) => write(values[name]));

  return {
    locale,
    t,
    /** The text for a number of things. The number itself is `{count}`. */
    plural(key: PluralKey, count: number, values: Values = {}): string {
      const form = plurals.select(count) === 'one' ? 'one' : 'other';
      return t(`${key}.${form}`, { ...values, count });
    },
    absolute: (at: string): string => absoluteFormat.format(new Date(at)),
    relative(at: string, now = Date.now()): string {
      const difference = Date.parse(at) - now;
      const [unit, size] = UNITS.find(
        ([, milliseconds, below]) => Math.round(Math.abs(difference) / milliseconds) < below
      )!;
      const count = Math.round(difference / size);
      // Seconds count only where a session is about to end.
      if (unit === 'second' && count <= 0) return t('time.now');
      return relativeFormat.format(count, unit);
    },
  };
}

export type Texts = ReturnType<typeof createTexts>;

/** The language of the admin panel. Strapi exports no hook for it, but keeps it in the page's `lang`. */
function currentLocale(): string {
  try {
    return new Intl.Locale(document.documentElement.lang).toString();
  } catch {
    return 'en';
  }
}

export const currentTexts = (): Texts => createTexts(currentLocale());

export function useTexts(): Texts {
  const locale = currentLocale();
  return useMemo(() => createTexts(locale), [locale]);
}
