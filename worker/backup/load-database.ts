/**
 * Fills D1 from a backup. While it is filled no program takes it for a homeserver's database: the book of migrations says so,
 * and worker/set-up.ts stops there.
 */
import { migrations } from '../../d1-migrations/index.ts'
import { restoreUnderWay } from '../migration-past.ts'
import { renewDatabase } from '../restored.ts'
import { createBook, migrate } from '../set-up.ts'
import type { DumpLine, DumpValue } from './dump-line.ts'

const book = 'applied_migrations'
/** Where the backup's own book waits until all the rest is there. */
const nextBook = 'applied_after_restore'

/** Which restore this database is being filled by; undefined: none. */
export async function restoreIn(db: D1Database): Promise<string | undefined> {
  const read = db.prepare(`SELECT hash FROM ${book} WHERE position = 0 AND name = ?`).bind(restoreUnderWay)
  const row = await read.first<{ hash: string }>().catch(() => null)
  return row?.hash
}

/** Empties the database for a restore. */
export async function beginRestore(db: D1Database, restore: string): Promise<void> {
  const { results } = await db
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid DESC")
    .all<{ name: string }>()
  const ours = results.filter(({ name }) => !/^(?:sqlite_|_cf_|d1_migrations$)/.test(name))
  await db.batch([
    db.prepare('PRAGMA defer_foreign_keys = on'),
    ...ours.map(({ name }) => db.prepare(`DROP TABLE "${name}"`)),
    db.prepare(createBook),
    db.prepare(createBook.replace(book, nextBook)),
    db.prepare(`INSERT INTO ${book} VALUES (0, ?, ?, ?)`).bind(restoreUnderWay, restore, Date.now()),
  ])
}

/** Carries out lines; counts the rows that were left out, since what they point to was deleted while the backup was made. */
export async function loadLines(db: D1Database, lines: readonly DumpLine[]): Promise<number> {
  let lost = 0
  for (const line of lines) {
    if ('rows' in line) lost += await insert(db, line)
    else if ('sql' in line && !('table' in line && line.table === book)) await db.prepare(line.sql).run()
  }
  return lost
}

/** Rows that are there now, of the backup's tables. */
export async function countRows(db: D1Database): Promise<number> {
  const { results } = await db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all<{ name: string }>()
  const ours = results
    .map(({ name }) => name)
    .filter((name) => !/^(?:sqlite_|_cf_|d1_migrations$)/.test(name) && name !== book)
  const counts = await db.batch<{ n: number }>(ours.map((name) => db.prepare(`SELECT count(*) AS n FROM "${name}"`)))
  return counts.reduce((sum, { results: [row] }) => sum + (row?.n ?? 0), 0)
}

/** The last step: the book is the backup's own, what is newer than that follows, and what is void goes. */
export async function finishRestore(db: D1Database, restore: string, signingSeed: string | undefined): Promise<void> {
  await db.batch([
    db.prepare(`DELETE FROM ${book}`),
    db.prepare(`INSERT INTO ${book} SELECT * FROM ${nextBook}`),
    db.prepare(`DROP TABLE ${nextBook}`),
  ])
  await migrate(db, migrations)
  if (signingSeed !== undefined) {
    await db.prepare('UPDATE signing_keys SET seed = ? WHERE current = 1 AND seed IS NULL').bind(signingSeed).run()
  }
  await renewDatabase(db, restore)
}

interface Rows {
  readonly rows: string
  readonly columns: readonly string[]
  readonly values: readonly (readonly DumpValue[])[]
}

async function insert(db: D1Database, { rows, columns, values }: Rows): Promise<number> {
  const table = rows === book ? nextBook : rows
  const fields = columns.map((_, index) => `json_extract(value, '$[${index}]')`).join(', ')
  const names = columns.map((name) => `"${name}"`).join(', ')
  // A row that is there already came with a request whose answer was lost.
  const statement = db.prepare(`INSERT OR IGNORE INTO "${table}"(${names}) SELECT ${fields} FROM json_each(?)`)
  const put = (some: Rows['values']) => statement.bind(JSON.stringify(some)).run()
  try {
    await put(values)
    return 0
  } catch (error) {
    if (!String(error).includes('FOREIGN KEY')) throw error
  }
  let lost = 0
  for (const row of values) {
    await put([row]).catch((error: unknown) => {
      if (!String(error).includes('FOREIGN KEY')) throw error
      lost += 1
    })
  }
  return lost
}
