import type { NextConfig } from 'next';

/** As in a new application of create-next-app. */
const nextConfig: NextConfig = {
  cacheComponents: true,
  partialPrefetching: true,
};

export default nextConfig;
