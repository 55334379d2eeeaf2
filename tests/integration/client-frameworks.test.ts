import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { createSSRApp, h } from 'vue';
import { renderToString as renderVue } from 'vue/server-renderer';
import { reactSession } from '../../client/react';
import { createSession } from '../../client/session';
import { vueSession } from '../../client/vue';

/** What a browser does with these files is tested in tests/browser/frameworks.test.ts. */

let asked: number;
const session = () =>
  createSession({
    fetch: async () => {
      asked += 1;
      throw new Error('Nothing is requested on a server.');
    },
  });
beforeEach(() => (asked = 0));

test('The hook renders on a server, and requests nothing there', () => {
  const { useSession } = reactSession(session());
  const Who = () => createElement('p', null, useSession().status);
  expect(renderToString(createElement(Who))).toBe('<p>loading</p>');
  expect(asked).toBe(0);
});

test('The composable renders on a server, and requests nothing there', async () => {
  const { useSession } = vueSession(session());
  const app = createSSRApp({
    setup() {
      const state = useSession();
      return () => h('p', state.value.status);
    },
  });
  expect(await renderVue(app)).toBe('<p>loading</p>');
  expect(asked).toBe(0);
});
