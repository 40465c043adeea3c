/**
 * Fills an object from a backup, portion by portion; whatever it held is gone with the first.
 *
 * The tables are made as the backup has them, and brought up to date when all rows are there: a migration that moves rows has
 * to find them. The caller then ends the object's life in memory, which knows nothing of its new rows.
 */
import { type DumpLine, dumpLinesIn, fromDumpValue } from '../../worker/backup/dump-line.ts'

export interface Portion {
  /** Begins anew. */
  readonly first: boolean
  /** Nothing follows. */
  readonly last: boolean
  /** Lines of the backup. Read here and not before: the CPU limit of objects allows for it. */
  readonly text: string
}

/** `finish` brings the tables up to date; it shares a transaction with the last rows. False where that is no backup. */
export async function loadPortion(
  storage: DurableObjectStorage,
  { first, last, text }: Portion,
  finish: () => void,
): Promise<boolean> {
  const lines = dumpLinesIn(text)
  if (!lines) return false
  if (first) {
    await storage.deleteAlarm()
    await storage.deleteAll()
  }
  storage.transactionSync(() => {
    for (const line of lines) carryOut(storage, line)
    if (last) finish()
  })
  return true
}

function carryOut({ sql, kv }: DurableObjectStorage, line: DumpLine): void {
  if ('rows' in line) {
    const columns = line.columns.map((name) => `"${name}"`).join(', ')
    const insert = `INSERT INTO "${line.rows}"(${columns}) VALUES (${line.columns.map(() => '?').join(', ')})`
    for (const row of line.values) sql.exec(insert, ...row.map(fromDumpValue))
  } else if ('sql' in line) sql.exec(line.sql)
  else if ('kept' in line) kv.put(line.kept, line.value)
}
