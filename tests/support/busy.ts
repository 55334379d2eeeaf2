import type { Server } from './server';

/** Does something on a database in which these statements always fail with a conflict. */
export async function onBusyDatabase<T>(
  { strapi }: Server,
  statements: RegExp,
  act: () => Promise<T>
): Promise<T> {
  const { connection } = strapi.db;
  const conflict = ({ sql }: { sql: string }) => {
    if (statements.test(sql)) throw Object.assign(new Error('deadlock'), { code: '40P01' });
  };
  // The five seconds of retries pass immediately.
  let at = performance.now();
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => (at += 6_000));
  connection.on('query', conflict);
  try {
    return await act();
  } finally {
    connection.removeListener('query', conflict);
    clock.mockRestore();
  }
}
