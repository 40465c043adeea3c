/**
 * Filters for events to which others relate: `related_by_rel_types`, `related_by_senders`. MSC3440, as other servers have it.
 */
import type { RoomEventFilter } from '#protocol/filters/filter.ts'

import type { StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

/** Related events that are looked at for one event. */
const mostLooked = 50

const query = `SELECT child FROM relations JOIN events ON nid = child WHERE parent = ?1
  AND (?2 IS NULL OR rel_type IN (SELECT value FROM json_each(?2)))
  AND (?3 IS NULL OR sender IN (SELECT value FROM json_each(?3))) LIMIT ?4`

/** Whether the filter wants no such thing, or one event that the reader may see relates to this one in both ways. */
export function isRelatedTo(
  view: View,
  { event_id }: StoredEvent,
  filter: RoomEventFilter | undefined,
  ignoredUsers: readonly string[] | undefined,
): boolean {
  const { related_by_rel_types: types, related_by_senders: senders } = filter ?? {}
  if (!types && !senders) return true
  const { reader } = view.room
  const [typeList, senderList] = [types, senders].map((list) => (list ? JSON.stringify(list) : null))
  const rows = reader.sql.exec<{ child: number }>(query, event_id, typeList ?? null, senderList ?? null, mostLooked)
  return rows.toArray().some(({ child }) => {
    const event = reader.eventOf(child)
    return ignoredUsers?.includes(event.sender) !== true && view.mayRead(event)
  })
}
