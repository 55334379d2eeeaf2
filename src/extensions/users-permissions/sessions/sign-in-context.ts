import { AsyncLocalStorage } from 'async_hooks';

/**
 * What the wrapped jwt and user services, and the user lifecycle, learn while one of Strapi's actions signs a user in. The
 * actions themselves return neither the user nor the hash.
 */
interface SignInContext {
  /** The user whom each JWT was issued to. */
  userIds: Map<string, unknown>;
  checkedHash?: string;
  writtenHashes: Map<number, string>;
}

const current = new AsyncLocalStorage<SignInContext>();

/**
 * Runs an action that may sign a user in.
 *
 * @returns what the action returned; `userIdOf`: whom it issued a JWT to; `passwordHashOf`: the hash that a user's sign-in
 *   relies on, which is the one that was written for that user or else the one that was checked, undefined if there was no
 *   password (a social sign-in)
 */
export async function runSignIn(action: () => unknown): Promise<{
  result: unknown;
  userIdOf: (jwt: string) => unknown;
  passwordHashOf: (userId: number) => string | undefined;
}> {
  const context: SignInContext = { userIds: new Map(), writtenHashes: new Map() };
  const result = await current.run(context, async () => action());
  return {
    result,
    userIdOf: (jwt) => context.userIds.get(jwt),
    passwordHashOf: (userId) => context.writtenHashes.get(userId) ?? context.checkedHash,
  };
}

/** Records whom a JWT was issued to, if a sign-in is in progress. */
export function recordIssuedJwt(jwt: string, userId: unknown): void {
  current.getStore()?.userIds.set(jwt, userId);
}

/** Records the hash that a password was checked against, if a sign-in is in progress. */
export function recordCheckedPassword(hash: string): void {
  const context = current.getStore();
  if (context) context.checkedHash = hash;
}

/** Records the hash that was written for a user, if a sign-in is in progress. */
export function recordWrittenPassword(userId: number | undefined, hash: unknown): void {
  if (userId === undefined || typeof hash !== 'string') return;
  current.getStore()?.writtenHashes.set(userId, hash);
}
