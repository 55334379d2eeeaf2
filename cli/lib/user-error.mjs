/** Why the command does nothing, in a message that says what to do about it. */
export class UserError extends Error {}
