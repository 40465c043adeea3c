/**
 * Which events relate to which, by `m.relates_to` with a `rel_type`.
 *
 * Spec: client-server-api/#forming-relationships-between-events. The table `relations` has every accepted event that has a
 * relation and is not redacted; `append.ts` and the transactor keep it. The parent may be of any kind, or unknown: whoever
 * reads looks at it first.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import { type EventId, parseEventId } from '#protocol/identifiers/event-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import type { ReadRows } from './history-walk.ts'
import type { Room } from './room.ts'
import { eventColumns, type EventRow, outcomes, type StoredEvent } from './stored-event.ts'

export interface Relation {
  readonly parent: string
  readonly relType: string
}

/** What an event relates to; undefined without a well-formed relation. A reply without `rel_type` is none. */
export function relationOf({ content }: Pick<Pdu, 'content'>): Relation | undefined {
  const relation = own(content, 'm.relates_to')
  if (!isObject(relation)) return undefined
  const [parent, relType] = [own(relation, 'event_id'), own(relation, 'rel_type')]
  return typeof parent === 'string' && typeof relType === 'string' ? { parent, relType } : undefined
}

/** Keeps what a stored event relates to. */
export function noteRelation(room: Room, event: StoredEvent): void {
  const relation = event.outcome === outcomes.accepted ? relationOf(event.pdu) : undefined
  if (relation) room.transactor.addRelation(event, relation.parent, relation.relType)
}

/** "Servers SHOULD reject client requests which attempt to start a thread off an event with an m.relates_to property." */
export function isThreadOfRelation({ reader }: Room, content: JsonObject): boolean {
  const relation = relationOf({ content })
  const parent = relation?.relType === 'm.thread' ? parseEventId(relation.parent) : undefined
  const root = parent && reader.eventById(parent)
  return root !== undefined && relationOf(root.pdu) !== undefined
}

/** Which children are wanted. */
export interface Children {
  readonly parent: EventId
  readonly relType?: string | undefined
  readonly eventType?: string | undefined
}

const chosen = '(? IS NULL OR rel_type = ?) AND (? IS NULL OR type = ?)'
const direct = `SELECT ${eventColumns} FROM relations JOIN events ON nid = child WHERE parent = ? AND ${chosen}`
const directBackwards = `${direct} AND (child_depth, child) <= (?, ?) ORDER BY child_depth DESC, child DESC LIMIT ?`
const directForwards = `${direct} AND (child_depth, child) > (?, ?) ORDER BY child_depth, child LIMIT ?`

/** Events that relate to the parent itself. */
export const childRows =
  ({ reader }: Room, { parent, ...choice }: Children): ReadRows =>
  (dir, { depth, nid }, chunk) => {
    const [relType, eventType] = [choice.relType ?? null, choice.eventType ?? null]
    const query = dir === 'b' ? directBackwards : directForwards
    return reader.sql.exec<EventRow>(query, parent, relType, relType, eventType, eventType, depth, nid, chunk).toArray()
  }

/** "Homeservers SHOULD traverse at least 3 levels of relationships", children being the first. */
export const recursionDepth = 3

// Every event relates to one parent at most, but in room versions 1 and 2 IDs are chosen: the level ends a circle.
const tree =
  'WITH RECURSIVE tree(child, rel_type, level) AS (' +
  'SELECT child, rel_type, 1 FROM relations WHERE parent = ? UNION ' +
  'SELECT r.child, r.rel_type, level + 1 FROM tree JOIN events ON nid = tree.child ' +
  `JOIN relations r ON r.parent = event_id WHERE level < ${recursionDepth}) ` +
  `SELECT ${eventColumns} FROM events WHERE event_id <> ? AND ` +
  'nid IN (SELECT child FROM tree WHERE ? IS NULL OR rel_type = ?) AND (? IS NULL OR type = ?)'
const treeBackwards = `${tree} AND (depth, nid) <= (?, ?) ORDER BY depth DESC, nid DESC LIMIT ?`
const treeForwards = `${tree} AND (depth, nid) > (?, ?) ORDER BY depth, nid LIMIT ?`

/** Events that relate to the parent, to its children, or to theirs. The choice falls on what is found, not on the way. */
export const descendantRows =
  ({ reader }: Room, { parent, ...choice }: Children): ReadRows =>
  (dir, { depth, nid }, chunk) => {
    const [relType, eventType] = [choice.relType ?? null, choice.eventType ?? null]
    const query = dir === 'b' ? treeBackwards : treeForwards
    return reader.sql
      .exec<EventRow>(query, parent, parent, relType, relType, eventType, eventType, depth, nid, chunk)
      .toArray()
  }
