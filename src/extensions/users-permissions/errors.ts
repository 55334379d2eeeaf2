/**
 * Every error this extension answers with: the stable `error.details.code`, its HTTP status and the sentence that goes
 * with it. Front ends decide by the code; the sentence is for the person who reads the network tab.
 */
export const ERRORS = {
  invalid_request: [400, 'The request is not of the expected form.'],
  refresh_token_missing: [
    400,
    'No refresh token: send the cookie, or { "refreshToken": "…" } as JSON.',
  ],
  refresh_token_invalid: [401, 'This is not a refresh token of this server. Sign in again.'],
  refresh_token_expired: [401, 'The refresh token has expired. Sign in again.'],
  refresh_token_reused: [
    401,
    'This refresh token was used before, so its session has been ended. Sign in again.',
  ],
  session_ended: [401, 'The session has ended. Sign in again.'],
  user_refused: [401, 'This user may not sign in.'],
  authentication_required: [401, 'Sign in first: this needs the access token of a user.'],
  origin_refused: [403, 'This origin may not use the refresh cookie.'],
  session_not_found: [404, 'No such session.'],
  // The name is that of RFC 6749, section 4.1.2.1.
  temporarily_unavailable: [503, 'The database is too busy right now. Try again in a moment.'],
} as const;

export type ErrorCode = keyof typeof ERRORS;

/**
 * A refusal with a code of the catalogue. `http/response.ts` is the one place that turns it into a response; out of a
 * project's own controller Strapi's error middleware answers it with the same status and details.
 */
export class SessionError extends Error {
  readonly code: ErrorCode;

  readonly status: (typeof ERRORS)[ErrorCode][0];

  readonly details: { code: ErrorCode };

  readonly cause?: unknown;

  /**
   * @param code what went wrong
   * @param message replaces the catalogue's sentence where the case knows better; never contains a secret or a token
   * @param options.cause the error behind it, for whoever catches this one; never part of a response
   */
  constructor(code: ErrorCode, message?: string, options?: { cause: unknown }) {
    super(message ?? ERRORS[code][1]);
    if (options) this.cause = options.cause;
    this.name = 'SessionError';
    this.code = code;
    [this.status] = ERRORS[code];
    this.details = { code };
  }
}

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
