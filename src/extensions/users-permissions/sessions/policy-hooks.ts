import { ttlProblems } from '../config/checks';
import { formatDuration, parseDuration, UNITS } from '../config/duration';
import { ConfigurationError, SessionError } from '../errors';
import type { Lifetimes, PolicySession, PolicyUser, SessionPolicy } from '../policy-types';
import type { Claims, ClientInfo, Config, Context, NewClient, Session } from '../types';

/** Milliseconds for each function of the policy. */
const TIME_LIMIT = 2_000;

/** The claims that the extension sets, and those that no access token of it may have. */
const RESERVED = ['id', 'sid', 'gen', 'iat', 'exp', 'typ', 'nbf', '__proto__'];

const NAMES = ['claims', 'lifetimes', 'beforeSignIn', 'beforeRefresh'];

/** A new session's lifetimes in milliseconds, null where the configuration applies. */
type SessionLifetimes = Pick<Session, 'idleTtl' | 'accessTtl'> & { absoluteTtl: number };

/** The owner's policy. A function that it does not have is missing here, too, so that it costs nothing. */
export interface PolicyHooks {
  /** The user with their role, or null if they are gone. */
  readUser(userId: number): Promise<PolicyUser | null>;
  /** @throws Error for a reserved name, or a value that is not JSON */
  claims?: (user: PolicyUser, session: PolicySession) => Promise<Claims>;
  /** @throws Error for a duration that no variable could have */
  lifetimes?: (user: PolicyUser, client: NewClient) => Promise<SessionLifetimes>;
  beforeSignIn?: (user: PolicyUser, ctx: Context, client: ClientInfo) => Promise<void>;
  beforeRefresh?: (user: PolicyUser, session: PolicySession, client: ClientInfo) => Promise<void>;
}

type ConfiguredLifetimes = Pick<Config, 'accessTtl' | 'idleTtl' | 'absoluteTtl'>;

/**
 * Checks the owner's policy, and each result of it.
 *
 * @param policy what `policy.ts` exports
 * @param config the lifetimes that the policy's differ from, in milliseconds
 * @param configured claims that `jwt` of the plugin's configuration sets, which jsonwebtoken refuses to set twice
 * @throws ConfigurationError for anything but functions of the known names: a misspelled veto would let everyone pass
 */
export function createPolicyHooks(
  policy: SessionPolicy,
  config: ConfiguredLifetimes,
  readUser: PolicyHooks['readUser'],
  configured: readonly string[] = []
): PolicyHooks {
  const problems = problemsOf(policy);
  if (problems.length > 0) throw new ConfigurationError(problems);

  return {
    readUser,
    ...(policy.claims && {
      async claims(user, session) {
        const about = { user, session: known(session) };
        // As JSON, because a token that cannot be signed would show only after the session has been written.
        const json = await limited('claims', async () =>
          JSON.stringify((await policy.claims!(about)) ?? {})
        );
        return checkClaims(JSON.parse(json ?? 'null'), [...RESERVED, ...configured]);
      },
    }),
    ...(policy.lifetimes && {
      async lifetimes(user, { transport, persistent }) {
        const about = { user, transport, rememberMe: persistent ?? true };
        const chosen = await limited('lifetimes', () => policy.lifetimes!(about, textOf(config)));
        return checkLifetimes(chosen ?? {}, config);
      },
    }),
    ...(policy.beforeSignIn && {
      async beforeSignIn(user, ctx, client) {
        await limited('beforeSignIn', () => policy.beforeSignIn!({ user, ctx, client }));
      },
    }),
    ...(policy.beforeRefresh && {
      async beforeRefresh(user, session, client) {
        const about = { user, session: known(session), client };
        await limited('beforeRefresh', () => policy.beforeRefresh!(about));
      },
    }),
  };
}

/** @returns what is wrong with the export of `policy.ts` */
function problemsOf(policy: unknown): string[] {
  if (typeof policy !== 'object' || policy === null) {
    return ['policy.ts exports no policy. Expected: export const policy: SessionPolicy = { … };'];
  }
  return Object.entries(policy).flatMap(([name, value]) =>
    NAMES.includes(name) && ['function', 'undefined'].includes(typeof value)
      ? []
      : [`policy.ts has ${name}: expected functions with the names ${NAMES.join(', ')}.`]
  );
}

/** The same at sign-in and at refresh, where the rest of the row has not been read. */
const known = ({ sid, endsAt, persistent }: PolicySession): PolicySession => ({
  sid,
  endsAt,
  persistent,
});

/**
 * @throws SessionError that the function threw; `temporarily_unavailable` if it takes too long; Error for everything else,
 *   whatever status it has, so that only a SessionError decides about the response
 */
async function limited<T>(name: string, run: () => T | Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const message = `${name} of this server's policy took longer than two seconds. Try again in a moment.`;
    timer = setTimeout(
      () => reject(new SessionError('temporarily_unavailable', message)),
      TIME_LIMIT
    );
  });
  try {
    return await Promise.race([(async () => run())(), late]);
  } catch (error) {
    if (error instanceof SessionError) throw error;
    throw new Error(
      `${name} of policy.ts failed: ${error instanceof Error ? error.stack : String(error)}`
    );
  } finally {
    clearTimeout(timer);
  }
}

function checkClaims(claims: unknown, reserved: readonly string[]): Claims {
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw new Error('claims of policy.ts must return an object.');
  }
  const taken = Object.keys(claims).filter((name) => reserved.includes(name));
  if (taken.length === 0) return claims as Claims;
  throw new Error(
    `claims of policy.ts returned ${taken.join(' and ')}, but these names are reserved: ${reserved.join(', ')}. Use other names.`
  );
}

const textOf = ({ accessTtl, idleTtl, absoluteTtl }: ConfiguredLifetimes): Lifetimes => ({
  access: formatDuration(accessTtl),
  idle: formatDuration(idleTtl),
  absolute: formatDuration(absoluteTtl),
});

function checkLifetimes(
  returned: Partial<Lifetimes>,
  config: ConfiguredLifetimes
): SessionLifetimes {
  const defaults = textOf(config);
  // A misspelled name would leave a lifetime at its default.
  if (typeof returned !== 'object' || Object.keys(returned).some((name) => !(name in defaults))) {
    throw new Error(
      `lifetimes of policy.ts must return an object with nothing but ${Object.keys(defaults).join(', ')}.`
    );
  }
  const of = (name: keyof Lifetimes) => String(returned[name] ?? defaults[name]);
  const chosen = { access: of('access'), idle: of('idle'), absolute: of('absolute') };
  const read = (name: keyof Lifetimes): number => {
    const duration = parseDuration(chosen[name]);
    if (duration !== null && duration >= UNITS.s) return duration;
    throw new Error(
      `lifetimes of policy.ts returned ${name}: "${chosen[name]}": expected a duration from 1s to 3650d, such as '15m', '2h' or '2d'.`
    );
  };
  const [accessTtl, idleTtl, absoluteTtl] = [read('access'), read('idle'), read('absolute')];
  if (ttlProblems(accessTtl, idleTtl).length > 0) {
    throw new Error(
      `lifetimes of policy.ts returned access: "${chosen.access}", which must be shorter than idle: "${chosen.idle}": the refresh token has to outlive the access token.`
    );
  }
  return {
    accessTtl: accessTtl === config.accessTtl ? null : accessTtl,
    idleTtl: idleTtl === config.idleTtl ? null : idleTtl,
    absoluteTtl,
  };
}
