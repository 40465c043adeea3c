/**
 * Brings D1 to the schema of this program before the first request of an isolate is answered.
 *
 * What was applied is written down with its hash. The program refuses to run on a database whose past differs from its
 * own list, or which a newer program has been at: both would end in corruption that nobody notices for weeks.
 */
import { type Migration, migrations } from '../d1-migrations/index.ts'
import { renewDatabase } from './restored.ts'
import { type AppliedMigration, hashOfMigration, pastFault } from './migration-past.ts'

/** The database and this program do not fit together; the message is for the owner. */
export class SetUpError extends Error {}

export const createBook = `CREATE TABLE IF NOT EXISTS applied_migrations(
  position INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, applied_at INTEGER NOT NULL
)`

/** Not the promise of it: one that was cut off with its request would never settle (shared-work.ts). */
let isReady = false

/** Applies what is missing, once per isolate. Rejects with SetUpError; a failure is not remembered. */
export async function setUp({ DB, RESTORED }: { readonly DB: D1Database; readonly RESTORED?: string }): Promise<void> {
  if (isReady) return
  await migrate(DB, migrations)
  await renewDatabase(DB, RESTORED)
  isReady = true
}

/** Applies the migrations that the database lacks. Safe beside others who do the same at the same time. */
export async function migrate(db: D1Database, known: readonly Migration[]): Promise<void> {
  for (;;) {
    const applied = await readApplied(db)
    const fault = pastFault(known, applied)
    if (fault !== undefined) throw new SetUpError(fault)
    const position = applied.length
    const migration = known[position]
    if (!migration) return
    const failure = await apply(db, position, migration)
    if (failure === undefined || (await readApplied(db)).length > position) continue
    throw new SetUpError(`The migration ${migration.name} fails, the database is unchanged: ${failure}`)
  }
}

async function readApplied(db: D1Database): Promise<AppliedMigration[]> {
  try {
    const read = db.prepare('SELECT position, name, hash FROM applied_migrations ORDER BY position')
    return (await read.all<{ position: number; name: string; hash: string }>()).results
  } catch (error) {
    if (String(error).includes('no such table')) return []
    throw error
  }
}

/** Applies one migration as one transaction. Its row in the book lets only one succeed. Returns why it failed, if so. */
async function apply(db: D1Database, position: number, migration: Migration): Promise<string | undefined> {
  const note = db
    .prepare('INSERT INTO applied_migrations(position, name, hash, applied_at) VALUES (?, ?, ?, ?)')
    .bind(position, migration.name, hashOfMigration(migration), Date.now())
  const statements = migration.sql.split('--> statement-breakpoint').map((statement) => db.prepare(statement))
  try {
    await db.batch([db.prepare(createBook), note, ...statements])
    return undefined
  } catch (error) {
    return String(error)
  }
}
