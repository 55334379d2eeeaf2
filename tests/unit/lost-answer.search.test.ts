/**
 * Why a lost answer is answered with a different token, shown by trying everything.
 *
 * A small world: one session, its owner, and a thief who has copied the owner's refresh token once. Each step is one of
 *
 *  - the owner refreshes; the answer arrives, or is lost on its way and the owner keeps the token he had;
 *  - the thief refreshes with any of the tokens he has ever held: he hoards them, and his answers always arrive;
 *  - the owner or the thief uses his access token, which acknowledges its generation while that is the newest.
 *
 * There is no grace period, so every refresh counts as outside of it. All paths of up to ten steps are walked. What is
 * counted is how often access changes hands: owner, thief, owner, … A thief who shares a session unseen is a path on
 * which that goes on for as long as the path does. A thief who is caught is a count that stays where it is.
 */
import { refreshOutcome } from '../../src/extensions/users-permissions/sessions/refresh-outcome';
import type { RefreshOutcome } from '../../src/extensions/users-permissions/sessions/refresh-outcome';
import type { Session } from '../../src/extensions/users-permissions/types';

interface World {
  generation: number;
  parent: number | null;
  acknowledged: boolean;
  ended: boolean;
  /** The owner's refresh token and the generation of his access token. */
  owner: { token: number; access: number };
  thief: { tokens: readonly number[]; access: number | null };
  /** Who was given access last, and how often that was the other one than before. */
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

/** The tempting rule: a lost answer is given again, the same token, without a time limit. */
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

/** A front end that refreshes because it has a request to make. */
const ownerRefreshesAndUses: Step = (world, rule) =>
  ownerRefreshes(world, rule).map((next) => use(next, next.owner.access)[0] ?? next);

const ownerUsesAccess: Step = (world) => use(world, world.owner.access);

const thiefRefreshes: Step = (world, rule) =>
  world.thief.tokens.map((token) => {
    const next = refresh(world, rule, token);
    if (next.ended) return next;
    const tokens = [...new Set([...world.thief.tokens, next.generation])];
    return handTo('thief', { ...next, thief: { tokens, access: next.generation } });
  });

const thiefUsesAccess: Step = (world) => use(world, world.thief.access);

/** Every world that can be reached, by the number of steps that it takes at least. */
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

/** The most handovers that any path of each length has, the session still living. */
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
  it('an owner alone is never signed out, whichever answers are lost', () => {
    const worlds = explore(ours, OWNER).flat();

    expect(worlds.filter((world) => world.ended)).toEqual([]);
    expect(Math.max(...worlds.map((world) => world.generation))).toBe(STEPS);
  });

  it('access changes hands three times at most: then the session ends, or one of both is shut out', () => {
    const layers = explore(ours, [...OWNER, ...THIEF]);

    expect(handoversByLength(layers)).toEqual([1, 2, 3, 3, 3, 3, 3, 3, 3, 3]);
  });

  it('an owner who uses what he gets shuts the thief out with his next refresh', () => {
    const layers = explore(ours, [ownerRefreshesAndUses, ...THIEF]);

    expect(handoversByLength(layers)).toEqual([1, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
  });

  it('repeating a lost answer without a time limit would let a thief share the session for ever', () => {
    const layers = explore(naive, [ownerRefreshesAndUses, ...THIEF]);

    expect(handoversByLength(layers)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});
