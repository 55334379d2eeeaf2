import { createSecretKey, randomBytes } from 'crypto';
import fc from 'fast-check';
import { SessionError } from '../../src/extensions/users-permissions/errors';
import type { ErrorCode } from '../../src/extensions/users-permissions/errors';
import { createSessions } from '../../src/extensions/users-permissions/services/sessions';
import type { Grant } from '../../src/extensions/users-permissions/types';
import { createMemoryStore } from './memory-store';

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const ACCESS_LIFE = 360 * SECOND;
const IDLE_LIFE = 48 * HOUR;
const ABSOLUTE_LIFE = 30 * 24 * HOUR;
const GRACE = 10 * SECOND;

const USER = { id: 1, blocked: false, confirmed: true };
const DEVICE = { userAgent: null, ip: null, transport: 'cookie' as const };
const KEYS = [createSecretKey(randomBytes(32))];

function createWorld(grace: number, travel: () => Promise<unknown> = () => Promise.resolve()) {
  const { store, rows } = createMemoryStore(USER, travel);
  const events: string[] = [];
  const world = {
    now: Date.UTC(2030, 0, 1),
    rows,
    events,
    sessions: createSessions({
      store,
      keys: KEYS,
      idleLife: IDLE_LIFE,
      absoluteLife: ABSOLUTE_LIFE,
      grace,
      sessionsPerUser: 0,
      confirmationRequired: async () => false,
      now: () => world.now,
      randomSid: () => randomBytes(16).toString('hex'),
      tell: (what) => void events.push(what),
    }),
    open: () => world.sessions.open(USER.id, DEVICE),
    refresh: (token: string) => world.sessions.refresh(token, DEVICE),
    admits: ({ session: { sid, generation } }: Grant) =>
      world.sessions.admits(sid, USER.id, generation, (error) => {
        throw error;
      }),
  };
  return world;
}

type World = ReturnType<typeof createWorld>;

/** Whoever holds tokens of a session: its owner, or a thief. */
class Holder {
  /** All that was ever received, the newest last. A client stores the refresh token before it uses the access token. */
  readonly grants: Grant[];

  private accessEnds: number;

  constructor(
    private readonly world: World,
    first: Grant
  ) {
    this.grants = [first];
    this.accessEnds = world.now + ACCESS_LIFE;
  }

  get newest(): Grant {
    return this.grants[this.grants.length - 1];
  }

  get hasAccessToken(): boolean {
    return this.world.now < this.accessEnds;
  }

  async refresh(arrives = true, { refreshToken } = this.newest): Promise<'ok' | ErrorCode> {
    try {
      const grant = await this.world.refresh(refreshToken);
      if (arrives) {
        this.grants.push(grant);
        this.accessEnds = this.world.now + ACCESS_LIFE;
      }
      return 'ok';
    } catch (error) {
      if (error instanceof SessionError) return error.code;
      throw error;
    }
  }

  async useAccessToken(): Promise<boolean> {
    return this.hasAccessToken && this.world.admits(this.newest);
  }
}

const someTime = fc.oneof(
  { weight: 4, arbitrary: fc.nat({ max: 2 * GRACE }) },
  { weight: 2, arbitrary: fc.nat({ max: HOUR }) },
  { weight: 1, arbitrary: fc.nat({ max: IDLE_LIFE - HOUR }) }
);
const grace = fc.constantFrom(0, GRACE, 6 * GRACE);

describe('an honest client', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ does: fc.constant('refresh'), arrives: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ does: fc.constant('use') }) },
    { weight: 6, arbitrary: fc.record({ does: fc.constant('wait'), time: someTime }) },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('wait'), time: fc.nat(IDLE_LIFE) }) }
  ) as fc.Arbitrary<{ does: 'refresh' | 'use' | 'wait'; arrives: boolean; time: number }>;
  const steps = fc.array(step, { minLength: 1, maxLength: 60 });

  async function live(world: World, owner: Holder, days: fc.TypeOf<typeof steps>, ended: boolean) {
    for (const { does, arrives, time } of days) {
      if (does === 'wait') world.now += time;
      if (does === 'use' && owner.hasAccessToken) {
        expect(await owner.useAccessToken()).toBe(
          !ended && world.now < owner.newest.session.endsAt
        );
      }
      if (does === 'refresh') {
        const tokenEnds = Math.floor(owner.newest.expiresAt / SECOND) * SECOND;
        const expected = ended ? 'session_ended' : 'ok';
        const late = world.now >= tokenEnds;
        expect(await owner.refresh(arrives)).toBe(late ? 'refresh_token_expired' : expected);
        expect(owner.newest.expiresAt).toBeLessThanOrEqual(owner.newest.session.endsAt);
      }
    }
  }

  it('alone is never signed out before its refresh token runs out, whichever answers are lost', () =>
    fc.assert(
      fc.asyncProperty(grace, steps, async (graceTime, days) => {
        const world = createWorld(graceTime);
        await live(world, new Holder(world, await world.open()), days, false);
        expect(world.events).not.toContain('ended');
      }),
      { numRuns: 400 }
    ));

  it('that signs out, with any token it was ever given, stays signed out', () =>
    fc.assert(
      fc.asyncProperty(grace, steps, fc.nat(), steps, async (graceTime, before, which, after) => {
        const world = createWorld(graceTime);
        const owner = new Holder(world, await world.open());
        await live(world, owner, before, false);

        await world.sessions.revoke(owner.grants[which % owner.grants.length].refreshToken, DEVICE);

        await live(world, owner, after, true);
        expect(world.events.filter((what) => what === 'ended')).toHaveLength(1);
      }),
      { numRuns: 200 }
    ));
});

describe('tabs that share a cookie jar', () => {
  const DRIFT = SECOND;
  const tab = fc.record({
    drift: fc.nat({ max: DRIFT }),
    arrives: fc.boolean(),
    uses: fc.boolean(),
  });
  const race = fc.record({
    after: someTime,
    tabs: fc.array(tab, { minLength: 2, maxLength: 4 }),
  });
  const races = fc.array(race, { minLength: 1, maxLength: 6 });

  it('and race within the grace period all get the same token, and are never signed out', () =>
    fc.assert(
      fc.asyncProperty(fc.scheduler(), races, async (scheduler, all) => {
        const travel = () => scheduler.schedule(Promise.resolve());
        const world = createWorld(GRACE, travel);
        let jar = await scheduler.waitFor(world.open());

        for (const { after, tabs } of all) {
          world.now += after;
          // Tabs that retry on either side of the end of a grace period do not race within it.
          const age = world.now - world.rows.get(jar.session.sid)!.rotatedAt;
          if (age < GRACE && age + tabs.length * DRIFT >= GRACE) world.now += GRACE;

          // All of them send what the jar holds now: an answer that undoes a newer one is not covered.
          const { refreshToken } = jar;
          const answers = tabs.map(async ({ drift, arrives, uses }) => {
            await travel();
            world.now += drift;
            const grant = await world.refresh(refreshToken);
            await travel();
            if (arrives) jar = grant;
            if (arrives && uses) expect(await world.admits(grant)).toBe(true);
            return grant.refreshToken;
          });
          expect(new Set(await scheduler.waitFor(Promise.all(answers))).size).toBe(1);
        }
        expect(world.events).not.toContain('ended');
      }),
      { numRuns: 300 }
    ));
});

describe('any number of processes', () => {
  const caller = fc.constantFrom('refreshes', 'refreshes and uses', 'revokes');
  const callers = fc.array(caller, { minLength: 2, maxLength: 5 });

  it('never fork a session, and an ended one stays ended, however their statements interleave', () =>
    fc.assert(
      fc.asyncProperty(fc.scheduler(), callers, async (scheduler, all) => {
        const travel = () => scheduler.schedule(Promise.resolve());
        const world = createWorld(0, travel);
        const first = await scheduler.waitFor(world.open());
        const holders = all.map(() => new Holder(world, first));

        const codes = await scheduler.waitFor(
          Promise.all(
            all.map(async (does, index) => {
              if (does === 'revokes') return world.sessions.revoke(first.refreshToken, DEVICE);
              const code = await holders[index].refresh();
              if (code === 'ok' && does === 'refreshes and uses') {
                await holders[index].useAccessToken();
              }
              return code;
            })
          )
        );

        const given = holders.flatMap(({ grants }) => grants.slice(1));
        const generations = given.map(({ session }) => session.generation);
        expect(new Set(generations).size).toBe(generations.length);

        const row = world.rows.get(first.session.sid);
        const ended = all.includes('revokes') || codes.includes('refresh_token_reused');
        expect(row?.generation).toBe(ended ? undefined : Math.max(...generations));
        expect(world.events.filter((what) => what === 'ended')).toHaveLength(ended ? 1 : 0);
        if (ended) {
          for (const { refreshToken } of [first, ...given]) {
            const again = scheduler.waitFor(holders[0].refresh(true, { ...first, refreshToken }));
            expect(await again).toBe('session_ended');
          }
        }
      }),
      { numRuns: 500 }
    ));
});

describe('a thief', () => {
  type Name = 'owner' | 'thief';
  const step = fc.record({
    who: fc.constantFrom<Name>('owner', 'thief'),
    does: fc.constantFrom('refresh', 'use'),
    arrives: fc.boolean(),
    /** A thief hoards: which of his tokens he presents. */
    which: fc.nat(),
    after: fc.nat({ max: ACCESS_LIFE / 4 }),
  });
  const steps = fc.array(step, { minLength: 4, maxLength: 40 });
  const lostOrNot = fc.array(fc.boolean(), { maxLength: 4 });

  it('who misses the grace periods shares a session for two of his refreshes at most', () =>
    fc.assert(
      fc.asyncProperty(grace, lostOrNot, steps, async (graceTime, before, after) => {
        const world = createWorld(graceTime);
        const owner = new Holder(world, await world.open());
        for (const arrives of before) {
          world.now += graceTime;
          await owner.refresh(arrives);
        }
        const holders = { owner, thief: new Holder(world, owner.newest) };

        let last: Name = 'owner';
        let handovers = 0;
        /** Who has refreshed, the other not having presented anything since. */
        let ahead: Name | null = null;
        let shutOut: Name | null = null;
        let shutOutAt = 0;
        let ended = false;

        for (const { who, does, arrives, which, after: time } of after) {
          const holder = holders[who];
          const other: Name = who === 'owner' ? 'thief' : 'owner';
          world.now += time;

          if (does === 'use') {
            const admitted = await holder.useAccessToken();
            expect(admitted && ended).toBe(false);
            if (shutOut === who && admitted) {
              expect(world.now).toBeLessThan(shutOutAt + ACCESS_LIFE);
            }
            if (admitted && ahead === who && !shutOut) shutOut = other;
            continue;
          }

          world.now += graceTime;
          const arrived = who === 'thief' || arrives;
          const hoard = who === 'thief' ? holder.grants : [holder.newest];
          const code = await holder.refresh(arrived, hoard[which % hoard.length]);

          if (ended) expect(code).toBe('session_ended');
          else if (shutOut === who) expect(code).toBe('refresh_token_reused');
          ended ||= code !== 'ok';
          if (ended) continue;

          if (ahead === other) ahead = null;
          if (!arrived) continue;
          ahead = who;
          if (!shutOut) shutOutAt = world.now;
          if (last !== who) handovers += 1;
          last = who;
        }
        // Thief, owner, thief: the next one to go on presents a token that is dead.
        expect(handovers).toBeLessThanOrEqual(3);
      }),
      { numRuns: 1_000 }
    ));

  it('who presents a token older than the parent ends the session, grace period or not', () =>
    fc.assert(
      fc.asyncProperty(
        grace,
        lostOrNot,
        fc.nat(),
        someTime,
        async (graceTime, lost, which, time) => {
          const world = createWorld(graceTime);
          const owner = new Holder(world, await world.open());
          for (const arrives of [true, ...lost, true, true]) {
            world.now += graceTime;
            expect(await owner.refresh(arrives)).toBe('ok');
          }
          const older = owner.grants.slice(0, -2);
          world.now += time;

          const presented = older[which % older.length];
          expect(await owner.refresh(true, presented)).toBe('refresh_token_reused');

          expect(await owner.refresh()).toBe('session_ended');
          expect(await world.admits(owner.newest)).toBe(false);
          expect(world.events.slice(-2)).toEqual(['ended', 'reused']);
        }
      ),
      { numRuns: 200 }
    ));
});
