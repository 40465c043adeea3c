/**
 * A room that came out of a backup goes on at positions that never were, since those after the backup were given out.
 * `told_pos` stays: users are told anew.
 */
import { migrate } from '../shared/migrate.ts'
import { leap } from '../shared/restored.ts'
import type { Sql } from '../shared/sql.ts'
import { migrations } from './migrations.ts'

export function leapAhead(sql: Sql): void {
  sql.exec('UPDATE room SET pos = pos + ?', leap)
}

/** For rows that were just loaded: brings them up to date. The search indexes hold no texts to be copied; they are made anew. */
export function renewRoom(storage: DurableObjectStorage, now: number): void {
  migrate(storage, migrations)
  const { sql } = storage
  leapAhead(sql)
  sql.exec('DELETE FROM member_names')
  sql.exec('DELETE FROM member_names_progress')
  sql.exec('UPDATE search_progress SET below = (SELECT coalesce(max(nid) + 1, 0) FROM events)')
  sql.exec("INSERT OR REPLACE INTO alarms(name, at) VALUES ('index', ?), ('settle', ?)", now, now)
}
