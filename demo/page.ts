import { readFileSync } from 'fs';
import path from 'path';
import { setTimeout as sleep } from 'timers/promises';
import type { Core } from '@strapi/strapi';
import { GRACE_IS_OVER } from './scenes';

/** The files of the page; the client is the one that front ends copy in. */
const FILES: Record<string, string> = {
  '/': 'examples/browser/index.html',
  '/demo/style.css': 'examples/browser/style.css',
  '/demo/page.js': 'examples/browser/page.js',
  '/demo/session.js': 'dist/browser/session.js',
  '/demo/session-tokens.js': 'dist/browser/session-tokens.js',
  '/demo/session-http.js': 'dist/browser/session-http.js',
  '/demo/session-page.js': 'dist/browser/session-page.js',
};

/**
 * Serves the page at `/`, before Strapi's own redirect from there to the admin panel: call it between Strapi's register
 * and bootstrap. Also serves a thief, who has what malware on a device would have: a copy of the cookie.
 *
 * @param root the repository's
 */
export function servePage(strapi: Core.Strapi, root: string): void {
  let stolen = '';
  const config = { auth: false };
  const pages = Object.entries(FILES).map(([address, file]) => ({
    method: 'GET',
    path: address,
    config,
    handler(ctx: any) {
      ctx.type = path.extname(file);
      ctx.set('Cache-Control', 'no-cache');
      ctx.body = readFileSync(path.join(root, file));
    },
  }));
  const thief = [
    {
      method: 'POST',
      path: '/demo/thief/copy',
      config,
      handler(ctx: any) {
        stolen = ctx.get('cookie');
        ctx.body = { copied: stolen !== '' };
      },
    },
    {
      method: 'POST',
      path: '/demo/thief/replay',
      config,
      async handler(ctx: any) {
        await sleep(GRACE_IS_OVER);
        const response = await fetch(`http://${ctx.host}/api/token/refresh`, {
          method: 'POST',
          headers: { Cookie: stolen, 'User-Agent': 'A thief' },
        });
        const answer = (await response.json()) as { error?: { details: { code: string } } };
        // Never the token: the page's script must not see it.
        ctx.body = { status: response.status, code: answer.error?.details.code ?? '' };
      },
    },
  ];
  strapi.server.routes([...pages, ...thief] as any);
}
