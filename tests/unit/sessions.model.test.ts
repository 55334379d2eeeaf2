import { createSecretKey, randomBytes } from 'crypto';
import fc from 'fast-check';
import { SessionError } from '../../src/extensions/users-permissions/errors';
import type { ErrorCode } from '../../src/extensions/users-permissions/errors';
import { createSessionManager } from '../../src/extensions/users-permissions/sessions/manager';
import type { IssuedTokens } from '../../src/extensions/users-permissions/types';
import { createMemoryRepository } from './memory-repository';

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const ACCESS_LIFE = 360 * SECOND;
const IDLE_LIFE = 48 * HOUR;
const ABSOLUTE_LIFE = 5 * 24 * HOUR;
const GRACE = 10 * SECOND;

const USER = { id: 1, blocked: false, confirmed: true };
const DEVICE = { userAgent: null, ip: null, transport: 'cookie' as const };
const KEYS = [createSecretKey(randomBytes(32))] as const;

/** A server whose clock moves only when someone waits, and the events that it emits. */
function createWorld(grace: number, travel: () => Promise<unknown> = () => Promise.resolve()) {
  const { repository, rows } = createMemoryRepository(USER, travel);
  const events: string[] = [];
  let clock = Date.UTC(2030, 0, 1);
  const sessions = createSessionManager({
    repository,
    keys: KEYS,
    idleTtl: IDLE_LIFE,
    absoluteTtl: ABSOLUTE_LIFE,
    grace,
    sessionsPerUser: 0,
    policy: { readUser: async () => null },
    confirmationRequired: async () => false,
    now: () => clock,
    randomSid: () => randomBytes(16).toString('hex'),
    emit: (what) => events.push(what),
  });
  return {
    rows,
    now: () => clock,
    wait: (time: number) => void (clock += time),
    told: (what: string) => events.filter((event) => event === what).length,
    open: () => sessions.open(USER.id, DEVICE),
    refresh: (token: string) => sessions.refresh(token, DEVICE),
    revoke: (token: string) => sessions.end(sessions.sidOf(token)!, DEVICE),
    admits: ({ session: { sid, userId, generation } }: Pick<IssuedTokens, 'session'>) =>
      sessions.isAccessTokenValid(sid, userId, generation, (error) => {
        throw error;
      }),
  };
}

type World = ReturnType<typeof createWorld>;

/** A holder of a session's tokens: its owner, or a thief. */
class Holder {
  /** Everything received, newest last: the new refresh token is stored before the access token is used. */
  readonly grants: IssuedTokens[];

  private accessEnds: number;

  constructor(
    private readonly world: World,
    first: IssuedTokens
  ) {
    this.grants = [first];
    this.accessEnds = world.now() + ACCESS_LIFE;
  }

  get newest(): IssuedTokens {
    return this.grants[this.grants.length - 1];
  }

  get hasAccessToken(): boolean {
    return this.world.now() < this.accessEnds;
  }

  async refresh({ arrives = true, grant = this.newest } = {}): Promise<'ok' | ErrorCode> {
    try {
      const next = await this.world.refresh(grant.refreshToken);
      if (arrives) {
        this.grants.push(next);
        this.accessEnds = this.world.now() + ACCESS_LIFE;
      }
      return 'ok';
    } catch (error) {
      if (error instanceof SessionError) return error.code as ErrorCode;
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
  { weight: 2, arbitrary: fc.nat({ max: IDLE_LIFE - HOUR }) }
);
const grace = fc.constantFrom(0, GRACE, 6 * GRACE);

const lostOrNot = fc.array(fc.boolean(), { maxLength: 4 });

describe('an honest client', () => {
  type Step = { refresh: 'arrives' | 'is lost' } | { wait: number } | 'use';
  const step = fc.oneof<fc.Arbitrary<Step>[]>(
    fc.record({ refresh: fc.constantFrom('arrives', 'is lost') }),
    fc.record({ wait: someTime }),
    fc.constant('use')
  );
  const steps = fc.array(step, { maxLength: 60 });

  async function live(world: World, owner: Holder, life: readonly Step[], { ended = false } = {}) {
    for (const does of life) {
      if (does === 'use') {
        if (!owner.hasAccessToken) continue;
        const alive = !ended && world.now() < owner.newest.session.endsAt;
        expect(await owner.useAccessToken()).toBe(alive);
      } else if ('wait' in does) {
        world.wait(does.wait);
      } else {
        const expired = world.now() >= Math.floor(owner.newest.session.expiresAt / SECOND) * SECOND;
        const otherwise = ended ? 'session_ended' : 'ok';
        const code = await owner.refresh({ arrives: does.refresh === 'arrives' });
        expect(code).toBe(expired ? 'refresh_token_expired' : otherwise);
      }
      const { rotatedAt, endsAt } = owner.newest.session;
      expect(owner.newest.session.expiresAt).toBe(Math.min(rotatedAt + IDLE_LIFE, endsAt));
    }
  }

  it('alone is never signed out before its refresh token expires, no matter which responses are lost', () =>
    fc.assert(
      fc.asyncProperty(grace, steps, async (graceTime, life) => {
        const world = createWorld(graceTime);
        await live(world, new Holder(world, await world.open()), life);
        expect(world.told('ended')).toBe(0);
      }),
      { numRuns: 400 }
    ));

  it('that signs out, with any token it ever received, stays signed out', () =>
    fc.assert(
      fc.asyncProperty(grace, steps, fc.nat(), steps, async (graceTime, before, which, after) => {
        const world = createWorld(graceTime);
        const owner = new Holder(world, await world.open());
        await live(world, owner, before);

        await world.revoke(owner.grants[which % owner.grants.length].refreshToken);

        await live(world, owner, after, { ended: true });
        expect(world.told('ended')).toBe(1);
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
          world.wait(after);
          // A client that returns this late has to sign in again.
          if (world.now() + HOUR > jar.session.expiresAt) break;
          // Tabs on both sides of the end of a grace period do not race within it.
          const age = world.now() - world.rows.get(jar.session.sid)!.rotatedAt;
          if (age < GRACE && age + tabs.length * DRIFT >= GRACE) world.wait(GRACE);

          // All of them send the current contents of the jar: a response that overwrites a newer one is not covered.
          const { refreshToken } = jar;
          const answers = tabs.map(async ({ drift, arrives, uses }) => {
            await travel();
            world.wait(drift);
            const grant = await world.refresh(refreshToken);
            await travel();
            if (arrives) jar = grant;
            if (arrives && uses) expect(await world.admits(grant)).toBe(true);
            return grant.refreshToken;
          });
          expect(new Set(await scheduler.waitFor(Promise.all(answers))).size).toBe(1);
        }
        expect(world.told('ended')).toBe(0);
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
        const calls = all.map(async (does, index) => {
          if (does === 'revokes') return world.revoke(first.refreshToken);
          const code = await holders[index].refresh();
          if (code === 'ok' && does === 'refreshes and uses') await holders[index].useAccessToken();
          return code;
        });
        const codes = await scheduler.waitFor(Promise.all(calls));

        const given = holders.flatMap(({ grants }) => grants.slice(1));
        const generations = given.map(({ session }) => session.generation);
        expect(new Set(generations).size).toBe(generations.length);

        const ended = all.includes('revokes') || codes.includes('refresh_token_reused');
        const row = world.rows.get(first.session.sid);
        expect(row?.generation).toBe(ended ? undefined : Math.max(...generations));
        expect(world.told('ended')).toBe(ended ? 1 : 0);
        expect(world.told('reused')).toBeLessThanOrEqual(1);
        for (const grant of ended ? [first, ...given] : []) {
          expect(await scheduler.waitFor(holders[0].refresh({ grant }))).toBe('session_ended');
        }
      }),
      { numRuns: 500 }
    ));
});

describe('an access token', () => {
  it('that races with the replacement of its generation prevents it only if it is seen in time', () =>
    fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        let seenInTime = false;
        const world = createWorld(0, () => {
          seenInTime ||= [...world.rows.values()].some((row) => row.acknowledged);
          return scheduler.schedule(Promise.resolve());
        });
        const first = await scheduler.waitFor(world.open());
        const [early, late] = [new Holder(world, first), new Holder(world, first)];
        await scheduler.waitFor(early.refresh());

        const race = Promise.all([late.refresh(), early.useAccessToken()]);
        const [code] = await scheduler.waitFor(race);

        expect(code).toBe(seenInTime ? 'refresh_token_reused' : 'ok');
      })
    ));

  it('is valid only until the idle end of its session, however long its own lifetime', async () => {
    const world = createWorld(GRACE);
    const grant = await world.open();

    world.wait(IDLE_LIFE - 1);
    expect(await world.admits(grant)).toBe(true);
    world.wait(1);
    expect(await world.admits(grant)).toBe(false);
  });

  it('is valid only until the absolute end of its session, regardless of activity', async () => {
    const world = createWorld(GRACE);
    const owner = new Holder(world, await world.open());
    for (let age = HOUR; age < ABSOLUTE_LIFE; age += HOUR) {
      world.wait(HOUR);
      expect(await owner.refresh()).toBe('ok');
    }

    world.wait(HOUR - 1);
    expect(await world.admits(owner.newest)).toBe(true);
    world.wait(1);
    expect(await world.admits(owner.newest)).toBe(false);
    expect(await owner.refresh()).toBe('refresh_token_expired');
  });

  it('is not valid for another user', async () => {
    const world = createWorld(GRACE);
    const { session } = await world.open();

    expect(await world.admits({ session })).toBe(true);
    expect(await world.admits({ session: { ...session, userId: USER.id + 1 } })).toBe(false);
    expect(await world.admits({ session: { ...session, userId: null } })).toBe(false);
  });
});

describe('a thief', () => {
  const step = fc.record({
    who: fc.constantFrom('owner', 'thief'),
    does: fc.constantFrom('refresh', 'use'),
    arrives: fc.boolean(),
    /** A thief keeps every token: they present the newest one, or any that they ever had. */
    which: fc.option(fc.nat()),
    after: fc.nat({ max: ACCESS_LIFE / 4 }),
  });
  const steps = fc.array(step, { minLength: 4, maxLength: 40 });

  it('who misses the grace periods cannot share the session: the one who has used a new access token keeps it alone', () =>
    fc.assert(
      fc.asyncProperty(grace, lostOrNot, steps, async (graceTime, before, after) => {
        const world = createWorld(graceTime);
        const owner = new Holder(world, await world.open());
        for (const arrives of before) {
          world.wait(graceTime);
          await owner.refresh({ arrives });
        }
        const thief = new Holder(world, owner.newest);

        let ended = false;
        let handovers = 0;
        let last = owner;
        /** Who received a new access token, if the other one has presented nothing since. */
        let ahead: Holder | null = null;
        let aheadSince = 0;
        let shutOut: Holder | null = null;

        for (const { who, does, arrives, which, after: time } of after) {
          const [holder, other] = who === 'owner' ? [owner, thief] : [thief, owner];
          world.wait(time);

          if (does === 'use') {
            const admitted = await holder.useAccessToken();
            if (!admitted) continue;
            expect(ended).toBe(false);
            if (shutOut === holder) expect(world.now()).toBeLessThan(aheadSince + ACCESS_LIFE);
            else if (ahead === holder) shutOut = other;
            continue;
          }

          world.wait(graceTime);
          const arrived = arrives || holder === thief;
          const hoard = holder === thief && which !== null ? holder.grants : [holder.newest];
          const grant = hoard[(which ?? 0) % hoard.length];
          const code = await holder.refresh({ arrives: arrived, grant });

          if (ended) expect(code).toBe('session_ended');
          else if (shutOut === holder) expect(code).toBe('refresh_token_reused');
          ended ||= code !== 'ok';

          if (ahead === other && !shutOut) ahead = null;
          if (ended || !arrived) continue;
          if (!shutOut) [ahead, aheadSince] = [holder, world.now()];
          if (last !== holder) handovers += 1;
          last = holder;
        }
        // Thief, owner, thief: by then, one of them has only dead tokens.
        expect(handovers).toBeLessThanOrEqual(3);
      }),
      { numRuns: 1_000 }
    ));

  it('who presents a token older than the parent ends the session, within the grace period or not', () =>
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
            world.wait(graceTime);
            expect(await owner.refresh({ arrives })).toBe('ok');
          }
          world.wait(time);

          const older = owner.grants.slice(0, -2);
          const grant = older[which % older.length];
          expect(await owner.refresh({ grant })).toBe('refresh_token_reused');

          expect(await owner.refresh()).toBe('session_ended');
          expect(await world.admits(owner.newest)).toBe(false);
          expect([world.told('ended'), world.told('reused')]).toEqual([1, 1]);
        }
      ),
      { numRuns: 200 }
    ));
});
