import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

/** What waits for servers may run out of time once on a busy machine; a fault fails twice. */
const retry = 1

/**
 * Three projects: `node` runs the pure core in milliseconds, `workerd` runs Workers and Durable Objects on the real runtime,
 * `interop` runs this server against another one.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'node',
          retry,
          setupFiles: ['test/dsl/seed.ts'],
          include: ['test/protocol/**/*.test.ts', 'test/spec/**/*.test.ts', 'test/scripts/**/*.test.ts'],
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: {
              bindings: {
                SERVER_NAME: 'test.local',
                PUBLIC_URL: 'http://test.local',
                REGISTRATION: 'open',
                REGISTRATION_SHARED_SECRET: 'shared-secret-of-the-tests',
                RATE_LIMITS: 'off',
                // Told of each request, test/spec/operation-recorder.ts notes which test has which operation answered.
                LOG_LEVEL: process.env['TEST_LOG_LEVEL'] ?? 'warn',
                PASSWORD_COST: '1',
                MAX_UPLOAD_MB: '1',
                ALLOW_PRIVATE_ADDRESSES: 'on',
                // Rooms that say nothing keep their messages.
                RETENTION: 'on',
              },
            },
          }),
        ],
        test: {
          name: 'workerd',
          retry,
          include: ['test/workerd/**/*.test.ts', 'test/federation/**/*.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'interop',
          retry,
          include: ['test/interop/**/*.test.ts'],
          globalSetup: ['test/interop/setup/servers.ts'],
          // They share two servers and the wire between them.
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'browser',
          retry,
          include: ['test/browser/**/*.test.ts'],
        },
      },
    ],
  },
})
