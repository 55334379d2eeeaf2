type Body = Record<string, any>;

export interface Answer {
  status: number;
  body: Body;
  /** The cookies that a browser would send back. */
  cookie: string;
}

export interface Call {
  method?: 'GET' | 'POST';
  path: string;
  body?: Body;
  bearer?: string;
  cookie?: string;
}

/** Shows only the beginning and end of long secrets: enough to tell them apart. */
const short = (text: string) => (text.length > 24 ? `${text.slice(0, 3)}…${text.slice(-6)}` : text);

/** Makes requests and prints what a reader should see of them. */
export class Transcript {
  private steps = 0;

  private failures = 0;

  constructor(private readonly url: string) {}

  scene(title: string): void {
    this.steps += 1;
    console.log(`\n${this.steps}. ${title}`);
  }

  /** Makes one request, and prints it with its response. */
  async call({ method = 'POST', path, body, bearer, cookie }: Call): Promise<Answer> {
    const response = await fetch(`${this.url}/api${path}`, {
      method,
      headers: {
        ...(body && { 'Content-Type': 'application/json' }),
        ...(bearer && { Authorization: `Bearer ${bearer}` }),
        ...(cookie && { Cookie: cookie }),
      },
      body: body && JSON.stringify(body),
    });
    const lines = response.headers.getSetCookie();
    const answer = {
      status: response.status,
      body: (await response.json()) as Body,
      cookie: lines.map((line) => line.split(';')[0]).join('; '),
    };

    const proofs = [
      body && JSON.stringify(body, (key, value) => (key === 'password' ? '…' : shorten(value))),
      bearer && `Authorization: Bearer ${short(bearer)}`,
      cookie && `Cookie: ${showCookie(cookie)}`,
    ];
    console.log(`   → ${[`${method} /api${path}`, ...proofs].filter(Boolean).join('  ')}`);
    console.log(`   ← ${answer.status}  ${show(answer.body)}`);
    if (lines.length > 0) console.log(`     Set-Cookie: ${showCookie(lines[0])}`);
    return answer;
  }

  /** Prints what is expected, and whether it is true. */
  expect(holds: boolean, what: string): void {
    if (!holds) this.failures += 1;
    console.log(`   ${holds ? '✓' : '✗ FAILED:'} ${what}`);
  }

  /** Prints the result. @returns the number of expectations that failed */
  summary(): number {
    console.log(
      this.failures === 0
        ? `\nAll ${this.steps} scenes went as expected.`
        : `\n${this.failures} of the expectations above failed.`
    );
    return this.failures;
  }
}

const shorten = (value: unknown) => (typeof value === 'string' ? short(value) : value);

function show({ error, user, username, ...rest }: Body): string {
  if (error) return `${error.details?.code ?? error.name}: ${error.message}`;
  // The name is enough to show a user.
  if (username) return JSON.stringify({ username });
  const fields = { ...rest, ...(user && { user: user.username }) };
  return JSON.stringify(fields, (_key, value) => shorten(value));
}

function showCookie(line: string): string {
  const [pair, ...attributes] = line.split('; ');
  const [name, value] = pair.split('=');
  const shown = attributes.filter((attribute) => !attribute.includes('.sig='));
  return [`${name}=${value ? short(value) : '(cleared)'}`, ...shown].join('; ');
}
