/**
 * Every error this extension responds with: the stable `error.details.code`, its HTTP status and its message. Front ends
 * branch on the code; the message is for the person who reads the network tab.
 */
export const ERRORS = {
  invalid_request: [400, 'The request does not have the expected format.'],
  refresh_token_missing: [
    400,
    'Missing refresh token. Send the cookie, or { "refreshToken": "…" } as JSON.',
  ],
  refresh_token_invalid: [
    401,
    'Invalid refresh token: this server did not issue it. Sign in again.',
  ],
  refresh_token_expired: [401, 'The refresh token has expired. Sign in again.'],
  refresh_token_reused: [
    401,
    'This refresh token was already used, so its session was ended. Sign in again.',
  ],
  session_ended: [401, 'The session has ended. Sign in again.'],
  user_refused: [401, 'This user is not allowed to sign in.'],
  authentication_required: [401, "Sign in first: this route requires a user's access token."],
  origin_refused: [403, 'This origin is not allowed to use the refresh cookie.'],
  session_not_found: [404, 'Session not found.'],
  recent_sign_in_required: [
    403,
    'This request needs a recent sign-in. Sign in again, then repeat the request.',
  ],
  // The name is that of RFC 6749, section 4.1.2.1.
  temporarily_unavailable: [503, 'The database is too busy right now. Try again in a moment.'],
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** @returns whether a code is from the catalog */
export const isErrorCode = (code: string): code is ErrorCode => Object.keys(ERRORS).includes(code);

/** The statuses of a refusal with a code of your own. */
const OWN_STATUSES = [400, 401, 403] as const;

type OwnStatus = (typeof OWN_STATUSES)[number];

/**
 * A refusal with a code from the catalog, or with one of your own. `http/response.ts` is the one place that turns it into a
 * response; if a project's own controller throws it, Strapi's error middleware responds with the same status and details.
 */
export class SessionError extends Error {
  readonly code: string;

  readonly status: (typeof ERRORS)[ErrorCode][0];

  readonly details: { code: string; [detail: string]: unknown };

  readonly cause?: unknown;

  /**
   * @param code what went wrong
   * @param message replaces the catalog's message where the caller knows more; never contains a secret or a token
   * @param options.cause the underlying error, for code that catches this one; never part of a response
   */
  constructor(code: ErrorCode, message?: string, options?: { cause: unknown });
  /**
   * @param code your own, for your front end to branch on
   * @param status 400, 401 or 403. With 401, front ends consider the session over
   * @param message for people
   * @param details more for `error.details` in the response, as JSON
   * @throws TypeError for any other status
   */
  constructor(code: string, status: OwnStatus, message: string, details?: object);
  constructor(
    code: string,
    first?: string | OwnStatus,
    second?: string | { cause: unknown },
    more?: object
  ) {
    const isOwn = typeof first === 'number';
    if (isOwn ? !OWN_STATUSES.includes(first) : !isErrorCode(code)) {
      throw new TypeError(
        `SessionError: a code of your own needs a status (${OWN_STATUSES.join(', ')}) and a message. Example: new SessionError('${code}', 403, 'Why.')`
      );
    }
    const [status, text] = isOwn ? [first, String(second)] : ERRORS[code as ErrorCode];
    super(typeof first === 'string' ? first : text);
    if (typeof second === 'object') this.cause = second.cause;
    this.name = 'SessionError';
    this.code = code;
    this.status = status;
    this.details = { ...more, code };
  }
}

/**
 * What people and databases wrote, for a log line: a line break or a terminal's control character in it would forge other lines.
 *
 * @param value text, or an error, whose message may quote the values of a statement
 * @returns the text with these characters escaped as in JSON
 */
export const oneLine = (value: unknown): string =>
  String(value).replace(
    /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  );

/** Stops the boot. Names the setting, its value (never a secret's), what was expected, and an example. */
export class ConfigurationError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `The refresh-token extension cannot start:\n${problems.map((p) => `  - ${p}`).join('\n')}`
    );
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}
