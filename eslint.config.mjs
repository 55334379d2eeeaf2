import { importX } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

const { configs, config } = tseslint;

export default config(
  { ignores: ['node_modules', 'dist', 'build', '.tmp', '.strapi', '.cache', 'types', 'coverage'] },
  ...configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [importX.flatConfigs.typescript],
    plugins: { 'import-x': importX },
    languageOptions: {
      parserOptions: { project: './tsconfig.check.json', tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      'import-x/no-cycle': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      // Strapi hands out much that has no type of its own.
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
    },
  },
  {
    files: ['src/extensions/**/*.ts'],
    ignores: ['src/extensions/users-permissions/config.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Only config.ts reads the environment.' },
      ],
    },
  }
);
