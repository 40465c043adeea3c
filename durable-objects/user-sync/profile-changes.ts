/**
 * Whose profile changed, for clients that follow profiles; and which fields those follow.
 *
 * Spec: MSC4429, MSC4262. Nothing is written of fields that no client of this user asked for within a month. Only that a field
 * changed is kept, not to what: the value is read when somebody is told. A token from before a field was followed says
 * nothing of its changes; its holder gets the field anew of everybody.
 */
import type { ProfileChange, ProfileFields } from '#protocol/sync/profile-fields.ts'

import type { Sql } from '../shared/sql.ts'
import { advance, type Stream } from './stream.ts'
import { isTimeToBound } from './to-device.ts'

/** A field that nobody asked for in so many days is not followed any more. */
const keptDays = 30
/** Fields that are followed at once. */
const mostFields = 300
/** Changes that are kept; who has missed older ones gets everything anew. */
const mostChanges = 10_000

type FieldRow = { field: string; since: number; seen_day: number }

function followed(sql: Sql): Map<string, FieldRow> {
  const rows = sql.exec<FieldRow>('SELECT field, since, seen_day FROM profile_fields').toArray()
  return new Map(rows.map((row) => [row.field, row]))
}

/**
 * What changed after a position in these fields; a client asks for them, so that they are followed from now on. `late`:
 * fields of which changes may be missing, since they were not followed yet.
 */
export function profileChangesAfter(
  sql: Sql,
  stream: Stream,
  { fields, after, today }: { readonly fields: ProfileFields; readonly after: number; readonly today: number },
): { readonly changed: readonly ProfileChange[]; readonly late: ProfileFields } {
  if (fields.length === 0) return { changed: [], late: [] }
  const since = follow(sql, stream, fields, today)
  const late = fields === '*' ? (isLate('*') ? '*' : []) : fields.filter(isLate)
  return { changed: changesAfter(sql, fields, after), late }

  function isLate(field: string): boolean {
    return (since.get(field) ?? stream.position) > after
  }
}

/**
 * Notes who is interested; answers since when each field is followed. For a new one that is a position of its own: what
 * changed after the newest token, and was not noted, must not pass for heard.
 */
function follow(sql: Sql, stream: Stream, fields: ProfileFields, today: number): ReadonlyMap<string, number> {
  const known = followed(sql)
  const all = known.get('*')
  const since = new Map<string, number>()
  let added = 0
  let now: number | undefined
  for (const field of fields === '*' ? ['*'] : fields) {
    const row = known.get(field)
    const from = row || all ? Math.min(row?.since ?? Infinity, all?.since ?? Infinity) : (now ??= advance(sql, stream))
    since.set(field, from)
    if (row?.seen_day === today) continue
    sql.exec('INSERT OR REPLACE INTO profile_fields(field, since, seen_day) VALUES (?, ?, ?)', field, from, today)
    if (!row) added += 1
  }
  if (known.size + added > mostFields) {
    sql.exec(
      `DELETE FROM profile_fields WHERE field IN
         (SELECT field FROM profile_fields ORDER BY seen_day DESC, rowid DESC LIMIT -1 OFFSET ?)`,
      mostFields,
    )
  }
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

/** Somebody's profile changed. False where no client follows these fields. */
export function noteProfileChange(sql: Sql, stream: Stream, { userId, fields }: ProfileChange): boolean {
  const known = followed(sql)
  const wanted = known.has('*') ? fields : fields.filter((field) => known.has(field))
  const before = stream.position
  for (const field of wanted) {
    sql.exec(
      `INSERT INTO profile_changes(user_id, field, position) VALUES (?, ?, ?)
       ON CONFLICT(user_id, field) DO UPDATE SET position = excluded.position`,
      userId,
      field,
      advance(sql, stream),
    )
  }
  if (isTimeToBound(before, stream.position)) boundChanges(sql)
  return wanted.length > 0
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
  sql.exec('UPDATE profile_fields SET since = max(since, ?)', oldest.position)
}

/** Forgets what no client asks for any more. Once a day. */
export function forgetProfileFields(sql: Sql, today: number): void {
  sql.exec('DELETE FROM profile_fields WHERE seen_day < ?', today - keptDays)
  sql.exec(`DELETE FROM profile_changes WHERE NOT EXISTS
    (SELECT 1 FROM profile_fields WHERE profile_fields.field IN ('*', profile_changes.field))`)
  boundChanges(sql)
}
