/**
 * The thread an event belongs to.
 *
 * Spec: client-server-api/#threaded-read-receipts: follow the relationships until there is an `m.thread` relation; "a maximum
 * of 3 hops is recommended to cover indirect relationships". A thread's root, and what relates to that alone, are no part of
 * the thread.
 */
import { parseEventId } from '#protocol/identifiers/event-id.ts'

import { visibleEvent } from './event-by-id.ts'
import { relationOf } from './relations.ts'
import type { StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

/** As receipts name it. */
export const mainThread = 'main'
const maxHops = 3

/** The ID of the thread's root, or `main`. */
export function threadOf(view: View, event: StoredEvent): string {
  let at: StoredEvent | undefined = event
  for (let hops = 0; at && hops <= maxHops; hops++) {
    const relation = relationOf(at.pdu)
    const parent = relation && parseEventId(relation.parent)
    if (!parent) return mainThread
    if (relation.relType === 'm.thread') return parent
    at = visibleEvent(view, parent)
  }
  return mainThread
}
