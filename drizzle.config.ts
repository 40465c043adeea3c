import { defineConfig } from 'drizzle-kit'

/**
 * `npx drizzle-kit generate --name what_it_does` writes the migration that leads to the present schema. They are named by the
 * time, since numbers are given out twice where two people work; the first ones have numbers, which sort before all times.
 */
export default defineConfig({
  dialect: 'sqlite',
  schema: './worker/accounts/schema.ts',
  out: './d1-migrations',
  migrations: { prefix: 'timestamp' },
})
