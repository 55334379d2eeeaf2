// What the panel needs outside its folder: two lines in the app of the admin panel, and a package.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { readOwners } from './files.mjs';
import { ADMIN, PANEL, unix } from './names.mjs';
import { compareVersions } from './versions.mjs';

/** Where Strapi looks for the app. The first one counts. */
const APPS = ['js', 'mjs', 'ts', 'jsx', 'tsx'].map((extension) => `src/admin/app.${extension}`);

const IMPORT = "import { addSessions } from './refresh-token';";

/** The app of a project that has none. */
const CREATED = {
  ts: {
    path: 'src/admin/app.tsx',
    text: `import type { StrapiApp } from '@strapi/strapi/admin';
${IMPORT}

export default {
  bootstrap(app: StrapiApp) {
    addSessions(app);
  },
};
`,
  },
  js: {
    path: 'src/admin/app.js',
    text: `${IMPORT}

export default {
  bootstrap(app) {
    addSessions(app);
  },
};
`,
  },
};

/**
 * Creates a missing app, and deletes it again with the panel. It never edits one.
 *
 * @param {string} root the project's
 * @param {'ts' | 'js'} language
 * @param {string | null} without `ADMIN` if the panel is left out, even if files of it stay
 * @param {import('./files.mjs').Change[]} changes that are about to be made to the copy
 * @returns {{ changes: import('./files.mjs').Change[], steps: string[] }} and what the owner has to do in their own app
 */
export function planApp(root, language, without, changes) {
  const index = `${PANEL}/index.${language}`;
  const change = changes.find(({ path: name }) => name === index);
  const isThere = change ? change.text !== null : readOwners(root, index) !== null;
  const hasPanel = isThere && without !== ADMIN;
  const created = CREATED[language];
  const [app, text] = APPS.map((name) => [name, readOwners(root, name)]).find(
    ([, found]) => found !== null
  ) ?? [null, ''];
  const callsPanel = /\baddSessions\(/.test(text);

  if (hasPanel === callsPanel) return { changes: [], steps: [] };
  if (hasPanel && !app) {
    return {
      changes: [{ ...created, why: 'new, adds the sessions to the admin panel' }],
      steps: [],
    };
  }
  if (hasPanel) {
    return {
      changes: [],
      steps: [
        `${app}: add the first line at its top, and the second to bootstrap(app):\n      ${IMPORT}\n      addSessions(app);`,
      ],
    };
  }
  if (app === created.path && unix(text) === created.text) {
    const why = 'deleted (it only added the sessions, and you had not edited it)';
    return { changes: [{ path: app, text: null, why }], steps: [] };
  }
  return { changes: [], steps: [`${app}: delete the import and the call of addSessions`] };
}

const DESIGN_SYSTEM = '@strapi/design-system';

/** The release whose build finds the package wherever Strapi's own is. It requires the panel's other packages by itself. */
const FINDS_IT_SINCE = '5.37.0';

/**
 * @param {import('./project.mjs').Project} project
 * @returns {string[]} that the build would not find a package that the panel imports
 */
export function reviewPackages({ root, strapi, manifest, packageManager }) {
  const { dependencies, devDependencies } = manifest;
  if (!strapi || compareVersions(strapi, FINDS_IT_SINCE) >= 0) return [];
  if (dependencies?.[DESIGN_SYSTEM] ?? devDependencies?.[DESIGN_SYSTEM]) return [];
  if (resolves(root, DESIGN_SYSTEM)) return [];
  // Before an installation, only the package manager tells. pnpm hides the packages of packages.
  const isInstalled = existsSync(path.join(root, 'node_modules/@strapi/strapi'));
  if (!isInstalled && packageManager !== 'pnpm') return [];
  return [
    `Before Strapi ${FINDS_IT_SINCE}, the build of the admin panel does not find ${DESIGN_SYSTEM} here. Add it to package.json, in the version that your Strapi uses, which this prints: ${packageManager} why ${DESIGN_SYSTEM}`,
  ];
}

function resolves(root, name) {
  try {
    createRequire(path.join(root, 'package.json')).resolve(name);
    return true;
  } catch {
    return false;
  }
}
