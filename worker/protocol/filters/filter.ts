/**
 * Filters: which events a client asked to hear of, and whether one event is among them.
 *
 * Spec: client-server-api/#filtering, data/api/client-server/definitions/sync_filter.yaml. The parsed form keeps the wire
 * names and crosses RPC as it is. A filter only ever narrows what its user may see.
 */
import { isObject, type JsonObject, own } from '../json/json.ts'

export interface EventFilter {
  /** At most this many events. The specification demands more than 0; clients in use send 0 for "none", and get it. */
  readonly limit?: number
  readonly types?: readonly string[]
  readonly not_types?: readonly string[]
  readonly senders?: readonly string[]
  readonly not_senders?: readonly string[]
}

export interface RoomEventFilter extends EventFilter {
  readonly rooms?: readonly string[]
  readonly not_rooms?: readonly string[]
  readonly contains_url?: boolean
  readonly lazy_load_members?: boolean
  readonly include_redundant_members?: boolean
  readonly unread_thread_notifications?: boolean
  /** The same, as it was called before v1.4. */
  readonly 'org.matrix.msc3773.unread_thread_notifications'?: boolean
  /** MSC3440: events to which others relate that are of one of these types, and by one of these users. */
  readonly related_by_rel_types?: readonly string[]
  readonly related_by_senders?: readonly string[]
  /** MSC3874 (unstable): by the relation that an event has to another. */
  readonly 'org.matrix.msc3874.rel_types'?: readonly string[]
  readonly 'org.matrix.msc3874.not_rel_types'?: readonly string[]
}

export interface RoomFilter {
  readonly rooms?: readonly string[]
  readonly not_rooms?: readonly string[]
  readonly include_leave?: boolean
  readonly state?: RoomEventFilter
  readonly timeline?: RoomEventFilter
  readonly ephemeral?: RoomEventFilter
  readonly account_data?: RoomEventFilter
}

export interface SyncFilter {
  readonly event_fields?: readonly string[]
  readonly event_format?: 'client' | 'federation'
  readonly presence?: EventFilter
  readonly account_data?: EventFilter
  readonly room?: RoomFilter
  /** MSC4429 (unstable). */
  readonly 'org.matrix.msc4429.profile_fields'?: { readonly ids?: readonly string[] }
}

/** What a filter looks at. Account data and ephemeral events have no sender. */
export interface Filtered {
  readonly type: string
  readonly sender?: string
  readonly content: JsonObject
}

/** Whether the filter lets an event through. The limit, the rooms, and what relates to it are the caller's business. */
export function passesFilter(filter: RoomEventFilter | undefined, { type, sender, content }: Filtered): boolean {
  if (!filter) return true
  if (filter.not_types?.some((pattern) => matchesType(pattern, type))) return false
  if (filter.types && !filter.types.some((pattern) => matchesType(pattern, type))) return false
  if (sender !== undefined && filter.not_senders?.includes(sender)) return false
  if (filter.senders && !(sender !== undefined && filter.senders.includes(sender))) return false
  if (filter.contains_url !== undefined && filter.contains_url !== (typeof own(content, 'url') === 'string'))
    return false
  return passesRelations(filter, content)
}

function passesRelations(filter: RoomEventFilter, content: JsonObject): boolean {
  const { 'org.matrix.msc3874.rel_types': wanted, 'org.matrix.msc3874.not_rel_types': unwanted } = filter
  if (!wanted && !unwanted) return true
  const relation = own(content, 'm.relates_to')
  const relType = isObject(relation) ? own(relation, 'rel_type') : undefined
  const isAmong = (types: readonly string[]) => types.some((type) => type === relType)
  return !(unwanted && isAmong(unwanted)) && (!wanted || isAmong(wanted))
}

/** Whether a filter wants a room. `not_rooms` wins over `rooms`. */
export function wantsRoom(
  filter: { readonly rooms?: readonly string[]; readonly not_rooms?: readonly string[] } | undefined,
  roomId: string,
): boolean {
  if (filter?.not_rooms?.includes(roomId)) return false
  return !filter?.rooms || filter.rooms.includes(roomId)
}

/**
 * `*` stands for any sequence of characters; nothing else is special. Each literal part is sought once, from where the
 * one before it ended: no pattern makes this slow, as a regular expression could (CVE-2021-29471).
 */
export function matchesType(pattern: string, type: string): boolean {
  const [head = '', ...rest] = pattern.split('*')
  const tail = rest.pop()
  if (tail === undefined) return pattern === type
  if (!type.startsWith(head)) return false
  let at = head.length
  for (const part of rest) {
    const found = type.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return type.length - tail.length >= at && type.endsWith(tail)
}
