/** Whether a database's past is the beginning of this program's list of migrations. Pure, so that a deployment asks too. */
import { createHash } from 'node:crypto'

/** As d1-migrations/index.ts lists them. */
export interface KnownMigration {
  readonly name: string
  readonly sql: string
}

export interface AppliedMigration {
  readonly position: number
  readonly name: string
  readonly hash: string
}

/** Stands in the book while a database is filled from a backup. */
export const restoreUnderWay = 'restore under way'

/** What does not fit, for the owner; undefined where all is well. */
export function pastFault(known: readonly KnownMigration[], applied: readonly AppliedMigration[]): string | undefined {
  if (applied[0]?.name === restoreUnderWay) {
    return 'The database is being filled from a backup: the same npm run restore again goes on where it stopped'
  }
  if (applied.length > known.length) {
    return 'A newer version of this program has been at the database: deploy that one again, or a newer one'
  }
  for (const [index, { position, name, hash }] of applied.entries()) {
    const migration = known[index]
    if (migration && position === index && name === migration.name && hash === hashOfMigration(migration)) continue
    return `The database was built by another migration ${name} than the one of this program`
  }
  return undefined
}

/** A checkout with other line ends is the same migration. */
export function hashOfMigration({ sql }: KnownMigration): string {
  return createHash('sha256').update(sql.replaceAll('\r\n', '\n')).digest('hex')
}
