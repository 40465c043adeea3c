/**
 * Brings an object's tables up to date.
 *
 * Migrations are only ever appended. Each object remembers which it has run and a fingerprint of each: a past that was
 * edited would leave old objects with other tables than new ones, so it stops the object at once instead.
 */
import { meterStorage } from '../../worker/observe/meter.ts'
import type { Sql } from './sql.ts'

export interface MigratedStorage {
  readonly sql: Sql
  transactionSync<T>(turn: () => T): T
}

/**
 * Runs the migrations that this object has not seen. Throws, and so stops the object before it serves anything, when one
 * that it ran has changed, or when newer code than this was here before: a deployment that went back.
 */
export function migrate(storage: MigratedStorage, migrations: readonly string[]): void {
  meterStorage(storage)
  const { sql } = storage
  sql.exec('CREATE TABLE IF NOT EXISTS migrations(number INTEGER PRIMARY KEY, fingerprint INTEGER NOT NULL)')
  const ran = sql.exec<{ fingerprint: number }>('SELECT fingerprint FROM migrations ORDER BY number').toArray()
  if (ran.length > migrations.length) {
    throw new Error(
      `this object ran ${ran.length} migrations, but this version of the server knows ${migrations.length}`,
    )
  }
  ran.forEach(({ fingerprint: expected }, index) => {
    const migration = migrations[index]
    if (migration === undefined || fingerprint(migration) !== expected) {
      throw new Error(`migration ${index} was changed after this object ran it`)
    }
  })
  migrations.slice(ran.length).forEach((migration, index) => {
    storage.transactionSync(() => {
      sql.exec(migration)
      sql.exec('INSERT INTO migrations(number, fingerprint) VALUES (?, ?)', ran.length + index, fingerprint(migration))
    })
  })
}

/** FNV-1a over the words of the statement, so that layout and comments' line breaks may change. */
function fingerprint(text: string): number {
  let hash = 0x811c9dc5
  for (const character of text.trim().replace(/\s+/g, ' ')) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0
  }
  return hash
}
