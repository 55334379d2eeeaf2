const common = {
  testEnvironment: 'node',
  transform: { '\\.ts$': ['@swc/jest', {}] },
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/.tmp'],
};

// Only if it names one, such as TEST_BROWSER=/usr/bin/chromium: npm does not bring a browser along.
const browser = process.env.TEST_BROWSER
  ? [
      {
        ...common,
        displayName: 'browser',
        testMatch: ['<rootDir>/tests/browser/**/*.test.ts'],
        globalSetup: '<rootDir>/tests/browser/build-admin.mjs',
      },
    ]
  : [];

// Only those that it names, such as TEST_PROXIES=nginx,caddy: npm does not bring them along, either.
const proxies = process.env.TEST_PROXIES
  ? [
      {
        ...common,
        displayName: 'proxies',
        globals: { TEST_PROXIES: process.env.TEST_PROXIES.split(',') },
        testMatch: ['<rootDir>/tests/proxies/**/*.test.ts'],
      },
    ]
  : [];

// SQLite alone unless told otherwise: TEST_DATABASES=sqlite,postgres,mysql
const databases = [...new Set((process.env.TEST_DATABASES || 'sqlite').split(','))];

// What no database has a part in runs on the first one only: headers, settings, shapes of answers, services that are wrapped.
const ANY_DATABASE =
  'access-token-settings|admin|customized|development|graphql|key-pair|openapi|older-tokens|origin|proxy|rate-limit|refusals|response-mode|stale-bearer';

/** @type {import('jest').Config} */
export default {
  // A booted Strapi holds some 300 MB.
  workerIdleMemoryLimit: '1GB',
  // Against what hangs; a machine may be slow.
  testTimeout: 180_000,
  projects: [
    ...['unit', 'integration'].map((name) => ({
      ...common,
      displayName: name,
      testMatch: [`<rootDir>/tests/${name}/**/*.test.ts`],
    })),
    ...browser,
    ...proxies,
    ...databases.map((database, index) => ({
      ...common,
      displayName: database,
      globals: { TEST_DATABASE: database, TEST_DATABASES: databases },
      globalSetup: '<rootDir>/tests/support/template-setup.ts',
      globalTeardown: '<rootDir>/tests/support/template-teardown.ts',
      testMatch: ['<rootDir>/tests/api/**/*.test.ts'],
      testPathIgnorePatterns: index > 0 ? [`/tests/api/(${ANY_DATABASE})\\.test\\.ts$`] : [],
    })),
  ],
};
