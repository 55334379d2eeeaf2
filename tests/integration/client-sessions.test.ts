import { useDevices, heldAnswer, keychain, setGlobal, until } from '../support/devices';
import { DAY, pass, PASSWORD } from '../support/server';

/** Lifetime of an access token, in seconds. */
const LIFE = 360;

const devices = useDevices();

type Tab = Awaited<ReturnType<typeof devices.signedIn>>['tab'];

const signIn = async (tab: Tab) => {
  const { username } = await devices.server.user();
  await tab.signIn({ identifier: username, password: PASSWORD });
  return username;
};

/** A request that changes something: it would end the sessions of the user it was sent for. */
const endOthers = (tab: Tab) =>
  tab.fetch('/api/users/me/sessions?except=current', { method: 'DELETE' });

const sessionsOf = async (username: string) => {
  const user = await devices.server.strapi.db
    .query('plugin::users-permissions.user')
    .findOne({ where: { username } });
  return (await devices.server.rows()).filter((row) => row.user_id === user.id).length;
};

const endAllOf = (userId: number) =>
  devices.server.strapi.service('plugin::users-permissions.refresh-session').signOut({ userId });

const types = (tab: Tab) => tab.events.map(({ type }) => type);

describe('A request that was made for one user', () => {
  /** Ada's page, and another front end on the same API, with the same cookies and no channel between them. */
  async function twoFrontEnds() {
    const { browser, tab: ada, username, id } = await devices.signedIn({ shared: false });
    const desk = browser.tab();
    const bob = await signIn(desk);
    await devices
      .device({ transport: 'body' })
      .tab()
      .signIn({ identifier: bob, password: PASSWORD });
    expect(await sessionsOf(bob)).toBe(2);
    browser.asked.length = 0;
    return { browser, ada, bob, username, id };
  }

  test('and gets a 401 is not resent for a user who has signed in since', async () => {
    const { browser, ada, bob } = await twoFrontEnds();
    expect((await endOthers(ada)).status).toBe(401);
    expect(await sessionsOf(bob)).toBe(2);
    expect(browser.asked).toEqual([
      'DELETE /api/users/me/sessions 401',
      'POST /api/token/refresh 200',
    ]);
    // The page is notified, and from now on it sends requests for Bob.
    expect(types(ada)).toEqual(['signed-in']);
    expect((await endOthers(ada)).status).toBe(200);
    expect(await sessionsOf(bob)).toBe(1);
  });

  test('and waits for a refresh is not sent if the refresh returns another user’s session', async () => {
    const { browser, ada, bob } = await twoFrontEnds();
    pass(LIFE);
    await expect(endOthers(ada)).rejects.toMatchObject({ code: 'session_changed', status: 0 });
    expect(await sessionsOf(bob)).toBe(2);
    expect(browser.asked).toEqual(['POST /api/token/refresh 200']);
    expect(types(ada)).toEqual(['signed-in']);
  });

  test('is not resent if another tab has signed in as someone else meanwhile', async () => {
    const { browser, tab: ada, id } = await devices.signedIn({ shared: true });
    const other = browser.tab();
    const { network, arrived, release } = heldAnswer(({ method }) => method === 'DELETE');
    await endAllOf(id);
    browser.onNetwork(network);
    const answered = endOthers(ada);
    await arrived;
    const bob = await signIn(other);
    await devices
      .device({ transport: 'body' })
      .tab()
      .signIn({ identifier: bob, password: PASSWORD });
    await until(() => types(ada).includes('signed-in'));
    release();
    expect((await answered).status).toBe(401);
    expect(await sessionsOf(bob)).toBe(2);
    expect(browser.refreshes()).toBe(0);
  });

  test('is not resent for a newer sign-in of the same user, either', async () => {
    const { browser, tab, username } = await devices.signedIn({ shared: false });
    await browser.tab().signIn({ identifier: username, password: PASSWORD });
    browser.asked.length = 0;
    expect(await tab.me()).toBe(401);
    expect(browser.asked).toEqual(['GET /api/users/me 401', 'POST /api/token/refresh 200']);
    expect(await tab.me()).toBe(200);
  });

  test('is resent within its session', async () => {
    const { browser, tab } = await devices.signedIn({ shared: true });
    const other = browser.tab();
    await other.refresh();
    await until(() => types(tab).includes('refreshed'));
    const key = 'plugin::users-permissions.jwtSecret';
    devices.server.strapi.config.set(key, `${devices.server.strapi.config.get(key)}-next`);
    expect([await tab.me(), await other.me()]).toEqual([200, 200]);
  });
});

describe('A sign-in outside of the client', () => {
  test('is reported as a sign-in, not as a refresh, in all tabs', async () => {
    const { browser, tab } = await devices.signedIn({ shared: true });
    const second = browser.tab();
    await second.refresh();
    await until(() => tab.events.length === 1);
    tab.events.length = 0;
    second.events.length = 0;

    await signIn(browser.tab({ shared: false }));
    pass(LIFE);
    await tab.refresh();
    expect(tab.events).toEqual([{ type: 'signed-in', user: undefined }]);
    await until(() => second.events.length > 0);
    expect(second.events).toEqual([{ type: 'signed-in', user: undefined }]);
    expect(browser.refreshes()).toBe(2);
  });

  test('is noticed by a signed-out page when one of its requests is refused', async () => {
    const { browser, tab } = await devices.signedIn();
    await tab.signOut();
    await signIn(browser.tab());
    pass(11);
    expect(await tab.me()).toBe(403);
    await until(() => tab.events.length === 2);
    expect(types(tab)).toEqual(['ended', 'signed-in']);
    expect(await tab.me()).toBe(200);
  });

  test('is checked at most every ten seconds after refused requests', async () => {
    const browser = devices.device();
    const tab = browser.tab();
    const asked = async () => {
      expect(await tab.me()).toBe(403);
      await new Promise((resolve) => setTimeout(resolve, 100));
      return browser.refreshes();
    };
    expect(await asked()).toBe(1);
    pass(9);
    expect(await asked()).toBe(1);
    pass(1);
    expect([await asked(), await asked()]).toEqual([2, 2]);
    pass(10);
    expect(await asked()).toBe(3);
    expect(tab.events).toEqual([]);
  });

  test('is noticed by a signed-out page when another tab refreshes', async () => {
    const { browser, tab } = await devices.signedIn({ shared: true });
    await tab.signOut();
    const bob = await signIn(browser.tab({ shared: false }));
    pass(1);
    const newTab = browser.tab();
    await newTab.refresh();
    await until(() => tab.events.length === 2);
    expect(tab.events[1]).toEqual({ type: 'signed-in', user: undefined });
    const me = await tab.fetch('/api/users/me');
    expect(((await me.json()) as { username: string }).username).toBe(bob);
  });

  describe('in a window,', () => {
    let page: EventTarget & { visibilityState: string };
    let window: EventTarget;
    let restore: (() => void)[] = [];
    beforeEach(() => {
      page = Object.assign(new EventTarget(), { visibilityState: 'visible' });
      window = new EventTarget();
      restore = [
        setGlobal('document', page),
        setGlobal('addEventListener', window.addEventListener.bind(window)),
        setGlobal('removeEventListener', window.removeEventListener.bind(window)),
      ];
    });
    afterEach(() => restore.forEach((undo) => undo()));

    const pageShow = (persisted: boolean) =>
      window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted }));

    test('is noticed by a signed-out page when it becomes visible', async () => {
      const { browser, tab } = await devices.signedIn();
      await tab.signOut();
      await signIn(browser.tab({ shared: false }));
      browser.asked.length = 0;
      page.visibilityState = 'hidden';
      page.dispatchEvent(new Event('visibilitychange'));
      page.visibilityState = 'visible';
      page.dispatchEvent(new Event('visibilitychange'));
      await until(() => tab.events.length === 2);
      expect(types(tab)).toEqual(['ended', 'signed-in']);
      expect(browser.refreshes()).toBe(1);

      // A signed-in page has nothing to check.
      page.dispatchEvent(new Event('visibilitychange'));
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(browser.refreshes()).toBe(1);
    });

    test('a page restored by the back button learns that its session is over', async () => {
      const { browser, tab, id } = await devices.signedIn();
      await endAllOf(id);
      pageShow(false);
      pageShow(true);
      await until(() => tab.events.length === 1);
      expect(tab.events).toMatchObject([{ type: 'ended', code: 'session_ended' }]);
      expect(browser.refreshes()).toBe(1);
    });

    test('a closed session makes no more requests', async () => {
      const { browser, tab } = await devices.signedIn();
      tab.close();
      pageShow(true);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(browser.asked).toEqual([]);
    });
  });
});

describe('The end of one session', () => {
  /** The channel of the tabs, as another tab holds it. */
  const channel = () => new BroadcastChannel(`refresh-token cookie ${devices.baseUrl}/api`);

  test('that another tab reports too late does not affect a newer sign-in', async () => {
    const { browser, tab: stale, id } = await devices.signedIn({ shared: true });
    const fresh = browser.tab();
    const { network, arrived, release } = heldAnswer();
    await endAllOf(id);
    browser.onNetwork(network);
    const late = stale.refresh();
    await arrived;
    // The other tab’s message is lost: the tab is frozen, or the browser drops it.
    const lost = setGlobal('BroadcastChannel', undefined);
    const deaf = browser.tab();
    lost();
    await signIn(deaf);
    release();
    expect(await late).toBeNull();
    pass(1);
    expect(await fresh.me()).toBe(200);
    expect(await deaf.me()).toBe(200);
    expect(types(stale)[0]).toBe('ended');
    await until(() => types(stale).includes('signed-in'));
  });

  test('reported by another tab does not end a different session here', async () => {
    const { tab } = await devices.signedIn({ shared: true });
    const other = channel();
    for (const sid of ['0'.repeat(32), null]) {
      other.postMessage({ type: 'ended', code: 'session_ended', sid });
    }
    const { sid } = JSON.parse(
      Buffer.from((await tab.accessToken())!.split('.')[1], 'base64url').toString()
    );
    expect(await tab.me()).toBe(200);
    other.postMessage({ type: 'ended', code: 'user_refused', sid });
    await until(() => tab.events.length > 0);
    expect(tab.events).toEqual([{ type: 'ended', code: 'user_refused', message: undefined }]);
    other.close();
  });

  test('is not reported again on every load of a page that still has its cookie', async () => {
    const { browser, id } = await devices.signedIn();
    await endAllOf(id);
    const reloaded = browser.tab();
    expect(await reloaded.accessToken()).toBeNull();
    expect(browser.refreshes()).toBe(1);
    expect(reloaded.events).toEqual([]);
  });

  test('because of theft is reported to a page that was only just loaded', async () => {
    const { browser } = await devices.signedIn();
    const thief = devices.device();
    browser.cookies.forEach((value, name) => thief.cookies.set(name, value));
    await thief.tab().me();
    pass(60);
    const reloaded = browser.tab();
    expect(await reloaded.accessToken()).toBeNull();
    expect(reloaded.events).toMatchObject([{ type: 'ended', code: 'refresh_token_reused' }]);
  });
});

describe('A page that adopts a response', () => {
  test('gets an error for a refusal, and stays signed in, like all other tabs', async () => {
    const { browser, tab } = await devices.signedIn({ shared: true });
    const other = browser.tab();
    await other.refresh();
    await until(() => tab.events.length === 1);
    const refused = await fetch(`${devices.baseUrl}/api/auth/house/callback`);
    await expect(tab.adopt((await refused.json()) as object)).rejects.toMatchObject({
      status: refused.status,
      message: expect.stringMatching(/./),
    });
    for (const nothing of [{}, null, undefined, { jwt: '' }, { jwt: { token: 'x' } }, 'text']) {
      await expect(tab.adopt(nothing as object)).rejects.toThrow(/neither a jwt/);
    }
    pass(LIFE);
    expect([await tab.me(), await other.me()]).toEqual([200, 200]);
    expect([...tab.events, ...other.events].map(({ type }) => type)).not.toContain('signed-in');
  });

  test('of a registration that awaits confirmation signs no one in or out', async () => {
    const { tab } = await devices.signedIn({ shared: true });
    await tab.adopt({ user: { id: 1, username: 'new', email: 'new@test.local' } });
    expect(tab.events).toEqual([]);
    expect(await tab.me()).toBe(200);
  });

  test('gets an error if a proxy responds to its sign-in with a page', async () => {
    const browser = devices.device();
    const tab = browser.tab();
    browser.onNetwork(async () => new Response('<h1>Welcome to the hotel</h1>'));
    await expect(tab.signIn({})).rejects.toMatchObject({ status: 200 });
    expect(tab.events).toEqual([]);
  });
});

describe('A sign-out that did not reach the server', () => {
  const offline = async () => {
    throw new TypeError('fetch failed');
  };

  test('can be repeated by an app, which sends nothing until then', async () => {
    const store = keychain();
    const { browser, tab, username } = await devices.signedIn({ transport: 'body', store });
    browser.onNetwork(offline);
    await expect(tab.signOut()).rejects.toThrow('fetch failed');
    browser.onNetwork((request, send) => send(request));
    expect([await tab.accessToken(), await tab.refresh()]).toEqual([null, null]);
    pass(DAY);
    expect(await tab.me()).toBe(403);
    expect(browser.asked).toEqual(['GET /api/users/me 403']);
    expect(await sessionsOf(username)).toBe(1);

    await tab.signOut();
    expect(await sessionsOf(username)).toBe(0);
    expect(store.read()).toBeNull();
    expect(types(tab)).toEqual(['ended']);
  });

  test('can be repeated by an app that was restarted', async () => {
    const store = keychain();
    const { browser, tab, username } = await devices.signedIn({ transport: 'body', store });
    browser.onNetwork(offline);
    await expect(tab.signOut()).rejects.toThrow('fetch failed');
    browser.onNetwork((request, send) => send(request));
    await browser.tab().signOut();
    expect(await sessionsOf(username)).toBe(0);
    expect(store.read()).toBeNull();
  });

  test('can be repeated by a page that has lost its cookie meanwhile', async () => {
    const { browser, tab, username } = await devices.signedIn();
    browser.onNetwork(offline);
    await expect(tab.signOut()).rejects.toThrow('fetch failed');
    browser.onNetwork((request, send) => send(request));
    browser.cookies.clear();
    await tab.signOut();
    expect(await sessionsOf(username)).toBe(0);
  });

  test('is not undone by another tab, nor by one that is opened later', async () => {
    const page = Object.assign(new EventTarget(), { visibilityState: 'visible' });
    const { browser, tab } = await devices.signedIn({ shared: true });
    const restore = [
      setGlobal('document', page),
      setGlobal('addEventListener', () => {}),
      setGlobal('removeEventListener', () => {}),
    ];
    const other = browser.tab();
    await other.refresh();
    await until(() => tab.events.length === 1);
    tab.events.length = 0;
    other.events.length = 0;
    browser.onNetwork(offline);
    await expect(tab.signOut()).rejects.toThrow('fetch failed');
    browser.onNetwork((request, send) => send(request));
    await until(() => other.events.length === 1);
    pass(60);
    page.dispatchEvent(new Event('visibilitychange'));
    expect([await tab.me(), await other.me()]).toEqual([403, 403]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([types(tab), types(other)]).toEqual([['ended'], ['ended']]);

    // Either can sign out at the server, and both notice the next sign-in.
    await other.signOut();
    expect(browser.cookies.size).toBe(0);
    await signIn(browser.tab({ shared: false }));
    page.dispatchEvent(new Event('visibilitychange'));
    await until(() => types(tab).includes('signed-in') && types(other).includes('signed-in'));
    restore.forEach((undo) => undo());
  });

  test('is forgotten when someone signs in', async () => {
    const { browser, tab } = await devices.signedIn();
    browser.onNetwork(offline);
    await expect(tab.signOut()).rejects.toThrow('fetch failed');
    browser.onNetwork((request, send) => send(request));
    await signIn(tab);
    pass(LIFE);
    expect(await tab.me()).toBe(200);
    expect(browser.asked.filter((line) => line.includes('revoke'))).toEqual([]);
  });
});
