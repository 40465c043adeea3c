/** The migrations of D1 as the bundle will hold them, read from their files: Node does not import .sql. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import type { KnownMigration } from '../../worker/migration-past.ts'

const folder = join(import.meta.dirname, '../../d1-migrations')

/** In the order of d1-migrations/index.ts, which is not always that of the numbers. */
export function knownMigrations(): KnownMigration[] {
  const index = readFileSync(join(folder, 'index.ts'), 'utf8')
  return [...index.matchAll(/^\s*\{ name: '(\w+)', sql: \w+ \},?$/gm)].map(([, name = '']) => ({
    name,
    sql: readFileSync(join(folder, `${name}.sql`), 'utf8'),
  }))
}
