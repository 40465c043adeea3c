import { defineConfig } from 'drizzle-kit'

/** `npx drizzle-kit generate --name what_it_does` writes the migration that leads to the present schema. */
export default defineConfig({
  dialect: 'sqlite',
  schema: './worker/accounts/schema.ts',
  out: './d1-migrations',
})
