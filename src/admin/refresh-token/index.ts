/**
 * Sessions in the admin panel: a page under Settings > Users & Permissions plugin, and a panel next to each user in the content
 * manager. Call `addSessions(app)` in the `bootstrap` of `src/admin/app`. Without it, nothing here runs.
 *
 * Yours to edit: `translations.ts` holds every text. The server checks each permission again, so nothing here is a safeguard.
 */
import type { StrapiApp } from '@strapi/strapi/admin';
import { READ } from './api';
import { currentTexts } from './texts';
import { userPanel } from './user-panel';

/** The part of the content manager's plugin API that has no exported type. */
interface ContentManager {
  addEditViewSidePanel?: (panels: unknown[]) => void;
}

export function addSessions(app: Pick<StrapiApp, 'addSettingsLink' | 'getPlugin'>): void {
  app.addSettingsLink('users-permissions', {
    id: 'refresh-token-sessions',
    intlLabel: {
      id: 'refresh-token.title',
      // Read on every render: the language is known only after the admin has signed in.
      get defaultMessage() {
        return currentTexts().t('title');
      },
    },
    to: 'users-permissions/sessions',
    permissions: [READ],
    Component: () => import('./sessions-page'),
  });

  const { addEditViewSidePanel } = (app.getPlugin('content-manager')?.apis ?? {}) as ContentManager;
  addEditViewSidePanel?.([userPanel]);
}
