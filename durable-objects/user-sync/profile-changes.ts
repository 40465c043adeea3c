/**
 * Whose profile changed, for users with a client that follows profiles.
 *
 * Spec: MSC4429, MSC4262. Nothing is written for a user none of whose clients asked within a month. Which fields they follow
 * clients say anew with each request, so changes of every field are kept; only that one changed, not to what: the value is
 * read when somebody is told. A token from before the first request says nothing of changes; its holder gets the fields anew
 * of everybody.
 */
import type { ProfileChange, ProfileFields } from '#protocol/sync/profile-fields.ts'

import type { Sql } from '../shared/sql.ts'
import { advance, type Stream } from './stream.ts'
import { isTimeToBound } from './to-device.ts'

/** Who did not ask in so many days is not told any more. */
const keptDays = 30
/** Changes that are kept; who has missed older ones gets everything anew. */
const mostChanges = 10_000

type Interest = { since: number; seen_day: number }

function interest(sql: Sql): Interest | undefined {
  return sql.exec<Interest>('SELECT since, seen_day FROM profile_interest').toArray()[0]
}

/** What changed after a position in these fields, which a client asks for; `isLate`: changes may be missing. */
export function profileChangesAfter(
  sql: Sql,
  stream: Stream,
  { fields, after, today }: { readonly fields: ProfileFields; readonly after: number; readonly today: number },
): { readonly changed: readonly ProfileChange[]; readonly isLate: boolean } {
  if (fields.length === 0) return { changed: [], isLate: false }
  const isLate = follow(sql, stream, today) > after
  return { changed: isLate ? [] : changesAfter(sql, fields, after), isLate }
}

/**
 * Notes that a client asks; answers since when changes are noted. At first that is a position of its own: what changed after
 * the newest token, and was not noted, must not pass for heard.
 */
function follow(sql: Sql, stream: Stream, today: number): number {
  const known = interest(sql)
  if (known?.seen_day === today) return known.since
  const since = known?.since ?? advance(sql, stream)
  sql.exec('INSERT OR REPLACE INTO profile_interest(id, since, seen_day) VALUES (1, ?, ?)', since, today)
  return since
}

function changesAfter(sql: Sql, fields: ProfileFields, after: number): ProfileChange[] {
  const rows = sql.exec<{ user_id: string; field: string }>(
    'SELECT user_id, field FROM profile_changes WHERE position > ? ORDER BY position',
    after,
  )
  const changed = new Map<string, string[]>()
  for (const { user_id: userId, field } of rows.toArray()) {
    if (fields !== '*' && !fields.includes(field)) continue
    const theirs = changed.get(userId)
    if (theirs) theirs.push(field)
    else changed.set(userId, [field])
  }
  return [...changed].map(([userId, names]) => ({ userId, fields: names }))
}

/** Somebody's profile changed. False where no client follows profiles. */
export function noteProfileChange(sql: Sql, stream: Stream, { userId, fields }: ProfileChange): boolean {
  if (!interest(sql)) return false
  const before = stream.position
  for (const field of fields) {
    sql.exec(
      `INSERT INTO profile_changes(user_id, field, position) VALUES (?, ?, ?)
       ON CONFLICT(user_id, field) DO UPDATE SET position = excluded.position`,
      userId,
      field,
      advance(sql, stream),
    )
  }
  if (isTimeToBound(before, stream.position)) boundChanges(sql)
  return true
}

function boundChanges(sql: Sql): void {
  const [oldest] = sql
    .exec<{ position: number }>(
      'SELECT position FROM profile_changes ORDER BY position DESC LIMIT 1 OFFSET ?',
      mostChanges,
    )
    .toArray()
  if (!oldest) return
  sql.exec('DELETE FROM profile_changes WHERE position <= ?', oldest.position)
  sql.exec('UPDATE profile_interest SET since = max(since, ?)', oldest.position)
}

/** Forgets what no client asks for any more. Once a day. */
export function forgetProfileChanges(sql: Sql, today: number): void {
  const known = interest(sql)
  if (!known || known.seen_day >= today - keptDays) return
  sql.exec('DELETE FROM profile_interest')
  sql.exec('DELETE FROM profile_changes')
}
