/** Why nothing is done, in a sentence that says what to do about it. */
export class UserError extends Error {}
