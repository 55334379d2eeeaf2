/**
 * @strapi/client over a session, in Node and in the browser: every call of the SDK carries the access token, refreshed in
 * time and once on 401. Copy it beside `session.ts`.
 *
 * The SDK has an option for API tokens only, and none for `fetch`, so this replaces a private method. It is written for
 * @strapi/client 1.6.2: pin that version (`npm install --save-exact @strapi/client@1.6.2`). If another one works
 * differently, `strapiClient` or the first call throws.
 */

import { strapi } from '@strapi/client';
import type { Session } from './session';

/** The parts of the SDK's HTTP client that are used here. */
interface HttpClient {
  fetch: typeof fetch;
  request(path: string, init?: RequestInit): Promise<Response>;
  create(...args: unknown[]): HttpClient;
}

const CHANGED =
  'This version of @strapi/client does not work with strapi-client.ts, which is written for 1.6.2. Install that version, or adapt the file.';

/**
 * @param config.baseURL of the REST API, below the session's `baseUrl`: `https://api.example.com/api`
 * @throws Error if the SDK has changed
 */
export function strapiClient(
  session: Session,
  config: { baseURL: string; headers?: Record<string, string> }
): ReturnType<typeof strapi> {
  const client = strapi(config);
  useSession(session, (client as unknown as { _httpClient?: HttpClient })._httpClient);
  return client;
}

function useSession(session: Session, http: HttpClient | undefined): HttpClient {
  const methods = [http?.fetch, http?.request, http?.create];
  if (!http || methods.some((method) => typeof method !== 'function')) throw new Error(CHANGED);

  const [request, create] = [http.request.bind(http), http.create.bind(http)];
  const own = new WeakSet<Response>();
  http.fetch = async (input, init) => {
    const response = await session.fetch(input, init);
    own.add(response);
    return response;
  };
  // A request that went around the session had no token.
  http.request = async (path, init) => {
    const response = await request(path, init).catch((error: { response?: Response }) => {
      if (error.response && !own.has(error.response)) throw new Error(CHANGED);
      throw error;
    });
    if (!own.has(response)) throw new Error(CHANGED);
    return response;
  };
  // `client.files` creates one for every call.
  http.create = (...args) => useSession(session, create(...args));
  return http;
}
