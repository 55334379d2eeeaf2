import { refreshOutcome } from '../../src/extensions/users-permissions/sessions/refresh-outcome';
import type { RefreshOutcome } from '../../src/extensions/users-permissions/sessions/refresh-outcome';
import type { Session, SessionUser } from '../../src/extensions/users-permissions/types';

const NOW = Date.UTC(2030, 0, 1);
const SECOND = 1_000;
const DAY = 86_400 * SECOND;
const GRACE = 10 * SECOND;

const rowOf = (changes: Partial<Session> = {}): Session => ({
  sid: '0123456789abcdef0123456789abcdef',
  userId: 1,
  generation: 9,
  parent: 5,
  acknowledged: false,
  transport: 'cookie',
  deviceId: null,
  description: null,
  userAgent: null,
  ip: null,
  openedAt: NOW - 20 * DAY,
  rotatedAt: NOW - DAY,
  expiresAt: NOW + DAY,
  endsAt: NOW + 10 * DAY,
  persistent: true,
  idleTtl: null,
  accessTtl: null,
  ...changes,
});

const userOf = (changes: Partial<SessionUser> = {}): SessionUser => ({
  id: 1,
  blocked: false,
  confirmed: true,
  ...changes,
});

/** Everything that a decision depends on, each circumstance with a name. */
const CIRCUMSTANCES = {
  row: { absent: null, live: NOW + 1, 'at its end': NOW, 'past its end': NOW - 1 },
  user: {
    deleted: null,
    blocked: userOf({ blocked: true }),
    unconfirmed: userOf({ confirmed: false }),
    fine: userOf(),
  },
  token: { ahead: 12, newest: 9, between: 7, parent: 5, older: 3 },
  age: {
    negative: -5 * SECOND,
    none: 0,
    'just within grace': GRACE - 1,
    'exactly grace': GRACE,
    'long after': DAY,
  },
  acknowledged: { yes: true, no: false },
  grace: { off: 0, on: GRACE },
} as const;

type Circumstances = typeof CIRCUMSTANCES;
type Case = { [K in keyof Circumstances]: keyof Circumstances[K] };
type Pattern = { readonly [K in keyof Circumstances]?: readonly (keyof Circumstances[K])[] };

/** The decision table: the first line that matches decides. */
const TABLE: readonly (readonly [RefreshOutcome, Pattern])[] = [
  ['session_ended', { row: ['absent', 'at its end', 'past its end'] }],
  ['user_refused', { user: ['deleted', 'blocked', 'unconfirmed'] }],
  ['rotate', { token: ['ahead', 'newest'] }],
  ['repeat', { token: ['parent'], grace: ['on'], age: ['negative', 'none', 'just within grace'] }],
  ['replace', { token: ['parent'], acknowledged: ['no'] }],
  ['refresh_token_reused', {}],
];

const fits = (pattern: Pattern, given: Case): boolean =>
  Object.entries(pattern).every(([name, values]) =>
    (values as readonly string[]).includes(given[name as keyof Case])
  );

const ALL = Object.entries(CIRCUMSTANCES).reduce<Record<string, string>[]>(
  (cases, [name, values]) =>
    cases.flatMap((given) => Object.keys(values).map((value) => ({ ...given, [name]: value }))),
  [{}]
) as Case[];

function decided(given: Case): RefreshOutcome {
  const endsAt = CIRCUMSTANCES.row[given.row];
  const row = rowOf({
    acknowledged: CIRCUMSTANCES.acknowledged[given.acknowledged],
    rotatedAt: NOW - CIRCUMSTANCES.age[given.age],
  });
  return refreshOutcome(
    endsAt === null ? null : { ...row, endsAt },
    CIRCUMSTANCES.user[given.user],
    CIRCUMSTANCES.token[given.token],
    NOW,
    CIRCUMSTANCES.grace[given.grace]
  );
}

describe('the decision about a refresh token, for every combination of circumstances,', () => {
  const expected = (given: Case) => TABLE.find(([, pattern]) => fits(pattern, given))![0];

  it('covers 1600 combinations', () => {
    expect(ALL).toHaveLength(4 * 4 * 5 * 5 * 2 * 2);
  });

  it.each(TABLE.map(([decision]) => decision))('is "%s" exactly when the table says so', (name) => {
    const byTable = ALL.filter((given) => expected(given) === name);
    const byFunction = ALL.filter((given) => decided(given) === name);

    expect(byTable).not.toHaveLength(0);
    expect(byFunction).toEqual(byTable);
  });
});

describe('a refresh token', () => {
  const user = userOf();

  it('of a session that is gone is "ended", whether or not the user exists', () => {
    expect(refreshOutcome(null, user, 9, NOW, GRACE)).toBe('session_ended');
    expect(refreshOutcome(null, null, 9, NOW, GRACE)).toBe('session_ended');
  });

  it('is valid until the millisecond before the absolute end', () => {
    const row = rowOf({ endsAt: NOW });

    expect(refreshOutcome(row, user, 9, NOW - 1, GRACE)).toBe('rotate');
    expect(refreshOutcome(row, user, 9, NOW, GRACE)).toBe('session_ended');
  });

  it('of a blocked user is refused even if it would otherwise count as reuse', () => {
    expect(refreshOutcome(rowOf(), userOf({ blocked: true }), 3, NOW, GRACE)).toBe('user_refused');
  });

  it('that is the newest is rotated, even on the first refresh, when there is no parent', () => {
    expect(refreshOutcome(rowOf(), user, 9, NOW, GRACE)).toBe('rotate');
    expect(refreshOutcome(rowOf({ generation: 0, parent: null }), user, 0, NOW, GRACE)).toBe(
      'rotate'
    );
  });

  it('newer than its row, as after restoring a backup, is accepted', () => {
    expect(refreshOutcome(rowOf(), user, 10, NOW, GRACE)).toBe('rotate');
    expect(refreshOutcome(rowOf({ acknowledged: true }), user, 4_000, NOW, 0)).toBe('rotate');
  });

  it('from a racing tab within the grace period gets the current token', () => {
    const row = rowOf({ rotatedAt: NOW - GRACE + 1 });

    expect(refreshOutcome(row, user, 5, NOW, GRACE)).toBe('repeat');
    expect(refreshOutcome({ ...row, acknowledged: true }, user, 5, NOW, GRACE)).toBe('repeat');
  });

  it('counts as within the grace period if another process has a faster clock', () => {
    const row = rowOf({ acknowledged: true, rotatedAt: NOW + 1 });

    expect(refreshOutcome(row, user, 5, NOW, GRACE)).toBe('repeat');
  });

  it('is never repeated if the grace period is 0, not even with a slower clock', () => {
    const row = rowOf({ rotatedAt: NOW + 1 });

    expect(refreshOutcome(row, user, 5, NOW, 0)).toBe('replace');
    expect(refreshOutcome({ ...row, acknowledged: true }, user, 5, NOW, 0)).toBe(
      'refresh_token_reused'
    );
  });

  it('whose response was lost is replaced, however late the client retries', () => {
    expect(refreshOutcome(rowOf({ rotatedAt: NOW - GRACE }), user, 5, NOW, GRACE)).toBe('replace');
    expect(refreshOutcome(rowOf({ rotatedAt: NOW - 9 * DAY }), user, 5, NOW, GRACE)).toBe(
      'replace'
    );
  });

  it('whose response is known to have arrived counts as reused after the grace period', () => {
    const row = rowOf({ acknowledged: true, rotatedAt: NOW - GRACE });

    expect(refreshOutcome(row, user, 5, NOW, GRACE)).toBe('refresh_token_reused');
  });

  it('older than the parent counts as reused, within the grace period or not', () => {
    expect(refreshOutcome(rowOf({ rotatedAt: NOW }), user, 4, NOW, GRACE)).toBe(
      'refresh_token_reused'
    );
  });

  it('that was replaced, between parent and newest, counts as reused, within the grace period or not', () => {
    expect(refreshOutcome(rowOf({ rotatedAt: NOW }), user, 8, NOW, GRACE)).toBe(
      'refresh_token_reused'
    );
  });

  it('older than a row without a parent counts as reused', () => {
    expect(refreshOutcome(rowOf({ parent: null, rotatedAt: NOW }), user, 5, NOW, GRACE)).toBe(
      'refresh_token_reused'
    );
  });
});
