const bcrypt = jest.requireActual('bcryptjs');

// The real thing, at its lowest cost: tests are repeated some ten thousand times.
for (const name of ['hash', 'hashSync']) {
  const original = bcrypt[name];
  bcrypt[name] = (text: string, salt: number | string, ...rest: unknown[]) =>
    original(text, typeof salt === 'number' ? 4 : salt, ...rest);
}

export {};
