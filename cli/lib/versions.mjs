// Versions and ranges, as far as a package.json of a Strapi project has them.

const VERSION = /^(\d+)\.(\d+)\.(\d+)(-[\w.-]+)?(?:\+[\w.-]+)?$/;

/** @returns {boolean} */
export const isVersion = (text) => typeof text === 'string' && VERSION.test(text);

export const majorOf = (version) => Number(VERSION.exec(version)[1]);

/** @returns {number} negative if `a` is older than `b`, 0 if they are the same. All prereleases of a release count as one */
export function compareVersions(a, b) {
  const [left, right] = [a, b].map((version) => {
    const [, major, minor, patch, prerelease] = VERSION.exec(version);
    return [...[major, minor, patch].map(Number), prerelease ? 0 : 1];
  });
  const index = left.findIndex((part, at) => part !== right[at]);
  return index < 0 ? 0 : left[index] - right[index];
}

const RANGE = /^([~^=]|>=)?\s*v?(\d+)(?:\.(\d+|[x*]))?(?:\.(\d+|[x*])(-[\w.-]+)?)?(?:\s+<\S+)?$/;

/** @returns {string | null} the lowest version of a range; null if it is not one, or is as wide as "*" or ">=4" */
export function lowestOf(range) {
  const [, operator, major, minor, patch, prerelease = ''] = RANGE.exec(range.trim()) ?? [];
  if (!major || (operator === '>=' && Number(major) < 5)) return null;
  const [second, third] = [minor, patch].map((part) => (/^\d+$/.test(part) ? part : '0'));
  return `${major}.${second}.${third}${prerelease}`;
}
