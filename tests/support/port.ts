import { createServer } from 'net';
import type { AddressInfo } from 'net';

/** @returns an unused port of this machine */
export const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
