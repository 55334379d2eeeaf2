/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/tests/**/*.test.ts'],
  transform: { '\\.ts$': ['@swc/jest', {}] },
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/.tmp'],
  // A booted Strapi holds some 300 MB.
  workerIdleMemoryLimit: '1GB',
  testTimeout: 30_000,
};
