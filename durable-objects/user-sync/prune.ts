/**
 * Forgets marks that hardly any token needs, once a day.
 *
 * Clients start again from tokens that are minutes or days old, and get exactly what they got before: marks of the last
 * `keptDays` days stay, and those around the day on which each device was last seen, since that is where it will go on.
 * Between these spans one mark per room is left. A token from there finds an older mark, or none, and so gets more than
 * it missed or a room anew with `limited`; never less.
 */
import type { Sql } from '../shared/sql.ts'
import { forgetEndedDevices } from './devices.ts'
import { forgetProfileChanges } from './profile-changes.ts'
import { forgetConnections } from './sliding/connections.ts'
import type { Stream } from './stream.ts'
import { forgetSeenMessages } from './to-device.ts'

const keptDays = 7
const millisecondsPerDay = 86_400_000

/** The day of a time, in days since 1970 (UTC). `now` in milliseconds. */
export function dayOf(now: number): number {
  return Math.floor(now / millisecondsPerDay)
}

/** Notes that a new day began and prunes; does nothing on a day that has been noted. */
export function beginDay(sql: Sql, stream: Stream, now: number): void {
  const today = dayOf(now)
  const known = sql.exec<{ day: number }>('SELECT day FROM days WHERE day >= ? LIMIT 1', today).toArray()
  if (known.length > 0) return
  sql.exec('INSERT INTO days(day, position) VALUES (?, ?)', today, stream.position)
  forgetEndedDevices(sql, today)
  forgetSeenMessages(sql, today)
  forgetConnections(sql, today)
  forgetProfileChanges(sql, today)
  const days = sql.exec<{ day: number; position: number }>('SELECT day, position FROM days ORDER BY day').toArray()
  const seen = sql
    .exec<{ day: number }>('SELECT DISTINCT seen_day AS day FROM devices WHERE ended = 0')
    .toArray()
    .map(({ day }) => day)
  for (const [after, upTo] of gapsBetween(days, seen, today)) {
    // Failed slices (served less than was known) stay: without them their token would claim too much.
    sql.exec(
      `DELETE FROM marks WHERE at > ?1 AND at <= ?2 AND (served_pos IS NULL OR served_pos >= pos)
         AND EXISTS (SELECT 1 FROM marks AS later WHERE later.room_id = marks.room_id AND later.at > marks.at AND later.at <= ?2)`,
      after,
      upTo,
    )
  }
}

/**
 * The spans of positions (after, up to) outside of those that are kept: the last days, and from the day before to the day
 * after each day on which a device was last seen. `days` ascend; a day without a row belongs to the one before.
 */
export function gapsBetween(
  days: readonly { readonly day: number; readonly position: number }[],
  seen: readonly number[],
  today: number,
): [after: number, upTo: number][] {
  const isKept = (day: number) => day >= today - keptDays || seen.some((last) => Math.abs(day - last) <= 1)
  const gaps: [number, number][] = []
  days.forEach(({ day, position }, index) => {
    const next = days[index + 1]
    // Positions of `day` reach to where the next noted day begins, and that may be the day on which a device was seen.
    if (!next || isKept(day) || seen.some((last) => last > day && last < next.day)) return
    const last = gaps.at(-1)
    if (last?.[1] === position) last[1] = next.position
    else gaps.push([position, next.position])
  })
  return gaps
}
