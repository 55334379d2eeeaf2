import { setTimeout as sleep } from 'timers/promises';
import { Client, createSite, createUser, FULL, PASSWORD, send, signIn, times } from './processes';
import type { Answer, Process, Site } from './processes';

let site: Site;
beforeEach(async () => {
  site = await createSite();
});
afterEach(() => site.end());

const ROUNDS = FULL ? 60 : 8;
const NEW = 'battery staple 2';

/** Retries when asked to. On SQLite, a password change may lose against another process. */
async function insist(request: () => Promise<Answer>): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await request();
    if (answer.outcome !== '503 temporarily_unavailable' || attempt === 50) return answer;
    await sleep(20);
  }
}

const logIn = (process: Process, identifier: string, password: string) =>
  send(process, 'POST', '/api/auth/local', {
    body: { identifier, password, requestRefresh: true },
  });

test('Sign-ins and refreshes in two processes during a password change leave no one signed in with the old password', async () => {
  const processes = [await site.start(), await site.start()];
  const outcomes = new Set<string>();

  for (let round = 0; round < ROUNDS; round += 1) {
    const user = await createUser(processes[0]);
    const before = (await times(3, (index) => signIn(processes[index % 2], user.id))).map(
      ({ client }) => client
    );
    const authorization = `Bearer ${before[0].accessTokens[0]}`;
    const change = async () => {
      await sleep(Math.random() * 120);
      return insist(() =>
        send(processes[round % 2], 'POST', '/api/auth/change-password', {
          authorization,
          body: {
            currentPassword: PASSWORD,
            password: NEW,
            passwordConfirmation: NEW,
            requestRefresh: true,
          },
        })
      );
    };
    const [changed, signIns, refreshes] = await Promise.all([
      change(),
      times(4, async (index) => {
        await sleep(index * 30);
        return logIn(processes[index % 2], user.username, PASSWORD);
      }),
      times(2, async (index) => {
        const answers: Answer[] = [];
        for (let turn = 0; turn < 12; turn += 1) {
          answers.push(await before[1 + index].refresh(processes[index]));
          await sleep(10);
        }
        return answers;
      }),
    ]);

    for (const { outcome } of [...signIns, ...refreshes.flat()]) outcomes.add(outcome);
    expect(changed.outcome).toBe('200');
    // Only the client that changed the password is still signed in.
    expect(await processes[0].ask('sids')).toHaveLength(1);
    const owner = new Client(changed.body);
    expect((await owner.refresh(processes[1])).outcome).toBe('200');
    expect((await owner.me(processes[0])).outcome).toBe('200');
    const others = [
      ...before,
      ...signIns.filter(({ status }) => status === 200).map(({ body }) => new Client(body)),
    ];
    for (const other of others) {
      expect((await other.refresh(processes[0])).outcome).toBe('401 session_ended');
      expect((await other.me(processes[1])).status).toBe(401);
    }
    expect((await logIn(processes[0], user.username, PASSWORD)).status).toBe(400);
    await processes[0].ask('signOut', { userId: user.id });
  }
  for (const outcome of outcomes) {
    expect(outcome).toMatch(
      /^(200|400|401 (user_refused|session_ended)|503 temporarily_unavailable)$/
    );
  }
});
