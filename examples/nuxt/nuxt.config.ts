export default defineNuxtConfig({
  compatibilityDate: '2026-01-01',
  telemetry: false,
  runtimeConfig: {
    /** Set NUXT_STRAPI_URL to change it, also after the build. */
    strapiUrl: 'http://127.0.0.1:1337',
  },
});
