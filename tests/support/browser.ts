export type Send = (request: Request) => Promise<Response>;
type Network = (request: Request, send: Send) => Promise<Response>;

/** `fetch` as in a browser: with a cookie jar, a record of requests, and a network that can be made to fail or wait. */
export function createBrowser() {
  const cookies = new Map<string, string>();
  const asked: string[] = [];
  const answers: unknown[] = [];
  let network: Network = (request, sendOn) => sendOn(request);

  const send: Send = async (request) => {
    const response = await fetch(request);
    asked.push(`${request.method} ${new URL(request.url).pathname} ${response.status}`);
    if (request.credentials === 'include') {
      for (const line of response.headers.getSetCookie()) {
        const [, name, value, expires] = /^([^=]+)=([^;]*).*expires=([^;]+)/.exec(line)!;
        if (Date.parse(expires) > Date.now()) cookies.set(name, value);
        else cookies.delete(name);
      }
    }
    answers.push(
      await response
        .clone()
        .json()
        .catch(() => null)
    );
    return response;
  };

  return {
    cookies,
    /** Method, path and status of every completed request. */
    asked,
    /** What scripts on the page can read. */
    answers,
    refreshes: () => asked.filter((line) => line.includes('/token/refresh')).length,
    onNetwork(next: Network) {
      network = next;
    },
    fetch: (async (input, init) => {
      const request = new Request(input, init);
      if (request.credentials === 'include' && cookies.size > 0) {
        const pairs = [...cookies].map(([name, value]) => `${name}=${value}`);
        request.headers.set('Cookie', pairs.join('; '));
      }
      return network(request, send);
    }) as typeof fetch,
  };
}
