/**
 * An object with some properties replaced. It keeps the others, and the prototype, so that a project's own class still
 * works as a service or a controller. (Only `#private` fields do not: they are on the original alone.)
 */
export const withChanges = <T extends object, C extends object>(original: T, changes: C): T & C =>
  Object.assign(Object.create(Object.getPrototypeOf(original)), original, changes);

/** Copies the original's other properties onto its replacement, getters and setters included. */
export function withPropertiesOf<F extends object>(replacement: F, original: object): F {
  for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(original))) {
    if (!(name in replacement)) Object.defineProperty(replacement, name, property);
  }
  return replacement;
}

/** An object that inherits from another one. Assigning would call the setters of that one, which change it. */
export const inherit = (from: object, values: object) =>
  Object.create(from, Object.getOwnPropertyDescriptors(values));
