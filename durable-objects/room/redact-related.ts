/**
 * Redacting what relates to an event along with it: MSC3912 (unstable). A live location ends with all of its positions.
 *
 * Each event is redacted by an event of its own, and only where its redaction by the same user would be allowed.
 */
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { ServerIdentity } from '../../worker/server-identity.ts'
import type { Written } from './author-event.ts'
import { redactEvent } from './redact.ts'
import type { Room } from './room.ts'

export interface RelatedRedaction {
  readonly sender: UserId
  readonly eventId: EventId
  /** `*` stands for all. */
  readonly relTypes: readonly string[]
  /** More for the content of each redaction, such as `reason`. */
  readonly content: JsonObject
}

/** Events that one request redacts beside the one it names. */
const most = 1000

const children =
  'SELECT event_id AS eventId FROM relations JOIN events ON nid = child WHERE parent = ? ' +
  'AND (?2 OR rel_type IN (SELECT value FROM json_each(?3))) ORDER BY child_depth, child LIMIT ?4'

/** What the redactions came to. */
export function redactRelated(room: Room, identity: ServerIdentity, request: RelatedRedaction, now: number): Written[] {
  if (!room.reader.isKnown()) return []
  const { sender, eventId, relTypes, content } = request
  const all = relTypes.includes('*') ? 1 : 0
  const related = room.reader.sql
    .exec<{ eventId: EventId }>(children, eventId, all, JSON.stringify(relTypes), most)
    .toArray()
  return related.flatMap((child) => {
    const redacted = redactEvent(room, identity, { sender, eventId: child.eventId, content }, now)
    return redacted.ok && redacted.isNew ? [redacted] : []
  })
}
