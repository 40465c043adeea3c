/**
 * The part of a Durable Object's SQLite that our functions use.
 *
 * Written as an interface of our own, so that code which only needs rows can be tested in plain Node as well.
 */
export type SqlValue = string | number | null | ArrayBuffer

export interface Sql {
  /** Runs a statement at once, synchronously. The row type is the caller's promise about the columns. */
  exec<Row extends Record<string, SqlValue>>(
    query: string,
    ...bindings: (string | number | null)[]
  ): { toArray(): Row[] }
}
