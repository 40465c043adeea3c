/**
 * From every schema that was ever released to the newest: each table of the older one holds rows, none is lost, and what
 * comes out is the schema of a fresh start. A new NOT NULL column without a default, or a table rebuilt without its rows,
 * fails here and not at somebody's server.
 */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'

import { migrations as d1Migrations } from '../../../d1-migrations/index.ts'
import { migrations as senderMigrations } from '../../../durable-objects/federation-sender/migrations.ts'
import { migrations as roomMigrations } from '../../../durable-objects/room/migrations.ts'
import { migrate as migrateObject } from '../../../durable-objects/shared/migrate.ts'
import { migrations as userMigrations } from '../../../durable-objects/user-sync/migrations.ts'
import { migrate as migrateDatabase } from '../../../worker/set-up.ts'

type Value = string | number
type Run = (sql: string, ...values: Value[]) => Promise<Record<string, unknown>[]>

const rowsPerTable = 3

/** The tables that a migration made, oldest first; neither virtual ones, which have no rows of their own, nor their shadows. */
async function tablesIn(run: Run): Promise<string[]> {
  const master = await run("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
  const virtual = master
    .filter(({ sql }) => String(sql).startsWith('CREATE VIRTUAL'))
    .map(({ name }) => `${String(name)}_`)
  return master
    .filter(({ sql }) => !String(sql).startsWith('CREATE VIRTUAL'))
    .map(({ name }) => String(name))
    .filter((name) => !/^(?:sqlite_|_cf_|migrations$|applied_migrations$)/.test(name))
    .filter((name) => !virtual.some((prefix) => name.startsWith(prefix)))
}

/** Columns of JSON: a migration may look into them. */
const jsonColumns: Readonly<Record<string, string>> = {
  extremities: '[1]',
  auth: '[]',
  json: '{"content":{},"type":"t"}',
}

/** Fills every table; gives the rows of each. */
async function populate(run: Run): Promise<Map<string, number>> {
  const filled = new Map<string, number>()
  const waiting = await tablesIn(run)
  for (let patience = waiting.length ** 2; waiting.length > 0; patience--) {
    const table = waiting.shift() ?? ''
    try {
      await fill(run, table)
    } catch (error) {
      // Rows that it points to are still to come: the same column holds the same values everywhere.
      if (patience <= 0 || !String(error).includes('FOREIGN KEY')) throw error
      waiting.push(table)
      continue
    }
    const count = await rowsOf(run, table)
    expect(count, `${table} takes a row`).toBeGreaterThan(0)
    filled.set(table, count)
  }
  return filled
}

async function fill(run: Run, table: string): Promise<void> {
  const columns = await run(`SELECT name, type FROM pragma_table_info('${table}')`)
  const names = columns.map(({ name }) => String(name))
  const marks = names.map(() => '?').join(', ')
  for (let row = 1; row <= rowsPerTable; row++) {
    const values = columns.map(({ name, type }) => {
      if (String(type).toUpperCase() === 'INTEGER') return row
      return jsonColumns[String(name)] ?? `${String(name)}-${row}`
    })
    // One row is all that a table with `CHECK (id = 1)` takes.
    await run(`INSERT OR IGNORE INTO "${table}"(${names.join(', ')}) VALUES (${marks})`, ...values)
  }
}

async function rowsOf(run: Run, table: string): Promise<number> {
  const [counted] = await run(`SELECT count(*) AS n FROM "${table}"`)
  return Number(counted?.n)
}

/** Every table, index and trigger, with the columns that it has. */
async function schemaOf(run: Run): Promise<string[]> {
  const master = await run("SELECT type, name FROM sqlite_master WHERE name NOT LIKE '_cf_%' ORDER BY type, name")
  const described: string[] = []
  for (const { type, name } of master) {
    const columns =
      type === 'table' ? await run(`SELECT name, type, "notnull" FROM pragma_table_info('${String(name)}')`) : []
    described.push(`${String(type)} ${String(name)} ${JSON.stringify(columns)}`)
  }
  return described
}

const versionsOf = (list: readonly unknown[]) => list.map((_, index) => index + 1)

/** Tables whose rows a migration may throw away, with the reason. */
const dropped: ReadonlySet<string> = new Set([
  // Who follows which fields of profiles: asked for again with each request, and then given everything anew.
  'profile_fields',
])

async function upgrades(run: Run, older: () => Promise<void>, newest: () => Promise<void>): Promise<string[]> {
  await older()
  const before = await populate(run)
  expect(before.size).toBeGreaterThan(0)
  await newest()
  for (const [table, count] of before) {
    if (!dropped.has(table)) expect(await rowsOf(run, table), `rows of ${table}`).toBeGreaterThanOrEqual(count)
  }
  return schemaOf(run)
}

describe('D1', () => {
  const run: Run = async (sql, ...values) =>
    (
      await env.DB.prepare(sql)
        .bind(...values)
        .all()
    ).results

  async function wipe() {
    const things = await run(
      "SELECT type, name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '_cf_%' AND name NOT LIKE 'sqlite_%' ORDER BY rowid DESC",
    )
    const drops = things.map(({ name }) => env.DB.prepare(`DROP TABLE IF EXISTS "${String(name)}"`))
    if (drops.length > 0) await env.DB.batch([env.DB.prepare('PRAGMA defer_foreign_keys = on'), ...drops])
  }

  test.each(versionsOf(d1Migrations))('from version %i', async (version) => {
    await wipe()
    await migrateDatabase(env.DB, d1Migrations)
    const fresh = await schemaOf(run)
    await wipe()
    const upgraded = await upgrades(
      run,
      () => migrateDatabase(env.DB, d1Migrations.slice(0, version)),
      () => migrateDatabase(env.DB, d1Migrations),
    )
    expect(upgraded).toEqual(fresh)
    const book = await run('SELECT name FROM applied_migrations ORDER BY position')
    expect(book.map(({ name }) => name)).toEqual(d1Migrations.map(({ name }) => name))
  })

  test('and not back', async () => {
    await wipe()
    await migrateDatabase(env.DB, d1Migrations)
    const back = migrateDatabase(env.DB, d1Migrations.slice(0, -1))
    await expect(back).rejects.toThrow('A newer version of this program has been at the database')
  })
})

describe.each([
  ['a room', roomMigrations],
  ["a user's stream", userMigrations],
  ['the sender', senderMigrations],
])('%s', (what, list) => {
  /** Storage of an object of its own; a room that nobody knows has no tables. */
  const inObject = (name: string, work: (storage: DurableObjectStorage, run: Run) => Promise<void>) =>
    runInDurableObject(env.ROOM.get(env.ROOM.idFromName(`${what} ${name}`)), (_, { storage }) =>
      work(storage, (sql, ...values) => Promise.resolve(storage.sql.exec(sql, ...values).toArray())),
    )

  test.each(versionsOf(list))('from version %i', async (version) => {
    let fresh: string[] = []
    await inObject(`fresh ${version}`, async (storage, run) => {
      migrateObject(storage, list)
      fresh = await schemaOf(run)
    })
    await inObject(`from ${version}`, async (storage, run) => {
      const older = () => Promise.resolve(migrateObject(storage, list.slice(0, version)))
      const newest = () => Promise.resolve(migrateObject(storage, list))
      expect(await upgrades(run, older, newest)).toEqual(fresh)
      expect(() => migrateObject(storage, list.slice(0, -1))).toThrow(/ran \d+ migrations, but this version/)
    })
  })
})
