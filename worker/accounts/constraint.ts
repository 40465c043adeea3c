/** Telling a refused write from a broken database. */

/** True when D1 refused a write because of a primary key, a foreign key or a check. Drizzle wraps what D1 throws. */
export function isConstraintFailure(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (/constraint failed|SQLITE_CONSTRAINT/.test(cause.message)) return true
  }
  return false
}
