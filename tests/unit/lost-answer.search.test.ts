/**
 * Why a retry after a lost response gets a different token, shown by exhaustive search.
 *
 * A small model: one session, its owner, and a thief who has copied the owner's refresh token once. Each step is one of
 *
 *  - the owner refreshes; the response arrives, or it is lost and the owner keeps the old token;
 *  - the thief refreshes with any of the tokens they have ever had: they keep them all, and their responses always arrive;
 *  - the owner or the thief uses their access token, which acknowledges its generation while that is the newest.
 *
 * There is no grace period, so every refresh counts as outside of it. The search tries all paths of up to ten steps and
 * counts how often access changes hands: owner, thief, owner, … If a thief can share a session undetected, there is a path
 * on which that count keeps growing with its length. If the thief is caught, the count stops.
 */
import { refreshOutcome } from '../../src/extensions/users-permissions/sessions/refresh-outcome';
import type { RefreshOutcome } from '../../src/extensions/users-permissions/sessions/refresh-outcome';
import type { Session } from '../../src/extensions/users-permissions/types';

interface World {
  generation: number;
  parent: number | null;
  acknowledged: boolean;
  ended: boolean;
  /** The owner's refresh token and the generation of their access token. */
  owner: { token: number; access: number };
  thief: { tokens: readonly number[]; access: number | null };
  /** Who got access last, and how often that changed. */
  last: 'owner' | 'thief';
  handovers: number;
}

type Rule = (world: World, presented: number) => RefreshOutcome;
type Step = (world: World, rule: Rule) => World[];

const STEPS = 10;
const NOW = Date.UTC(2030, 0, 1);

const START: World = {
  generation: 0,
  parent: null,
  acknowledged: false,
  ended: false,
  owner: { token: 0, access: 0 },
  thief: { tokens: [0], access: null },
  last: 'owner',
  handovers: 0,
};

const ours: Rule = ({ generation, parent, acknowledged }, presented) => {
  const row: Partial<Session> = {
    generation,
    parent,
    acknowledged,
    rotatedAt: NOW,
    endsAt: NOW + 1,
  };
  return refreshOutcome(
    row as Session,
    { id: 1, blocked: false, confirmed: true },
    presented,
    NOW,
    0
  );
};

/** The tempting alternative: a lost response is repeated with the same token, without a time limit. */
const naive: Rule = (world, presented) => {
  const decision = ours(world, presented);
  return decision === 'replace' ? 'repeat' : decision;
};

function refresh(world: World, rule: Rule, presented: number): World {
  const { generation, parent } = world;
  const decision = rule(world, presented);
  if (decision === 'repeat') return world;
  if (decision === 'rotate') {
    return { ...world, parent: presented, generation: presented + 1, acknowledged: false };
  }
  if (decision === 'replace') {
    return { ...world, parent, generation: generation + 1, acknowledged: false };
  }
  return { ...world, ended: true };
}

const handTo = (who: 'owner' | 'thief', world: World): World => ({
  ...world,
  last: who,
  handovers: world.handovers + (world.last === who ? 0 : 1),
});

const use = (world: World, access: number | null): World[] =>
  access === world.generation ? [{ ...world, acknowledged: true }] : [];

const ownerRefreshes: Step = (world, rule) => {
  const next = refresh(world, rule, world.owner.token);
  if (next.ended) return [next];
  const arrived = { ...next, owner: { token: next.generation, access: next.generation } };
  return [handTo('owner', arrived), next];
};

/** A front end that refreshes because it needs to make a request. */
const ownerRefreshesAndUses: Step = (world, rule) =>
  ownerRefreshes(world, rule).map((next) => use(next, next.owner.access)[0] ?? next);

const ownerUsesAccess: Step = (world) => use(world, world.owner.access);

/** An access token without rotation, which is used. @param generationOf the generation that it carries */
const ownerGetsAccess =
  (generationOf: (world: World) => number): Step =>
  (world, rule) => {
    const isAccepted = ['rotate', 'repeat', 'replace'].includes(rule(world, world.owner.token));
    return isAccepted ? use(world, generationOf(world)) : [{ ...world, ended: true }];
  };

const thiefRefreshes: Step = (world, rule) =>
  world.thief.tokens.map((token) => {
    const next = refresh(world, rule, token);
    if (next.ended) return next;
    const tokens = [...new Set([...world.thief.tokens, next.generation])];
    return handTo('thief', { ...next, thief: { tokens, access: next.generation } });
  });

const thiefUsesAccess: Step = (world) => use(world, world.thief.access);

/** Every reachable state, by the minimum number of steps to reach it. */
function explore(rule: Rule, steps: readonly Step[]): World[][] {
  const seen = new Set([JSON.stringify(START)]);
  const layers = [[START]];
  while (layers.length <= STEPS) {
    const reached = layers[layers.length - 1]
      .filter((world) => !world.ended)
      .flatMap((world) => steps.flatMap((step) => step(world, rule)))
      .filter((world) => {
        const key = JSON.stringify(world);
        return !seen.has(key) && seen.add(key);
      });
    layers.push(reached);
  }
  return layers;
}

/** The maximum number of handovers on any path of each length while the session is active. */
function handoversByLength(layers: readonly World[][]): number[] {
  let most = 0;
  return layers.slice(1).map((layer) => {
    for (const world of layer) if (!world.ended) most = Math.max(most, world.handovers);
    return most;
  });
}

const OWNER = [ownerRefreshes, ownerUsesAccess];
const THIEF = [thiefRefreshes, thiefUsesAccess];

describe('along every path of ten steps', () => {
  it('an owner alone is never signed out, no matter which responses are lost', () => {
    const worlds = explore(ours, OWNER).flat();

    expect(worlds.filter((world) => world.ended)).toEqual([]);
    expect(Math.max(...worlds.map((world) => world.generation))).toBe(STEPS);
  });

  it('nor an owner who also gets access tokens without rotation, because they carry the generation presented', () => {
    const ended = (generationOf: (world: World) => number) =>
      explore(ours, [...OWNER, ownerGetsAccess(generationOf)])
        .flat()
        .filter((world) => world.ended);

    expect(ended(({ owner }) => owner.token)).toEqual([]);
    expect(ended(({ generation }) => generation)).not.toEqual([]);
  });

  it('access changes hands at most three times, then the session ends or one of them is locked out', () => {
    const layers = explore(ours, [...OWNER, ...THIEF]);

    expect(handoversByLength(layers)).toEqual([1, 2, 3, 3, 3, 3, 3, 3, 3, 3]);
  });

  it('an owner who uses every token they get locks the thief out with the next refresh', () => {
    const layers = explore(ours, [ownerRefreshesAndUses, ...THIEF]);

    expect(handoversByLength(layers)).toEqual([1, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
  });

  it('repeating a lost response without a time limit would let a thief share the session forever', () => {
    const layers = explore(naive, [ownerRefreshesAndUses, ...THIEF]);

    expect(handoversByLength(layers)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});
