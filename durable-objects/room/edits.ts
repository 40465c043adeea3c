/** The edits of an event, newest first. Spec: client-server-api/#event-replacements, #validity-of-replacement-events. */
import { isObject, own } from '#protocol/json/json.ts'

import type { Room } from './room.ts'
import { eventColumns, type EventRow, type StoredEvent } from './stored-event.ts'

/** Edits that are looked at for one that counts: all are by the author of the original. */
const maxEdits = 50

// "Determined by comparing origin_server_ts; if two or more … are identical, the lexicographically largest event_id."
const editsQuery =
  `SELECT ${eventColumns} FROM relations JOIN events ON nid = child ` +
  "WHERE parent = ? AND rel_type = 'm.replace' AND sender = ? AND type = ? AND state_key IS NULL " +
  `ORDER BY origin_server_ts DESC, event_id DESC LIMIT ${maxEdits}`

/** The valid replacements of an event, whoever may see them. */
export function editsOf({ reader }: Room, { event_id, sender, type }: StoredEvent): StoredEvent[] {
  return reader.sql
    .exec<EventRow>(editsQuery, event_id, sender, type)
    .toArray()
    .map((row) => reader.fromRow(row))
    .filter(hasNewContent)
}

/** "Once decrypted, if appropriate": of an encrypted edit nobody here can tell. */
function hasNewContent({ type, pdu }: StoredEvent): boolean {
  return type === 'm.room.encrypted' || isObject(own(pdu.content, 'm.new_content'))
}
