import { SessionError } from '../errors';
import type { Context } from '../types';
import { LONGEST_TEXT, readBody, replaceBody } from './request';
import type { Body } from './request';

/** What a sign-in may send in addition to Strapi's own fields. */
export interface SignInOptions {
  wantsBody: boolean;
  /** Null if the request does not say. */
  rememberMe: boolean | null;
  description: string | null;
  deviceId: string | null;
}

/**
 * Reads the sign-in options and removes them from the body: Strapi's actions refuse keys that they do not know.
 *
 * @param keepsDeviceId whether the project's registration has its own `deviceId` field, which then stays
 * @throws SessionError `invalid_request` for a value of the wrong type
 */
export function extractSignInOptions(ctx: Context, keepsDeviceId: boolean): SignInOptions {
  const { requestRefresh, rememberMe, sessionDescription, ...fields } = readBody(ctx);
  refuseIllFormed(fields);
  const { deviceId } = fields;
  if (!keepsDeviceId) delete fields.deviceId;
  const options = readSignInOptions({
    requestRefresh,
    rememberMe,
    sessionDescription,
    // The project's own field may hold anything; it is stored only where it fits.
    deviceId: keepsDeviceId && !isText(deviceId) ? null : deviceId,
  });
  replaceBody(ctx, fields);
  return options;
}

/**
 * Reads the sign-in options of a route that is not Strapi's own, from its query and its body. They stay in the body, because
 * the route may have fields of the same names; its `deviceId` may hold anything.
 *
 * @throws SessionError `invalid_request` for another value of the wrong type
 */
export function readForeignOptions(ctx: Context): SignInOptions {
  const fields = { ...ctx.query, ...readBody(ctx) } as Body;
  return readSignInOptions({
    ...fields,
    deviceId: isText(fields.deviceId) ? fields.deviceId : null,
  });
}

/** @throws SessionError `invalid_request` for a value of the wrong type */
export const readSignInOptions = (values: {
  requestRefresh?: unknown;
  rememberMe?: unknown;
  sessionDescription?: unknown;
  deviceId?: unknown;
}): SignInOptions => ({
  wantsBody: readRequestRefresh(values.requestRefresh),
  rememberMe: readRememberMe(values.rememberMe),
  description: readDescription(values.sessionDescription),
  deviceId: readDeviceId(values.deviceId),
});

function readRequestRefresh(value: unknown): boolean {
  if (value === true || value === 'true') return true;
  if (value === false || value === null || value === undefined) return false;
  throw new SessionError('invalid_request', 'requestRefresh must be true or false.');
}

/**
 * A provider's callback has it in its query.
 *
 * @returns null if the request does not say
 * @throws SessionError `invalid_request` if it is anything but true or false
 */
export function readRememberMe(value: unknown): boolean | null {
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  if (value === null || value === undefined) return null;
  throw new SessionError('invalid_request', 'rememberMe must be true or false.');
}

/**
 * @returns a session's description, or null
 * @throws SessionError `invalid_request` if it is not a string, or too long
 */
export const readDescription = (value: unknown): string | null =>
  readText(value, 'sessionDescription');

/**
 * @returns the client's id for its device, or null: '' means none, as in Strapi's refresh mode
 * @throws SessionError `invalid_request` if it is not a string, or too long
 */
export const readDeviceId = (value: unknown): string | null => readText(value, 'deviceId') || null;

function readText(value: unknown, field: string): string | null {
  if (value === undefined || value === null) return null;
  if (isText(value)) return value;
  throw new SessionError(
    'invalid_request',
    `${field} must be a string of at most ${LONGEST_TEXT} characters, without NUL.`
  );
}

/** Counted by character, as databases count. */
const isText = (value: unknown): value is string =>
  typeof value === 'string' && [...value].length <= LONGEST_TEXT && isWellFormed(value);

/**
 * Refuses text that something behind Strapi cannot handle: PostgreSQL rejects NUL, and bcryptjs never returns from an
 * unpaired surrogate, which blocks the whole process.
 *
 * @throws SessionError `invalid_request`
 */
export function refuseIllFormed(fields: object): void {
  if (Object.values(fields).some((value) => typeof value === 'string' && !isWellFormed(value))) {
    throw new SessionError(
      'invalid_request',
      'Fields must not contain the NUL character or an unpaired surrogate.'
    );
  }
}

/** @returns whether text contains neither NUL nor an unpaired surrogate, so that it can be hashed and stored */
export const isWellFormed = (text: string): boolean => !/\0|\p{Surrogate}/u.test(text);
