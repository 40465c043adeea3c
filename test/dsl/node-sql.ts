/** SQLite of Node in the form in which a Durable Object has it, so that code over rows is tested in milliseconds. */
import { DatabaseSync, type StatementSync } from 'node:sqlite'

import type { MigratedStorage } from '../../durable-objects/shared/migrate.ts'
import type { Sql, SqlValue } from '../../durable-objects/shared/sql.ts'

export function nodeStorage(): MigratedStorage {
  const db = new DatabaseSync(':memory:')
  const prepared = new Map<string, StatementSync>()
  const sql: Sql = {
    exec<Row extends Record<string, SqlValue>>(query: string, ...bindings: (string | number | null)[]) {
      if (bindings.length === 0 && /;\s*\S/.test(query)) {
        db.exec(query)
        return { toArray: (): Row[] => [] }
      }
      const statement = prepared.get(query) ?? db.prepare(query)
      prepared.set(query, statement)
      // The caller promises the row type, as with the real one.
      const all = statement.all.bind(statement)
      const rows: Row[] = Reflect.apply(all, undefined, bindings)
      return { toArray: () => rows }
    },
  }
  return {
    sql,
    transactionSync(turn) {
      db.exec('BEGIN')
      try {
        const result = turn()
        db.exec('COMMIT')
        return result
      } catch (error) {
        db.exec('ROLLBACK')
        throw error
      }
    },
  }
}
