import { spawn } from 'child_process';
import type { ChildProcess } from 'child_process';
import { once } from 'events';
import path from 'path';
import type { Core } from '@strapi/strapi';
import type { Response } from 'supertest';
import { openSessionsOnSignIn } from '../../src/extensions/users-permissions/controllers/auth';
import { calls, claims, cookieHeader, cookies, outcome } from '../support/client';
import { complaintsOf } from '../support/openapi';
import { freePort } from '../support/port';
import { since } from '../support/release';
import { boot, MINUTE, pass } from '../support/server';
import type { Server } from '../support/server';

/** A real OAuth 2 round trip; the provider runs on localhost, this Strapi and its front end on 127.0.0.1. */

const EMAIL = 'johndoe@provider.test';
/** An ES module, which Jest cannot load, so it runs as a separate command. */
const PROVIDER = path.resolve('node_modules/oauth2-mock-server/dist/oauth2-mock-server.mjs');
let provider: ChildProcess;
let server: Server;
let url: string;
let frontEnd: string;

beforeAll(async () => {
  const providerPort = await freePort();
  const providerUrl = `http://localhost:${providerPort}`;
  provider = spawn(process.execPath, [PROVIDER, '-a', 'localhost', '-p', String(providerPort)]);
  await once(provider.stdout!, 'data');

  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  frontEnd = `${url}/front-end`;
  server = await boot({}, (strapi) => {
    loadPolicy().beforeSignIn = ({ ctx }: any) => {
      if (ctx.get('X-Country') === 'XX') throw new Error('The policy refuses.');
    };
    const actions = openSessionsOnSignIn(() => oldActions(strapi, providerUrl))({ strapi });
    strapi.server.routes(
      [
        ['/old/connect/:provider', actions.connect],
        ['/old/connect/:provider/callback', actions.connect],
        ['/old/:provider/callback', actions.callback],
      ].map(([path, handler]) => ({ method: 'GET', path, handler, config: { auth: false } })) as any
    );
    strapi.config.set('server.absoluteUrl', url);
    strapi.config.set('server.url', url);
    strapi
      .plugin('users-permissions')
      .service('providers-registry')
      .add('house', {
        enabled: true,
        icon: 'house',
        grantConfig: {
          key: 'client',
          secret: 'secret',
          oauth: 2,
          authorize_url: `${providerUrl}/authorize`,
          access_url: `${providerUrl}/token`,
          callback: frontEnd,
          scope: ['email'],
        },
        async authCallback({ accessToken }: { accessToken: string }) {
          if (accessToken === 'a-token') return { email: 'old@provider.test', username: 'old' };
          const response = await fetch(`${providerUrl}/userinfo`, {
            headers: { Authorization: `Bearer ${accessToken}` },
          });
          const { sub } = (await response.json()) as { sub: string };
          return { email: `${sub}@provider.test`, username: sub };
        },
      });
  });
  await new Promise<void>((resolve) => {
    server.strapi.server.httpServer.close(() => resolve());
  });
  await new Promise<void>((resolve) => {
    server.strapi.server.httpServer.listen(port, '127.0.0.1', resolve);
  });
});
afterAll(async () => {
  delete loadPolicy().beforeSignIn;
  provider.kill();
  await server.stop();
});

/** The policy that Strapi has loaded. */
const loadPolicy = () =>
  jest.requireActual(path.resolve('dist/src/extensions/users-permissions/policy.js')).policy;

/**
 * What the actions of releases before 5.53 do: the provider's tokens go to the front end in the URL, and come back in the
 * query of the callback. Their redirect accepts a token from anyone, without checking the state.
 */
const oldActions = (strapi: Core.Strapi, providerUrl: string) => ({
  async connect(ctx: any) {
    const redirect = `${url}/old/connect/house/callback`;
    if (!ctx.path.endsWith('/callback')) {
      ctx.session.grant = { provider: 'house' };
      const query = `response_type=code&client_id=client&scope=email&redirect_uri=${redirect}`;
      return ctx.redirect(`${providerUrl}/authorize?${query}`);
    }
    if (ctx.query.access_token) {
      return ctx.redirect(`${frontEnd}?access_token=${ctx.query.access_token}`);
    }
    const response = await fetch(`${providerUrl}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: ctx.query.code,
        client_id: 'client',
        redirect_uri: redirect,
      }),
    });
    const tokens = (await response.json()) as { access_token: string; id_token: string };
    const { access_token: accessToken, id_token: idToken } = tokens;
    return ctx.redirect(`${frontEnd}#/back?access_token=${accessToken}&id_token=${idToken}`);
  },

  async callback(ctx: any) {
    const plugin = strapi.plugin('users-permissions');
    const user = await plugin.service('providers').connect(ctx.params.provider, ctx.query);
    const jwt = plugin.service('jwt').issue({ id: user.id });
    return ctx.send({ jwt, user: { id: user.id } });
  },
});

/** What a browser sends for a cross-site link or redirect. */
const NAVIGATION = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' };
const FETCH = { 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'cors' };
const NONCE = 'refreshTokenVisit';

/** A browser: the cookies that this Strapi has set. Before Strapi 5.53, the provider's tokens come back in the query. */
class Browser {
  readonly jar = new Map<string, string>();

  private tokens = '';

  get cookie(): string {
    return [...this.jar].map((pair) => pair.join('=')).join('; ');
  }

  keep(lines: string[]): void {
    for (const line of lines) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (value) this.jar.set(name, value);
      else this.jar.delete(name);
    }
  }

  /** Goes to the provider and back, following every redirect. */
  async visitProvider(query = ''): Promise<this> {
    let at = `${url}/api/connect/house${query}`;
    for (let hop = 0; hop < 6 && !at.startsWith(frontEnd); hop += 1) {
      const headers = { ...NAVIGATION, ...(at.startsWith(url) && { Cookie: this.cookie }) };
      const response = await fetch(at, { redirect: 'manual', headers });
      if (at.startsWith(url)) this.keep(response.headers.getSetCookie());
      at = new URL(response.headers.get('location')!, at).href;
    }
    const [end, tokens = ''] = at.split('?');
    expect(end).toBe(frontEnd);
    this.tokens = tokens;
    return this;
  }

  /** Goes to the provider, and stops before the redirect back. @returns its target */
  async visitHalfWay(): Promise<string> {
    let at = `${url}/api/connect/house`;
    while (!at.startsWith(`${url}/api/connect/house/callback`)) {
      const headers = { ...NAVIGATION, ...(at.startsWith(url) && { Cookie: this.cookie }) };
      const response = await fetch(at, { redirect: 'manual', headers });
      if (at.startsWith(url)) this.keep(response.headers.getSetCookie());
      at = new URL(response.headers.get('location')!, at).href;
    }
    return at;
  }

  /** What the front end then requests with fetch. */
  async callback(query = '', headers: object = FETCH): Promise<Response> {
    const response = await server.api
      .get(`/api/auth/house/callback?${[this.tokens, query].filter(Boolean).join('&')}`)
      .set({ Cookie: this.cookie, ...headers });
    this.keep((response.headers['set-cookie'] ?? []) as unknown as string[]);
    return response;
  }

  async post(path: string, body: object = {}): Promise<Response> {
    const response = await server.api
      .post(path)
      .set({ Cookie: this.cookie, ...FETCH })
      .send(body);
    this.keep((response.headers['set-cookie'] ?? []) as unknown as string[]);
    return response;
  }

  /** The front end has left the URL that the provider redirected to, and with it the tokens that it has before Strapi 5.53. */
  forgetAddress(): void {
    this.tokens = '';
  }

  copy(): Browser {
    const copy = new Browser();
    this.jar.forEach((value, name) => copy.jar.set(name, value));
    copy.tokens = this.tokens;
    return copy;
  }
}

const visitProvider = (query?: string) => new Browser().visitProvider(query);

describe('A social sign-in', () => {
  test('goes to the provider and back, and opens a session by cookie', async () => {
    const response = await (await visitProvider()).callback();
    expect(complaintsOf('GET /auth/{provider}/callback', response)).toEqual([]);
    expect(response.body.user.email).toBe(EMAIL);
    expect(claims(response.body.jwt)).toMatchObject({ gen: 0, sid: expect.any(String) });
    expect(response.body.refreshToken).toBeUndefined();

    const refreshed = await server.api
      .post('/api/token/refresh')
      .set('Cookie', cookieHeader(response));
    expect(refreshed.status).toBe(200);
  });

  test.each([
    ['on the way there', '?requestRefresh=true&sessionDescription=TV&deviceId=tv-1', ''],
    ['on the way back', '', 'requestRefresh=true&sessionDescription=TV&deviceId=tv-1'],
  ])(
    'returns the refresh token in the body if that is requested %s',
    async (_where, there, back) => {
      const response = await (await visitProvider(there)).callback(back);
      expect(cookies(response).refreshToken).toBeUndefined();
      expect((await calls(server).refresh(response.body.refreshToken)).status).toBe(200);
      expect((await server.rows()).pop()).toMatchObject({ description: 'TV', device_id: 'tv-1' });
    }
  );

  test.each([
    ['on the way there', '?rememberMe=false', ''],
    ['on the way back', '', 'rememberMe=false'],
  ])(
    'opens a session that ends with the browser if that is requested %s',
    async (_where, there, back) => {
      const response = await (await visitProvider(there)).callback(back);
      expect(cookies(response).refreshToken).not.toMatch(/expires/i);
      expect(claims(cookies(response).refreshToken.split(/[=;]/)[1]).persistent).toBe(false);
    }
  );

  test('forgets the options of the previous visit', async () => {
    const browser = await visitProvider('?requestRefresh=true');
    await browser.callback();
    await browser.visitProvider();
    expect((await browser.callback()).body.refreshToken).toBeUndefined();
  });

  test('rejects a requestRefresh other than true or false, there and back', async () => {
    const there = await server.api.get('/api/connect/house?requestRefresh=yes');
    expect(outcome(there)).toBe('400 invalid_request');
    const back = await (await visitProvider()).callback('requestRefresh[]=true');
    expect(outcome(back)).toBe('400 invalid_request');
  });

  test('without a visit to the provider opens no session', async () => {
    const before = await server.rows();
    expect((await new Browser().callback()).status).toBe(400);
    expect(await server.rows()).toEqual(before);
  });

  test('of a blocked user opens no session', async () => {
    const users = server.strapi.db.query('plugin::users-permissions.user');
    await (await visitProvider()).callback();
    await users.update({ where: { email: EMAIL }, data: { blocked: true } });
    const before = await server.rows();
    const response = await (await visitProvider()).callback();
    await users.update({ where: { email: EMAIL }, data: { blocked: false } });
    expect(response.body.error.message).toMatch(/blocked by an administrator/);
    expect(await server.rows()).toEqual(before);
  });
});

describe('A social sign-in works once', () => {
  const REFUSED = '400 invalid_request';

  test('so scripts in the page cannot get a refresh token after it', async () => {
    const browser = await visitProvider();
    await browser.callback();
    browser.forgetAddress();
    const before = await server.rows();
    expect((await browser.callback('requestRefresh=true')).status).toBe(400);
    expect((await browser.callback()).status).toBe(400);
    expect(await server.rows()).toEqual(before);
  });

  test('and leaves no cookie behind that could sign in', async () => {
    const browser = await visitProvider();
    expect([...browser.jar.keys()]).toContain(NONCE);
    await browser.callback();
    expect([...browser.jar.keys()]).not.toContain(NONCE);
    const kept = Buffer.from(browser.jar.get('koa.sess') ?? '', 'base64').toString();
    expect(kept).not.toMatch(/access_token|grant|nonce/);
  });

  test.each([
    ['/api/token/revoke', {}],
    ['/api/auth/logout', {}],
    ['/api/auth/logout', { scope: 'all' }],
  ])('and not at all after signing out with %s %j', async (path, body) => {
    const browser = await visitProvider();
    await browser.callback();
    await browser.visitProvider();
    expect((await browser.post(path, body)).status).toBe(200);
    expect([...browser.jar.keys()]).not.toContain(NONCE);
    expect((await browser.callback()).status).toBe(400);
  });

  test('and not at all after ending the session from the list', async () => {
    const browser = await visitProvider();
    const { jwt } = (await browser.callback()).body;
    await browser.visitProvider();
    const ended = await server.api
      .delete(`/api/users/me/sessions/${claims(jwt).sid}`)
      .set({ Cookie: browser.cookie, Authorization: `Bearer ${jwt}`, ...FETCH });
    browser.keep(ended.headers['set-cookie'] as unknown as string[]);
    expect(browser.jar.has(NONCE)).toBe(false);
    expect(browser.jar.has('refreshToken')).toBe(false);
    expect((await browser.callback()).status).toBe(400);
  });

  test('and can be retried after it was refused', async () => {
    const browser = await visitProvider();
    const refused = await browser.callback('', { ...FETCH, 'Sec-Fetch-Site': 'cross-site' });
    expect(outcome(refused)).toBe('403 origin_refused');
    expect((await browser.callback()).status).toBe(200);
  });

  test('and can be repeated after the policy refused it', async () => {
    const browser = await visitProvider();
    const before = await server.rows();
    const refused = await browser.callback('', { ...FETCH, 'X-Country': 'XX' });
    expect(refused.status).toBe(500);
    expect(refused.body.jwt).toBeUndefined();
    expect(await server.rows()).toEqual(before);
    expect((await browser.callback()).status).toBe(200);
    expect((await browser.callback()).status).toBe(400);
  });

  test('within ten minutes', async () => {
    const browser = await visitProvider();
    const late = browser.copy();
    pass(10 * MINUTE + 1);
    expect(outcome(await late.callback())).toBe(REFUSED);
    pass(-20 * MINUTE - 2);
    expect(outcome(await late.callback())).toBe(REFUSED);
    pass(20 * MINUTE + 1);
    expect((await browser.callback()).status).toBe(200);
  });

  test('in the browser that went there, so a session cookie planted by a sibling host opens no session', async () => {
    const attacker = await visitProvider('?requestRefresh=true');
    const victim = new Browser();
    attacker.jar.forEach((value, name) => {
      if (name.startsWith('koa.sess')) victim.jar.set(name, value);
    });
    const before = await server.rows();
    expect((await victim.callback()).status).toBe(400);

    // Nor with a nonce from the victim's own visit.
    const visitor = await visitProvider();
    victim.jar.set(NONCE, visitor.jar.get(NONCE)!);
    expect((await victim.callback()).status).toBe(400);
    expect(await server.rows()).toEqual(before);
  });
});

describe('The provider’s redirect back is not mistaken for the start of a visit', () => {
  test.each(['/callback', '/callback/', '/callback//', '/callback/x', '/%63allback'])(
    'with the path %s, so a session cookie planted half-way opens no session',
    async (path) => {
      const attacker = new Browser();
      const back = await attacker.visitHalfWay();
      const victim = new Browser();
      for (const name of ['koa.sess', 'koa.sess.sig']) {
        victim.jar.set(name, attacker.jar.get(name)!);
      }
      const response = await fetch(back.replace('/callback', path), {
        redirect: 'manual',
        headers: { ...NAVIGATION, Cookie: victim.cookie },
      });
      victim.keep(response.headers.getSetCookie());
      const before = await server.rows();
      expect((await victim.callback()).status).toBe(400);
      expect(await server.rows()).toEqual(before);
    }
  );

  test.each(['/api/CONNECT/house', '/api/connect/', '/api/connect/house/%'])(
    'and a path that Strapi cannot parse is rejected: %s',
    async (path) => {
      const { status } = await server.api.get(path);
      expect([400, 404]).toContain(status);
    }
  );
});

describe('A social sign-in is refused', () => {
  test.each([
    ['for a link on another site', NAVIGATION],
    [
      'for a hidden frame on a sibling host',
      { 'Sec-Fetch-Site': 'same-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'iframe' },
    ],
    ['for the Back button', { 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'navigate' }],
    ['for a typed address', { 'Sec-Fetch-Site': 'none', 'Sec-Fetch-Mode': 'navigate' }],
    ['for a page over plain http', { Accept: 'text/html,application/xhtml+xml' }],
    [
      'for a page that a server of the front end forwards',
      { Accept: 'text/html,application/xhtml+xml', 'Sec-Fetch-Mode': 'cors' },
    ],
    [
      'for a script on an untrusted page, with its origin',
      { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'cors', Origin: 'https://evil.test' },
    ],
    [
      'for an image on an untrusted page',
      { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors' },
    ],
    [
      'for a script on the provider’s host',
      { 'Sec-Fetch-Site': 'cross-site', Origin: 'http://evil.localhost' },
    ],
  ])('%s, and the front end can still finish it', async (_whom, headers) => {
    const browser = await visitProvider('?requestRefresh=true');
    const before = await server.rows();
    const refused = await browser.callback('', headers);
    expect(outcome(refused)).toBe('403 origin_refused');
    expect(cookies(refused)).toEqual({});
    expect(await server.rows()).toEqual(before);
    expect((await browser.callback()).status).toBe(200);
  });
});

describe('If the provider’s token comes in the query, as before Strapi 5.53,', () => {
  let release: unknown;
  beforeAll(() => {
    release = server.strapi.config.get('info.strapi');
    server.strapi.config.set('info.strapi', '5.52.0');
  });
  afterAll(() => server.strapi.config.set('info.strapi', release));

  const there = '/old/connect/house';
  const callback = async (browser: Browser, query: string, headers: object = FETCH) => {
    const response = await server.api
      .get(`/old/house/callback?${query}`)
      .set({ Cookie: browser.cookie, ...headers });
    browser.keep((response.headers['set-cookie'] ?? []) as unknown as string[]);
    return response;
  };
  /** Navigates the browser. @returns where it ends, or that a given URL is reached */
  const navigate = async (browser: Browser, to: string, until = frontEnd) => {
    let at = new URL(to, url).href;
    for (let hop = 0; hop < 6 && !at.startsWith(until); hop += 1) {
      const headers = { ...NAVIGATION, ...(at.startsWith(url) && { Cookie: browser.cookie }) };
      const response = await fetch(at, { redirect: 'manual', headers });
      if (at.startsWith(url)) browser.keep(response.headers.getSetCookie());
      at = new URL(response.headers.get('location')!, at).href;
    }
    return at;
  };
  const tokensIn = (address: string) => new URLSearchParams(/\?(.*)$/.exec(address)![1]);

  test('the front end in the browser that went to the provider signs in, once', async () => {
    const browser = new Browser();
    const query = tokensIn(await navigate(browser, there)).toString();
    const response = await callback(browser, query);
    expect(response.status).toBe(200);
    expect(cookies(response).refreshToken).toBeDefined();
    expect(outcome(await callback(browser, query))).toBe('400 invalid_request');
  });

  test.each(['access_token', 'id_token'])('and can pass on only the %s', async (name) => {
    const browser = new Browser();
    const tokens = tokensIn(await navigate(browser, there));
    const response = await callback(browser, `${name}=${tokens.get(name)}`);
    // Not every release accepts an id_token.
    expect(outcome(response)).not.toBe('400 invalid_request');
  });

  test('a link with someone’s token does not sign a browser in', async () => {
    const before = await server.rows();
    const stranger = new Browser();
    expect(outcome(await callback(stranger, 'access_token=a-token'))).toBe('400 invalid_request');
    const page = await callback(stranger, 'access_token=a-token', NAVIGATION);
    expect(outcome(page)).toBe('403 origin_refused');
    expect(await server.rows()).toEqual(before);
  });

  test('not even if the browser is sent to the provider first, or has just come back', async () => {
    const onTheWay = new Browser();
    await navigate(onTheWay, there, `${url}/old/connect/house/callback`);
    const back = new Browser();
    const tokens = tokensIn(await navigate(back, there));
    for (const browser of [onTheWay, back]) {
      const refused = await callback(browser, 'access_token=a-token');
      expect(outcome(refused)).toBe('400 invalid_request');
    }
    const mixed = `id_token=${tokens.get('id_token')}&access_token=a-token`;
    expect(outcome(await callback(back, mixed))).toBe('400 invalid_request');
  });

  test.each([
    'access_token=a-token',
    'access_token=a-token&code=',
    'access_token=a-token&code=x&state=y',
    'access_token=a-token&error=x',
  ])('and not if the redirect back is forged: %s', async (query) => {
    const browser = new Browser();
    await navigate(browser, there, `${url}/old/connect/house/callback`);
    await navigate(browser, `/old/connect/house/callback?${query}`);
    const before = await server.rows();
    const refused = await callback(browser, 'access_token=a-token');
    expect(outcome(refused)).toBe('400 invalid_request');
    expect(await server.rows()).toEqual(before);
  });

  test('an app that has its own token from the provider and uses the body does not need a visit', async () => {
    const response = await callback(new Browser(), 'access_token=a-token&requestRefresh=true', {});
    expect(response.status).toBe(200);
    expect(cookies(response)).toEqual({});
    expect((await calls(server).refresh(response.body.refreshToken)).status).toBe(200);
  });
});

if (since('5.53.0')) {
  test('The query of the callback is ignored, so front ends can keep sending what they received', async () => {
    const browser = await visitProvider();
    expect((await browser.callback('access_token=null&code=undefined')).status).toBe(200);
  });
}

test('Options that are too long for the session cookie are rejected before the redirect to the provider', async () => {
  const description = encodeURIComponent('🔑'.repeat(200));
  const { status } = await server.api.get(`/api/connect/house?sessionDescription=${description}`);
  expect(status).toBe(400);
  const browser = await visitProvider();
  const response = await browser.callback(`requestRefresh=true&sessionDescription=${description}`);
  expect(response.status).toBe(200);
});
