/**
 * How many events a member has not read, of those that their push rules notify of.
 *
 * Spec: client-server-api/#receiving-notifications, #marking-notifications-as-read, #threaded-read-receipts. The counts follow
 * from the history, the receipts and the rules alone, whenever they are taken. What was found is kept in memory, so that
 * each event is judged once per reader: by the first slice after it. Lost memory costs another look at what is unread.
 */
import { contentString, membershipOf } from '#protocol/events/fields.ts'
import { splitStateMapKey, stateMapKey } from '#protocol/events/state-map.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { powerLevelsOf } from '#protocol/power-levels.ts'
import type { PushContext } from '#protocol/push-rules/conditions.ts'
import { evaluatePushRules, type PushVerdict } from '#protocol/push-rules/evaluate.ts'
import { pushRulesOf, type RoomPushRules } from '#protocol/push-rules/stored-rules.ts'

import { isShown } from './history-page.ts'
import { horizonOf } from './retention/expiry.ts'
import { type Room, stateLookup } from './room.ts'
import { eventColumns, type EventRow, type GroupId, type Nid, type StoredEvent } from './stored-event.ts'
import { countsOf } from './summary.ts'
import { mainThread, threadOf } from './thread-of.ts'
import type { Notifying } from './unread-memory.ts'
import type { View } from './visibility.ts'

/** The newest events that are looked at when nothing is known of a reader: so many unread are "very many". */
const maxUnread = 2_000

export interface CountRequest {
  readonly pushRules: RoomPushRules
  readonly ignoredUsers: readonly string[]
  /** "These counts will only be for the main timeline", with those of threads beside them. */
  readonly byThread: boolean
}

/** `unread_notifications` and, by thread, `unread_thread_notifications`. `member` is the reader's join. */
export function unreadCounts(view: View, member: StoredEvent, request: CountRequest): JsonObject {
  const joinedAt = beginningOfStay(view, member)
  const unread = unreadEvents(view, joinedAt, request)
  if (!request.byThread) return { unread_notifications: countsOfEvents(unread) }
  const roots = new Set(unread.map(({ thread }) => thread).filter((thread) => thread !== mainThread))
  const inThread = (name: string) => countsOfEvents(unread.filter(({ thread }) => thread === name))
  return {
    unread_notifications: inThread(mainThread),
    ...(roots.size > 0
      ? { unread_thread_notifications: Object.fromEntries([...roots].map((root) => [root, inThread(root)])) }
      : {}),
  }
}

function countsOfEvents(events: readonly Notifying[]): JsonObject {
  return {
    highlight_count: events.filter(({ highlight }) => highlight).length,
    notification_count: events.length,
  }
}

/** An unread event with what the rules say of it. */
export interface Ringing {
  readonly event: StoredEvent
  readonly tweaks: JsonObject
}

/** How many events a joined reader has not read, and the newest of those after a position, oldest first: what rings. */
export function unreadSince(
  view: View,
  member: StoredEvent,
  request: Omit<CountRequest, 'byThread'>,
  { after, limit }: { readonly after: number; readonly limit: number },
): { readonly unread: number; readonly ringing: readonly Ringing[] } {
  const unread = unreadEvents(view, beginningOfStay(view, member), { ...request, byThread: false })
  const fresh = unread.filter(({ pos }) => pos > after)
  return { unread: unread.length, ringing: rung(view, fresh.slice(-limit), request) }
}

/**
 * What rings of a span, for a reader who has read nothing since its beginning: the same without a look at what was unread
 * before, in which neither the reader nor a redaction had a say. Undefined where one had.
 */
export function unreadOfSpan(
  view: View,
  span: { readonly after: number; readonly upTo: number },
  request: Omit<CountRequest, 'byThread'>,
  limit: number,
): { readonly unread: number; readonly ringing: readonly Ringing[] } | undefined {
  const { room, reader: user } = view
  const [changed] = room.reader.sql
    .exec(
      `SELECT 1 AS found WHERE EXISTS (SELECT 1 FROM receipts WHERE user_id = ?1 AND pos > ?2) OR EXISTS
         (SELECT 1 FROM events WHERE pos > ?2 AND pos <= ?3 AND (sender = ?1 OR type = 'm.room.redaction' OR state_key = ?1))`,
      user,
      span.after,
      span.upTo,
    )
    .toArray()
  if (changed || span.upTo - span.after > maxUnread) return undefined
  const fresh: Notifying[] = []
  addUnread(view, fresh, span, { ...request, byThread: false })
  return { unread: fresh.length, ringing: rung(view, fresh.slice(-limit), request) }
}

function rung(
  view: View,
  fresh: readonly Notifying[],
  { pushRules }: Pick<CountRequest, 'pushRules'>,
): readonly Ringing[] {
  if (fresh.length === 0) return []
  const { reader } = view.room
  const judge = judgeFor(view, pushRules)
  const query = `SELECT ${eventColumns} FROM events WHERE pos IN (SELECT value FROM json_each(?)) ORDER BY pos`
  const rows = reader.sql.exec<EventRow>(query, JSON.stringify(fresh.map(({ pos }) => pos))).toArray()
  return rows.map((row) => {
    const event = reader.fromRow(row)
    return { event, tweaks: judge(event).tweaks }
  })
}

/** An event for a user's list of notifications. */
export interface Notification extends Ringing {
  readonly read: boolean
}

/** What the rules notify of among the newest events of the room, newest first, read or not. */
export function* notificationsOf(
  view: View,
  member: StoredEvent,
  request: Omit<CountRequest, 'byThread'>,
  lookBack: number,
): Generator<Notification> {
  const { room, reader: user } = view
  const unread = new Set(
    unreadEvents(view, beginningOfStay(view, member), { ...request, byThread: false }).map(({ pos }) => pos),
  )
  const judge = judgeFor(view, request.pushRules)
  for (const row of room.reader.sql.exec<EventRow>(newest, 0, room.reader.header().pos, lookBack).toArray()) {
    const event = room.reader.fromRow(row)
    if (event.sender === user || event.redactedBy !== undefined || view.membershipAfter(event) !== 'join') continue
    if (!isShown(view, event, { ignoredUsers: request.ignoredUsers })) continue
    const { notify, tweaks } = judge(event)
    if (notify) yield { event, tweaks, read: !unread.has(row.pos ?? 0) }
  }
}

function unreadEvents(view: View, joinedAt: number, request: CountRequest): readonly Notifying[] {
  const { room, reader: user } = view
  const { reader, memory } = room
  const { pos } = reader.header()
  const rules = JSON.stringify([request.pushRules, request.ignoredUsers])
  const kept = memory.unread.get(user)
  const known = kept?.rules === rules && kept.changes === reader.changes && kept.upTo <= pos ? kept : undefined
  const wholeRoom = Math.max(joinedAt, readUpTo(room, user, ['']).get('') ?? 0)
  const found = [...(known?.events ?? [])]
  const after = Math.max(known?.upTo ?? 0, wholeRoom)
  if (after < pos) addUnread(view, found, { after, upTo: pos }, request)
  const read = readUpTo(room, user, new Set(found.map(({ thread }) => thread)))
  const horizon = horizonOf(room)
  const isLeft = (event: Notifying) => event.sentAt >= horizon && event.pos > (read.get(event.thread) ?? 0)
  const events = found.filter((event) => event.pos > wholeRoom && isLeft(event))
  memory.unread.set(user, { rules, changes: reader.changes, upTo: pos, events }, events.length + 10)
  return events
}

const newest = `SELECT ${eventColumns} FROM events WHERE pos > ? AND pos <= ? ORDER BY pos DESC LIMIT ?`

/** Looks at the events of a span and keeps `unread` as they leave it. */
function addUnread(
  view: View,
  unread: Notifying[],
  span: { readonly after: number; readonly upTo: number },
  { pushRules, ignoredUsers }: CountRequest,
): void {
  const { room, reader: user } = view
  const judge = judgeFor(view, pushRules)
  const rows = room.reader.sql.exec<EventRow>(newest, span.after, span.upTo, maxUnread).toArray()
  for (const row of rows.reverse()) {
    const event = room.reader.fromRow(row)
    if (event.sender === user) {
      // "When the user updates their read receipt (either by using the API or by sending an event)". Profiles change in
      // all rooms at once, whether they were read or not.
      if (event.type !== 'm.room.member') remove(unread, threadOf(view, event))
      else if (membershipOf(event.pdu) === 'join' && !joinBefore(view, event)) unread.length = 0
      continue
    }
    // "Homeservers process push rules for each of the local users in the room."
    if (event.redactedBy !== undefined || view.membershipAfter(event) !== 'join') continue
    if (!isShown(view, event, { ignoredUsers })) continue
    const { notify, highlight } = judge(event)
    const sentAt = event.state_key === undefined ? event.origin_server_ts : Infinity
    if (notify) unread.push({ pos: row.pos ?? 0, thread: threadOf(view, event), highlight, sentAt })
  }
}

function remove(unread: Notifying[], thread: string): void {
  const rest = unread.filter((event) => event.thread !== thread)
  unread.splice(0, unread.length, ...rest)
}

const receiptsQuery = `SELECT thread_id AS thread, max(coalesce(events.pos, 0)) AS pos FROM receipts
  JOIN events ON events.event_id = receipts.event_id
  WHERE user_id = ? AND receipt_type IN ('m.read', 'm.read.private') AND thread_id IN (SELECT value FROM json_each(?))
  GROUP BY thread_id`

/** How far each thread was read by its own receipts, `''` being the whole room: by the one that is further ahead. */
function readUpTo({ reader }: Room, user: UserId, threads: Iterable<string>): ReadonlyMap<string, number> {
  const wanted = JSON.stringify([...threads])
  const rows = reader.sql.exec<{ thread: string; pos: number }>(receiptsQuery, user, wanted)
  return new Map([...rows].map(({ thread, pos }) => [thread, pos]))
}

/** Changes of profile that are looked through. */
const maxChanges = 100

/** The position of the join by which the reader came in: what was before is not theirs to have read. */
function beginningOfStay(view: View, member: StoredEvent): number {
  let join = member
  for (let changes = 0; changes < maxChanges; changes++) {
    const before = joinBefore(view, join)
    if (!before) break
    join = before
  }
  return join.pos ?? 0
}

/** The reader's member event in the state before an event, if that was a join. */
function joinBefore({ room, reader }: View, { stateBefore }: StoredEvent): StoredEvent | undefined {
  const nid =
    stateBefore === undefined ? undefined : room.groups.read(stateBefore, stateMapKey('m.room.member', reader))
  const member = nid === undefined ? undefined : room.reader.eventOf(nid)
  return member && membershipOf(member.pdu) === 'join' ? member : undefined
}

/** Judges events by the rules, in the room as it was right before each of them. */
function judgeFor(view: View, pushRules: RoomPushRules): (event: StoredEvent) => PushVerdict {
  const { room, reader: user } = view
  const rules = pushRulesOf(user, pushRules, room.pushesEncrypted)
  const followed = new Set(pushRules.followed)
  const memberKey = stateMapKey('m.room.member', user)
  const joinedIn = joinedCounter(room)
  const names = new Map<GroupId, string | undefined>()

  const nameIn = (group: GroupId) => {
    if (!names.has(group)) {
      const nid = room.groups.read(group, memberKey)
      names.set(group, nid === undefined ? undefined : contentString(room.reader.eventOf(nid).pdu, 'displayname'))
    }
    return names.get(group)
  }

  return (stored) => {
    const { pdu, stateBefore, sender } = stored
    // Live events have their state.
    if (stateBefore === undefined) return { notify: false, highlight: false, tweaks: {} }
    const context: PushContext = {
      userId: user,
      get displayName() {
        return nameIn(stateBefore)
      },
      get memberCount() {
        return joinedIn(stateBefore)
      },
      get followsThread() {
        const thread = threadOf(view, stored)
        return thread === mainThread ? undefined : followed.has(thread)
      },
      senderMayNotify(key) {
        const levels = powerLevelsOf(room.reader.rules, stateLookup(room, stateBefore))
        return levels.userLevel(sender) >= levels.notificationLevel(key)
      },
    }
    const { type, state_key, room_id, content } = pdu
    const event = { type, sender, room_id, content, ...(state_key === undefined ? {} : { state_key }) }
    return evaluatePushRules(rules, event, context)
  }
}

/** Counts the joined members of a state from those of a state nearby: the one that was asked for before. */
function joinedCounter(room: Room): (group: GroupId) => number {
  const { currentGroup } = room.reader.header()
  let known = { group: currentGroup, joined: countsOf(room).joined }
  return (group) => {
    if (known.group !== undefined && known.group !== group) {
      let { joined } = known
      for (const [key, [then, now]] of room.groups.diff(known.group, group)) {
        if (splitStateMapKey(key)[0] !== 'm.room.member') continue
        joined += Number(isJoin(room, now)) - Number(isJoin(room, then))
      }
      known = { group, joined }
    }
    return known.joined
  }
}

function isJoin({ reader }: Room, nid: Nid | undefined): boolean {
  return nid !== undefined && membershipOf(reader.eventOf(nid).pdu) === 'join'
}
