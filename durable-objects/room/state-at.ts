/**
 * The state of the room as it was at a position of its timeline.
 *
 * That is the state after all forward extremities of then, which a client that has heard everything up to there should
 * hold; not the state after one event, which on a fork is only that branch's.
 */
import type { Room } from './room.ts'
import type { GroupId } from './stored-event.ts'

/**
 * The room's state once everything up to `pos` had come. Before the first live event it is the state on which that one
 * stands: nothing for a room created here, what the other server said for a room that was joined. Undefined while the room
 * is known from outside only.
 */
export function stateGroupAt({ reader }: Room, pos: number): GroupId | undefined {
  const header = reader.header()
  if (pos >= header.pos || header.currentGroup === undefined) return header.currentGroup
  const { sql } = reader
  const last = sql
    .exec<{ pos: number; after: number | null }>(
      'SELECT pos, state_after AS after FROM events WHERE pos <= ? ORDER BY pos DESC LIMIT 1',
      pos,
    )
    .toArray()[0]
  if (!last) return stateBeforeTimeline(sql)
  const merged = sql
    .exec<{ state_group: number }>(
      'SELECT state_group FROM merged_states WHERE pos >= ? AND pos <= ? ORDER BY pos DESC LIMIT 1',
      last.pos,
      pos,
    )
    .toArray()[0]
  return merged?.state_group ?? last.after ?? undefined
}

/**
 * The same as it is known now: where members were missing then (partial-state.ts), clients heard of less than was so. On forks
 * it is the state after the newest event, which is one branch's.
 */
export function wholeStateAt(room: Room, pos: number): GroupId | undefined {
  const { sql, partial } = room.reader
  if (partial.isOpen || !partial.wasOpenAt(pos)) return stateGroupAt(room, pos)
  const query = 'SELECT state_after AS after FROM events WHERE pos <= ? ORDER BY pos DESC LIMIT 1'
  const last = sql.exec<{ after: number | null }>(query, pos).toArray()[0]
  return last ? (last.after ?? undefined) : stateBeforeTimeline(sql)
}

function stateBeforeTimeline(sql: SqlStorage): GroupId | undefined {
  const query = 'SELECT state_before AS before FROM events WHERE pos IS NOT NULL ORDER BY pos LIMIT 1'
  return sql.exec<{ before: number | null }>(query).toArray()[0]?.before ?? undefined
}
