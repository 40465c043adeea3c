/**
 * Events with what became of them: bundled aggregations in `unsigned.m.relations`.
 *
 * Spec: client-server-api/#aggregations-of-child-events, #server-side-aggregation-of-mreplace-relationships,
 * #server-side-aggregation-of-mthread-relationships, #server-side-aggregation-of-mreference. Nothing here tells of a child
 * that the reader may not see, nor of one by a user they ignore. State events are given none.
 */
import type { JsonObject } from '#protocol/json/json.ts'

import { type ClientEvent, type EventFormat, timelineEvent } from './client-event.ts'
import { editsOf } from './edits.ts'
import { relationOf } from './relations.ts'
import { eventColumns, type EventRow, type StoredEvent } from './stored-event.ts'
import { latestInThread, threadCounts } from './threads.ts'
import type { View } from './visibility.ts'

export interface BundleFormat extends EventFormat {
  readonly ignoredUsers: readonly string[]
}

/** Events of a timeline with their aggregations. The caller has checked that the reader may see them. */
export function timelineEvents(view: View, events: readonly StoredEvent[], format: BundleFormat): ClientEvent[] {
  const parents = parentsAmong(view, events)
  return events.map((event) => bundled(view, event, parents.get(event.event_id), format))
}

/** One such event. */
export function timelineEventBundled(view: View, event: StoredEvent, format: BundleFormat): ClientEvent {
  return bundled(view, event, parentsAmong(view, [event]).get(event.event_id), format)
}

const parentsQuery =
  'SELECT DISTINCT parent, rel_type AS relType FROM relations WHERE parent IN (SELECT value FROM json_each(?)) ' +
  "AND rel_type IN ('m.replace', 'm.thread', 'm.reference')"

/** The kinds of relation that each event has children of. */
function parentsAmong({ room }: View, events: readonly StoredEvent[]): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  const ids = events.filter(({ state_key }) => state_key === undefined).map(({ event_id }) => event_id)
  if (ids.length === 0) return found
  const rows = room.reader.sql.exec<{ parent: string; relType: string }>(parentsQuery, JSON.stringify(ids))
  for (const { parent, relType } of rows) {
    const kinds = found.get(parent)
    if (kinds) kinds.add(relType)
    else found.set(parent, new Set([relType]))
  }
  return found
}

function bundled(
  view: View,
  event: StoredEvent,
  kinds: ReadonlySet<string> | undefined,
  format: BundleFormat,
): ClientEvent {
  const shown = timelineEvent(view, event, format)
  if (!kinds) return shown
  const relType = relationOf(event.pdu)?.relType
  // "The original event must not, itself, have a rel_type of m.replace."
  const edit =
    kinds.has('m.replace') && event.redactedBy === undefined && relType !== 'm.replace'
      ? latestEdit(view, event, format)
      : undefined
  // "It is not possible to create a thread from an event which itself is the child of an event relationship."
  const thread = kinds.has('m.thread') && relType === undefined ? threadSummary(view, event, format) : undefined
  const references = kinds.has('m.reference') ? referencesTo(view, event, format) : []
  const relations: JsonObject = {
    ...(edit ? { 'm.replace': timelineEvent(view, edit, format) } : {}),
    ...(thread ? { 'm.thread': thread } : {}),
    ...(references.length > 0 ? { 'm.reference': { chunk: references } } : {}),
  }
  if (Object.keys(relations).length === 0) return shown
  return { ...shown, unsigned: { ...shown.unsigned, 'm.relations': relations } }
}

/** The newest valid replacement. Spec: client-server-api/#validity-of-replacement-events. */
function latestEdit(view: View, event: StoredEvent, format: BundleFormat): StoredEvent | undefined {
  if (format.ignoredUsers.includes(event.sender)) return undefined
  return editsOf(view.room, event).find((edit) => view.mayRead(edit))
}

function threadSummary(view: View, root: StoredEvent, format: BundleFormat): JsonObject | undefined {
  const latest = latestInThread(view, root.event_id, format.ignoredUsers)
  if (!latest) return undefined
  const { count, byReader } = threadCounts(view, root.event_id, format.ignoredUsers)
  return {
    // It has a relation itself, so there is no thread of it, and this ends here.
    latest_event: timelineEventBundled(view, latest, format),
    count,
    current_user_participated: byReader || root.sender === view.reader,
  }
}

/** Most events a single one is said to be referenced by; `/relations` has them all. */
const maxReferences = 200

const referencesQuery =
  `SELECT ${eventColumns} FROM relations JOIN events ON nid = child ` +
  `WHERE parent = ? AND rel_type = 'm.reference' ORDER BY child_depth, child LIMIT ${maxReferences}`

function referencesTo(view: View, { event_id }: StoredEvent, { ignoredUsers }: BundleFormat): JsonObject[] {
  const { reader } = view.room
  return reader.sql
    .exec<EventRow>(referencesQuery, event_id)
    .toArray()
    .map((row) => reader.fromRow(row))
    .filter((event) => !ignoredUsers.includes(event.sender) && view.mayRead(event))
    .map((event) => ({ event_id: event.event_id }))
}
