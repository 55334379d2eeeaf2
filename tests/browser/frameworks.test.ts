/// <reference lib="dom" />
import { spawn } from 'child_process';
import type { ChildProcess } from 'child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'fs';
import path from 'path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { startDemo } from '../support/demo';
import { freePort } from '../support/port';
import { launch } from './browser';

/** `client/react.ts` and `client/vue.ts`, served by Vite's development server, with StrictMode and hot reloading. */

const ROOT = path.resolve(__dirname, '../..');

/** As client/README.md shows it. */
const mySession = (bind: string, file: string) => `
  import { ${bind} } from './client/${file}';
  import { createSession } from './client/session';

  function make() {
    const session = createSession({ quiet: true });
    return { session, ...${bind}(session) };
  }
  const one: ReturnType<typeof make> = import.meta.hot ? (import.meta.hot.data.one ??= make()) : make();
  export const { session, useSession, reload } = one;
`;

const FILES = {
  'sdk.ts': `
    import { strapiClient } from './client/strapi-client';
    import { session } from './my-session';
    export const client = strapiClient(session, { baseURL: location.origin + '/api' });
  `,
  'index.html':
    '<link rel="icon" href="data:,"><div id="app"></div><script type="module" src="/main.ts"></script>',
};

const FRAMEWORKS: Record<string, Record<string, string>> = {
  React: {
    'vite.config.mjs': `
      import react from '@vitejs/plugin-react-swc';
      export default { plugins: [react()], optimizeDeps: { include: ['react', 'react-dom/client', 'react/jsx-dev-runtime', '@strapi/client'] } };
    `,
    'my-session.ts': mySession('reactSession', 'react'),
    'main.ts': `
      import { createElement, StrictMode } from 'react';
      import { createRoot } from 'react-dom/client';
      import { App } from './App';
      createRoot(document.getElementById('app')!).render(createElement(StrictMode, null, createElement(App)));
    `,
    'App.tsx': `
      import { reload, session, useSession } from './my-session';
      export function App() {
        const state = useSession();
        const signIn = () => session.signIn({ identifier: 'ada', password: 'ada-password' });
        return <main>
          <h1>First edition</h1>
          <p id="state">{state.status} {state.user?.username} {'code' in state && state.code}</p>
          <button onClick={signIn}>Sign in</button>
          <button onClick={() => session.signOut()}>Sign out</button>
          <button onClick={() => reload()}>Retry</button>
        </main>;
      }
    `,
  },
  Vue: {
    'vite.config.mjs': `
      import vue from '@vitejs/plugin-vue';
      export default { plugins: [vue()], optimizeDeps: { include: ['vue', '@strapi/client'] } };
    `,
    'my-session.ts': mySession('vueSession', 'vue'),
    'main.ts': `
      import { createApp } from 'vue';
      import App from './App.vue';
      createApp(App).mount('#app');
    `,
    'App.vue': `
<script setup lang="ts">
import { reload, session, useSession } from './my-session';
const state = useSession();
const signIn = () => session.signIn({ identifier: 'ada', password: 'ada-password' });
</script>
<template>
  <main>
    <h1>First edition</h1>
    <p id="state">{{ state.status }} {{ state.user?.username }} {{ 'code' in state ? state.code : '' }}</p>
    <button @click="signIn">Sign in</button>
    <button @click="session.signOut()">Sign out</button>
    <button @click="reload()">Retry</button>
  </main>
</template>
    `,
  },
};

let demo: Awaited<ReturnType<typeof startDemo>>;
let browser: Browser;
beforeAll(async () => {
  browser = await launch();
  demo = await startDemo();
});
afterAll(async () => {
  await browser?.close();
  await demo?.stop();
});

describe.each(Object.keys(FRAMEWORKS))('A page in %s', (framework) => {
  const files: Record<string, string> = { ...FILES, ...FRAMEWORKS[framework] };
  let folder: string;
  let vite: ChildProcess;
  let said = '';
  let url: string;
  let context: BrowserContext;
  let page: Page;
  /** Paths of the requests to the API, and everything that the browser's console calls an error. */
  let asked: string[];
  let complaints: string[];

  const write = (name: string, text: string) => writeFileSync(path.join(folder, name), text);

  beforeAll(async () => {
    mkdirSync(path.join(ROOT, '.tmp'), { recursive: true });
    // Below node_modules, from which Vite serves its dependencies.
    folder = mkdtempSync(path.join(ROOT, '.tmp/vite-'));
    cpSync(path.join(ROOT, 'client'), path.join(folder, 'client'), { recursive: true });
    const port = await freePort();
    url = `http://localhost:${port}`;
    const server = { strictPort: true, port, fs: { strict: false }, proxy: { '/api': demo.url } };
    for (const [name, text] of Object.entries(files)) write(name, text);
    write(
      'vite.config.mjs',
      files['vite.config.mjs']!.replace(
        'export default {',
        `export default { server: ${JSON.stringify(server)}, cacheDir: 'cache',`
      )
    );
    vite = spawn(process.execPath, [path.join(ROOT, 'node_modules/vite/bin/vite.js'), folder], {
      cwd: folder,
    });
    await new Promise<void>((resolve, reject) => {
      vite.stderr!.on('data', (text) => (said += text));
      vite.stdout!.on('data', (text) => {
        said += text;
        if (said.includes('ready in')) resolve();
      });
      vite.once('exit', () => reject(new Error(`Vite ended:\n${said}`)));
    });
  });
  afterAll(() => {
    const hasEnded = vite.exitCode !== null || vite.signalCode !== null;
    vite.kill();
    rmSync(folder, { recursive: true, force: true });
    if (hasEnded) throw new Error(`Vite ended:\n${said}`);
  });

  beforeEach(async () => {
    for (const [name, text] of Object.entries(files)) {
      if (name !== 'vite.config.mjs') write(name, text);
    }
    context = await browser.newContext();
    context.setDefaultTimeout(60_000);
    page = await context.newPage();
    asked = [];
    complaints = [];
    context.on('request', (request) => {
      const { pathname } = new URL(request.url());
      if (pathname.startsWith('/api/')) asked.push(`${request.method()} ${pathname}`);
    });
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
  });
  afterEach(() => context.close());

  const clickOn = (name: string) => page.getByRole('button', { name, exact: true }).click();
  const shows = (state: string, tab = page) =>
    tab.waitForFunction(
      (wanted) =>
        document.getElementById('state')?.textContent?.replace(/\s+/g, ' ').trim() === wanted,
      state
    );
  const signIn = async () => {
    await page.goto(url);
    await shows('signed-out');
    await clickOn('Sign in');
    await shows('signed-in ada');
  };

  test('requests nothing for a first-time visitor, whose console stays empty', async () => {
    await page.goto(url);
    await shows('signed-out');
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await page.waitForTimeout(500);
    expect(asked).toEqual([]);
    expect(complaints).toEqual([]);
  });

  test('shows who is signed in, and after a reload asks only once', async () => {
    await signIn();
    expect(asked).toEqual(['POST /api/auth/local']);
    asked.length = 0;
    await page.reload();
    await shows('signed-in ada');
    expect(asked).toEqual(['POST /api/token/refresh', 'GET /api/users/me']);
    expect(complaints).toEqual([]);
  });

  test('keeps its session when its code is edited', async () => {
    await signIn();
    await page.evaluate(() => Object.assign(window, { isTheSamePage: true }));
    asked.length = 0;

    const app = framework === 'React' ? 'App.tsx' : 'App.vue';
    write(app, files[app]!.replace('First edition', 'Second edition'));
    await page.getByRole('heading', { name: 'Second edition' }).waitFor();
    await shows('signed-in ada');

    // The module that holds the session is loaded again.
    const loaded = page.waitForResponse((response) => response.url().includes('/my-session.ts?t='));
    write('my-session.ts', `${files['my-session.ts']}\n// Edited.`);
    await loaded;
    await shows('signed-in ada');
    expect(await page.evaluate(() => 'isTheSamePage' in window)).toBe(true);
    expect(asked).toEqual([]);

    await clickOn('Sign out');
    await shows('signed-out signed_out');
    expect(asked).toEqual(['POST /api/token/revoke']);
    expect(complaints).toEqual([]);
  });

  test('can call @strapi/client with the session', async () => {
    await signIn();
    await page.reload();
    await shows('signed-in ada');
    asked.length = 0;
    // As a string, because TypeScript would compile the import for Node.
    const name = await page.evaluate(`(async () => {
      const { client } = await import('/sdk.ts');
      return (await (await client.fetch('/users/me')).json()).username;
    })()`);
    expect(name).toBe('ada');
    expect(asked).toEqual(['GET /api/users/me']);
    expect(complaints).toEqual([]);
  });

  test('follows what happens in another tab', async () => {
    await signIn();
    const second = await context.newPage();
    await second.goto(url);
    await shows('signed-in ada', second);
    await clickOn('Sign out');
    await shows('signed-out signed_out', second);
    await clickOn('Sign in');
    await shows('signed-in ada', second);
  });

  test('shows neither while the server cannot be asked, and asks again when it is back online', async () => {
    await signIn();
    await context.route('**/api/token/refresh', (route) => route.abort());
    await page.reload();
    await shows('unknown');
    await clickOn('Retry');
    await shows('unknown');
    await context.unroute('**/api/token/refresh');
    await page.evaluate(() => window.dispatchEvent(new Event('online')));
    await shows('signed-in ada');
  });
});
