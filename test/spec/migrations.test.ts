/**
 * The migrations of D1 against the schema that the program is compiled with (worker/accounts/schema.ts): whoever sets a database
 * up, however old it is, comes to the same one, and drizzle-kit has nothing to add.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

import { type DrizzleSQLiteSnapshotJSON, generateSQLiteDrizzleJson, generateSQLiteMigration } from 'drizzle-kit/api'
import { expect, test } from 'vitest'

import { knownMigrations } from '../../scripts/deploy/known-migrations.ts'
import * as schema from '../../worker/accounts/schema.ts'

const folder = join(import.meta.dirname, '../../d1-migrations')
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.sql'))
  .map((name) => name.slice(0, -4))
const known = knownMigrations()
const read = (name: string): unknown => JSON.parse(readFileSync(join(folder, 'meta', name), 'utf8'))

/** A database after these statements; several migrations have them apart. */
function databaseOf(statements: readonly string[]): DatabaseSync {
  const db = new DatabaseSync(':memory:')
  for (const sql of statements) for (const each of sql.split('--> statement-breakpoint')) db.exec(each)
  return db
}

/** Tables, columns, keys, indexes and checks, in whatever order and words they were made. */
function shapeOf(db: DatabaseSync): object {
  const rows = (query: string) =>
    db
      .prepare(query)
      .all()
      .map((row) => ({ ...row }))
  const tables = rows("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
  return Object.fromEntries(
    tables.map(({ name, sql }) => {
      const columns = rows(
        `SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_xinfo('${String(name)}') ORDER BY name`,
      )
      const keys = rows(
        `SELECT "table", "from", "to", on_delete FROM pragma_foreign_key_list('${String(name)}') ORDER BY "from"`,
      )
      const indexes = rows(
        `SELECT name, "unique", partial FROM pragma_index_list('${String(name)}') WHERE origin = 'c' ORDER BY name`,
      )
      const shapes = indexes.map((index) => {
        const [made] = rows(`SELECT sql FROM sqlite_master WHERE name = '${String(index['name'])}'`)
        return { ...index, sql: String(made?.['sql']).replaceAll(/[\s`"]+/g, '') }
      })
      const checks = /CHECK ?\(.*\)/i.exec(String(sql))?.[0].replaceAll(/[\s`"]+/g, '')
      return [String(name), { columns, keys, indexes: shapes, checks }]
    }),
  )
}

async function wanted(): Promise<DrizzleSQLiteSnapshotJSON> {
  return generateSQLiteDrizzleJson(schema)
}

test('the list, the files and the journal are about the same migrations', () => {
  expect(known.map(({ name }) => name).toSorted()).toEqual(files.toSorted())
  const journal = read('_journal.json')
  const tags = JSON.stringify(journal).match(/(?<="tag":")\w+/g) ?? []
  expect(tags).toEqual(known.map(({ name }) => name))
})

test('they lead to the schema', async () => {
  const nothing = await generateSQLiteDrizzleJson({})
  const fresh = databaseOf(await generateSQLiteMigration(nothing, await wanted()))
  expect(shapeOf(databaseOf(known.map(({ sql }) => sql)))).toEqual(shapeOf(fresh))
})

/** The Worker and the wizard go by the list; a tool that goes by the names of the files comes to the same. */
test('so they do in the order of their names', () => {
  const byName = known.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  expect(shapeOf(databaseOf(byName.map(({ sql }) => sql)))).toEqual(shapeOf(databaseOf(known.map(({ sql }) => sql))))
})

test('drizzle-kit would write no further one: else run `npx drizzle-kit generate --name what_it_does`', async () => {
  const newest = readdirSync(join(folder, 'meta'))
    .filter((name) => name.endsWith('_snapshot.json'))
    .toSorted()
    .at(-1)
  const snapshot = read(newest ?? expect.fail('no snapshot'))
  const current = await wanted()
  if (!isSnapshot(snapshot, current)) throw new TypeError('no snapshot of SQLite')
  expect(await generateSQLiteMigration(snapshot, current)).toEqual([])
})

function isSnapshot(value: unknown, like: DrizzleSQLiteSnapshotJSON): value is DrizzleSQLiteSnapshotJSON {
  return (
    typeof value === 'object' &&
    value !== null &&
    'dialect' in value &&
    value.dialect === like.dialect &&
    'version' in value &&
    value.version === like.version
  )
}
