import { createExample } from './example';

/** `examples/expo`. A phone is not available here: tests/integration/recipes.test.ts runs the same store against Strapi. */

test('The app compiles against the types of React Native and Expo', async () => {
  const example = await createExample('expo', ['react.ts']);
  try {
    await example.run('npm', ['run', 'typecheck']);
  } finally {
    await example.remove();
  }
});
