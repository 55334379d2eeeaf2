/** Milliseconds. */
export const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Ten years, the longest duration that is accepted. */
export const LONGEST = 3650 * UNITS.d;

/**
 * Reads a duration. Digits alone are seconds, never milliseconds (jsonwebtoken reads the string '120' as milliseconds).
 *
 * @param text such as `360s`, `15m`, `12h`, `2d`, `360`
 * @returns milliseconds, or null if it is not a duration between 0 and ten years
 */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,12})([smhd]?)$/.exec(text);
  if (!match) return null;
  const duration = Number(match[1]) * UNITS[(match[2] || 's') as keyof typeof UNITS];
  return duration <= LONGEST ? duration : null;
}

/** @returns milliseconds as the shortest text that `parseDuration` reads back, for the boot log. */
export function formatDuration(duration: number): string {
  const unit = (['d', 'h', 'm'] as const).find((u) => duration > 0 && duration % UNITS[u] === 0);
  return `${duration / UNITS[unit ?? 's']}${unit ?? 's'}`;
}
