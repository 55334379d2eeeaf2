import { createServer } from 'http';
import type { IncomingMessage, Server } from 'http';
import type { AddressInfo } from 'net';
import * as sdk from '@strapi/client';
import { createSession } from '../../client/session';
import { strapiClient } from '../../client/strapi-client';
import { useDevices } from '../support/devices';
import { pass } from '../support/server';

/** Lifetime of an access token, in seconds. */
const LIFE = 360;

const devices = useDevices();

const clientOf = (session: ReturnType<typeof createSession>) =>
  strapiClient(session, { baseURL: `${devices.baseUrl}/api` });

describe('@strapi/client over a session', () => {
  test('sends the access token, and refreshes it in time, once for all calls', async () => {
    const { browser, tab, username } = await devices.signedIn();
    const client = clientOf(tab);
    const me = async () => (await (await client.fetch('/users/me')).json()).username;
    expect(await me()).toBe(username);
    pass(LIFE);
    expect(await Promise.all([me(), me(), me()])).toEqual(Array(3).fill(username));
    expect(browser.refreshes()).toBe(1);
  });

  test('refreshes once on 401, and sends a body again', async () => {
    const { browser, tab } = await devices.signedIn();
    const { config } = devices.server.strapi;
    const secret = 'plugin::users-permissions.jwtSecret';
    config.set(secret, `${config.get(secret)}-next`);
    const response = await clientOf(tab).fetch('/auth/change-password', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        currentPassword: 'correct horse 1',
        password: 'another horse 2',
        passwordConfirmation: 'another horse 2',
      }),
    });
    expect(response.status).toBe(200);
    expect(browser.asked).toEqual([
      'POST /api/auth/change-password 401',
      'POST /api/token/refresh 200',
      'POST /api/auth/change-password 200',
    ]);
  });

  test('throws the SDK’s own errors', async () => {
    const client = clientOf(devices.device().tab());
    await expect(client.fetch('/users/me')).rejects.toThrow(sdk.HTTPForbiddenError);
    await expect(client.collection('nothings').find()).rejects.toThrow(sdk.HTTPNotFoundError);
  });

  describe('sends the access token with', () => {
    let api: Server;
    let baseURL: string;
    const asked: IncomingMessage[] = [];
    beforeAll(async () => {
      api = createServer((request, response) => {
        asked.push(request);
        response.setHeader('Content-Type', 'application/json');
        response.end('{ "data": [] }');
      });
      await new Promise<void>((resolve) => {
        api.listen(0, '127.0.0.1', resolve);
      });
      baseURL = `http://127.0.0.1:${(api.address() as AddressInfo).port}/api`;
    });
    afterAll(() => {
      api.closeAllConnections();
      api.close();
    });

    type Client = ReturnType<typeof strapiClient>;
    test.each<[string, (client: Client) => Promise<unknown>]>([
      ['collection().find()', (client) => client.collection('articles').find()],
      ['collection().findOne()', (client) => client.collection('articles').findOne('1')],
      ['collection().create()', (client) => client.collection('articles').create({ a: 1 })],
      ['collection().update()', (client) => client.collection('articles').update('1', { a: 1 })],
      ['collection().delete()', (client) => client.collection('articles').delete('1')],
      ['single().find()', (client) => client.single('home').find()],
      ['users', (client) => client.collection('users').find()],
      ['files.find()', (client) => client.files.find()],
      ['files.delete()', (client) => client.files.delete(1)],
      ['files.upload()', (client) => client.files.upload(new Blob(['a']))],
      ['fetch()', (client) => client.fetch('/anything')],
    ])('%s', async (_name, act) => {
      asked.length = 0;
      const session = createSession({ baseUrl: baseURL.replace('/api', ''), transport: 'body' });
      await session.adopt({ jwt: 'a.b.c', refreshToken: 'r' });
      await act(strapiClient(session, { baseURL }));
      expect(asked.map(({ headers }) => headers.authorization)).toEqual(['Bearer a.b.c']);
      session.close();
    });
  });
});

describe('If @strapi/client changes,', () => {
  const config = { baseURL: 'http://127.0.0.1:1/api' };
  const session = createSession({ baseUrl: 'http://127.0.0.1:1', transport: 'body' });
  const prototype = Object.getPrototypeOf((sdk.strapi(config) as any)._httpClient);

  test.each(['fetch', 'request', 'create'])('without its method %s, nothing works', (method) => {
    const original = prototype[method];
    prototype[method] = undefined;
    try {
      expect(() => strapiClient(session, config)).toThrow(/does not work with strapi-client/);
    } finally {
      prototype[method] = original;
    }
  });

  test.each([200, 403])(
    'a request around the session throws, even if it returns %i',
    async (status) => {
      const original = prototype.request;
      prototype.request = async () => {
        const response = new Response('{}', { status });
        if (status === 200) return response;
        throw Object.assign(new Error('Forbidden'), { response });
      };
      try {
        const client = strapiClient(session, config);
        await expect(client.fetch('/x')).rejects.toThrow(/does not work with strapi-client/);
      } finally {
        prototype.request = original;
      }
    }
  );
});
