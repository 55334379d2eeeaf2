/** @returns whether a text is an origin as browsers send it, or one of an app shell, such as `capacitor://localhost` */
export function isOrigin(text: string): boolean {
  try {
    const { origin, protocol } = new URL(text);
    // By the standard, an app's custom scheme has no origin; its web view sends the scheme and the host.
    if (origin === 'null') return /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9.-]+$/.test(text);
    return /^https?:$/.test(protocol) && origin === text && !text.includes('*');
  } catch {
    return false;
  }
}

/**
 * @param origin as a browser sent it
 * @param allowed the entries of REFRESH_ALLOWED_ORIGINS
 */
export function matchesOrigin(origin: string, allowed: readonly string[]): boolean {
  return allowed.some((entry) => {
    const [scheme = '', rest] = entry.split('*.');
    if (rest === undefined) return entry === origin;
    // The star matches one label: *.example.com does not match https://a.b.example.com.
    const label = origin.slice(scheme.length, -rest.length - 1);
    return origin === `${scheme}${label}.${rest}` && /^[a-z0-9-]+$/.test(label);
  });
}

/**
 * Domains under which anyone can get a host, so that `*.vercel.app` would allow every page on Vercel. Only the common ones,
 * to catch mistakes; https://publicsuffix.org lists them all.
 */
const SHARED_DOMAINS = [
  'amplifyapp.com',
  'appspot.com',
  'azurestaticapps.net',
  'blogspot.com',
  'cloudfront.net',
  'csb.app',
  'deno.dev',
  'firebaseapp.com',
  'fly.dev',
  'framer.app',
  'github.dev',
  'github.io',
  'gitlab.io',
  'gitpod.io',
  'glitch.me',
  'herokuapp.com',
  'hosted.app',
  'loca.lt',
  'lovable.app',
  'netlify.app',
  'ngrok-free.app',
  'ngrok.app',
  'ngrok.io',
  'ondigitalocean.app',
  'onrender.com',
  'pages.dev',
  'railway.app',
  'repl.co',
  'replit.app',
  'replit.dev',
  'strapiapp.com',
  'surge.sh',
  'trycloudflare.com',
  'up.railway.app',
  'vercel.app',
  'web.app',
  'webflow.io',
  'workers.dev',
];

/** The same, including their subdomains, such as a region's. */
const CLOUDS =
  /(^|\.)(amazonaws\.com|azurecontainerapps\.io|azurewebsites\.net|cloudapp\.net|run\.app|windows\.net)$/;

/** As in co.uk or com.br. */
const SHARED_COUNTRY_DOMAIN = /^(ac|co|com|edu|gob|gov|ne|net|nom|or|org)\.[a-z]{2}$/;

/** @returns what is wrong with an entry of REFRESH_ALLOWED_ORIGINS */
export function originProblems(entry: string): string[] {
  const problem = (expected: string, example: string) => [
    `REFRESH_ALLOWED_ORIGINS contains "${entry}": ${expected}. Example: REFRESH_ALLOWED_ORIGINS=${example}`,
  ];
  if (!entry.includes('*')) {
    if (isOrigin(entry)) return [];
    return problem(
      'expected origins, separated by commas, each a scheme and a host without a path or a trailing slash',
      'https://www.my-shop.com'
    );
  }

  const [, scheme = '', host = ''] = /^(https?:\/\/)\*\.(.+)$/.exec(entry) ?? [];
  if (!isOrigin(scheme + host)) {
    return problem(
      'a star must be the whole first label of the host, without a path or a trailing slash after it',
      'https://*.my-shop.com'
    );
  }
  const { hostname } = new URL(scheme + host);
  const isShared =
    !hostname.includes('.') ||
    SHARED_DOMAINS.includes(hostname) ||
    CLOUDS.test(hostname) ||
    SHARED_COUNTRY_DOMAIN.test(hostname) ||
    /^[\d.]+$/.test(hostname);
  if (!isShared) return [];
  return problem(
    `anyone can get a host under ${hostname}, so list each front end by name`,
    `https://my-shop.${hostname}`
  );
}
