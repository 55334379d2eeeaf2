/** Calls to a forked process over IPC, and their results. */
import type { ChildProcess } from 'child_process';

/** The functions of a process that its parent can call, each with at most one argument. */
type Answers = Record<string, (argument: any) => unknown>;

/** Rejects if the function throws, or if the process has ended. */
export type Ask<A extends Answers> = <Q extends keyof A>(
  question: Q,
  ...argument: Parameters<A[Q]>
) => Promise<Awaited<ReturnType<A[Q]>>>;

interface Message {
  id: number;
  answer?: unknown;
  error?: string;
}

/** The first message is not a result: it says that the process has booted. */
const BOOT = 0;

/**
 * The parent's side.
 *
 * @param child a process that calls `answerParent`
 * @param describe turns a problem, such as "failed: Error: …", into the message of an error
 */
export function askChild<A extends Answers, Booted>(
  child: ChildProcess,
  describe: (problem: string) => string
): { booted: Promise<Booted>; ask: Ask<A> } {
  const waiting = new Map<number, { resolve(answer: any): void; reject(error: Error): void }>();
  const answerTo = (id: number) =>
    new Promise<any>((resolve, reject) => waiting.set(id, { resolve, reject }));

  child.on('message', ({ id, answer, error }: Message) => {
    const { resolve, reject } = waiting.get(id)!;
    waiting.delete(id);
    if (error) reject(new Error(describe(`failed: ${error}`)));
    else resolve(answer);
  });
  child.on('exit', (code, signal) => {
    waiting.forEach(({ reject }) => reject(new Error(describe(`ended (${signal ?? code})`))));
  });

  let questions = BOOT;
  const ask = (question: string, argument?: unknown) => {
    questions += 1;
    const id = questions;
    const answer = answerTo(id);
    // A process that has already exited emits no exit event.
    child.send({ id, question, argument }, (error) => error && waiting.get(id)?.reject(error));
    return answer;
  };
  return { booted: answerTo(BOOT), ask: ask as Ask<A> };
}

/**
 * The child's side. The process ends when its parent does, or when it cannot boot.
 *
 * @param boot resolves to the functions that the parent can call, and to the information about the boot
 */
export async function answerParent(
  boot: () => Promise<{ answers: Answers; booted: unknown }>
): Promise<void> {
  const send = (message: Message, sent?: () => void) => process.send!(message, sent);
  process.on('disconnect', () => process.exit());
  try {
    const { answers, booted } = await boot();
    const answer = async (question: string, argument: unknown) => answers[question](argument);
    process.on('message', ({ id, question, argument }: any) => {
      void answer(question, argument).then(
        (found) => send({ id, answer: found }),
        (error) => send({ id, error: String(error) })
      );
    });
    send({ id: BOOT, answer: booted });
  } catch (error) {
    console.error(error);
    send({ id: BOOT, error: String(error) }, () => process.exit(1));
  }
}
