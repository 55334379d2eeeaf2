const BROWSERS: [RegExp, string][] = [
  [/\bEdg(?:e|A|iOS)?\//, 'Edge'],
  [/\b(?:OPR|OPT|Opera)\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\bVivaldi\//, 'Vivaldi'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:\w*Chrome|Chromium|CriOS)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
];

/** An iPhone also claims to be a Mac, and Android to be Linux: the more specific one is first. */
const SYSTEMS: [RegExp, string][] = [
  [/\bWindows\b/, 'Windows'],
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bAndroid\b/, 'Android'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\b(?:Macintosh|Mac OS X|macOS)\b/, 'macOS'],
  [/\b(?:Linux|X11)\b/, 'Linux'],
];

/** Names that differ from what people call the product. */
const PRODUCTS: Record<string, string> = { PostmanRuntime: 'Postman', node: 'Node.js' };

export interface Device {
  app?: string;
  system?: string;
}

const find = (table: [RegExp, string][], text: string): string | undefined =>
  table.find(([pattern]) => pattern.test(text))?.[1];

/**
 * What people call the device that sent a User-Agent header. Empty if the header contains nothing that they would recognize. It is
 * what the client claims to be, not proof.
 */
export function parseUserAgent(userAgent: string): Device {
  const app = /^Mozilla\//.test(userAgent) ? find(BROWSERS, userAgent) : productOf(userAgent);
  const system = find(SYSTEMS, userAgent);
  return { ...(app && { app }), ...(system && { system }) };
}

/** @returns the first product of a client that is not a browser, such as "curl" of "curl/8.5.0" */
function productOf(userAgent: string): string | undefined {
  const name = /^([^\s/()]{1,40})(?:\/|$)/.exec(userAgent)?.[1];
  if (!name) return undefined;
  const known = Object.entries(PRODUCTS).find(([product]) => product === name)?.[1];
  return known ?? decoded(name);
}

/** Apps of Apple devices encode the spaces of their name. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
