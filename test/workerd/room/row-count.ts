/** Rows that a piece of work reads and writes in an object's database: what is billed, and what shows work that grows. */
export interface RowCount {
  readonly read: number
  readonly written: number
}

export function countRows({ sql }: { readonly sql: SqlStorage }, work: () => void): RowCount {
  const cursors: { readonly rowsRead: number; readonly rowsWritten: number }[] = []
  const exec = sql.exec.bind(sql)
  const counting = (...args: Parameters<typeof exec>) => {
    const cursor = exec(...args)
    cursors.push(cursor)
    return cursor
  }
  Reflect.defineProperty(sql, 'exec', { value: counting, configurable: true })
  try {
    work()
  } finally {
    Reflect.deleteProperty(sql, 'exec')
  }
  const sum = (count: (cursor: (typeof cursors)[number]) => number) =>
    cursors.reduce((total, cursor) => total + count(cursor), 0)
  return { read: sum(({ rowsRead }) => rowsRead), written: sum(({ rowsWritten }) => rowsWritten) }
}
