import path from 'node:path';
import tseslint from 'typescript-eslint';
import imports from './eslint/imports.mjs';

const FOLDER = 'src/extensions/users-permissions';

/** From top to bottom: a file imports from its own line and from those below. A folder ends in a slash. */
const LAYERS = [
  ['strapi-server'],
  ['admin/'],
  ['graphql'],
  ['register', 'bootstrap'],
  ['routes'],
  ['policies/', 'middlewares/'],
  ['controllers/'],
  ['lifecycles/'],
  ['cron/'],
  ['services/'],
  ['http/'],
  ['sessions/'],
  ['policy'],
  ['config/'],
  ['errors', 'wrap', 'original-plugin', 'policy-types', 'types'],
];

export default tseslint.config(
  { ignores: ['node_modules', 'dist', 'build', '.tmp', '.strapi', '.cache', 'types', 'coverage'] },
  // Each has its own packages, which are not installed here. They are compiled where they are.
  { ignores: ['examples/*/*', '!examples/browser/*'] },
  ...tseslint.configs.recommended,
  {
    plugins: { imports },
    rules: { 'imports/no-cycle': 'error' },
  },
  {
    files: ['**/*.{ts,tsx}'],
    languageOptions: {
      parserOptions: { project: './tsconfig.check.json', tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      // Much of what Strapi returns has no type.
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
    },
  },
  {
    files: ['src/admin/**/*.{ts,tsx}'],
    languageOptions: {
      parserOptions: { project: './src/admin/tsconfig.json', tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              // Strapi's build resolves these in every project. Under pnpm, it finds no others.
              regex:
                '^(?!\\.|(@strapi/strapi/admin|@strapi/design-system|react|react-router-dom)$)',
              message: 'Import only from Strapi’s admin, its design system, React and its router.',
            },
          ],
        },
      ],
    },
  },
  {
    // People read these files before they trust them with logins.
    files: [`${FOLDER}/**/*.ts`, 'client/**/*.ts', 'src/admin/refresh-token/**/*.{ts,tsx}'],
    rules: {
      'max-lines': ['error', 250],
      'max-lines-per-function': ['error', 60],
    },
  },
  {
    files: [`${FOLDER}/**/*.ts`],
    rules: {
      'imports/layer-order': [
        'error',
        { root: path.join(import.meta.dirname, FOLDER), layers: LAYERS },
      ],
    },
  },
  {
    files: ['src/extensions/**/*.ts'],
    ignores: ['src/extensions/users-permissions/config/read.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        {
          object: 'process',
          property: 'env',
          message: 'Only config/read.ts reads the environment.',
        },
      ],
    },
  }
);
