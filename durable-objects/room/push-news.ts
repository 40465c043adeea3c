/**
 * What of a room's news shall ring for a user with pushers, and how many events they have not read.
 *
 * Spec: client-server-api/#push-notifications, push-gateway-api/#homeserver-behaviour. The user's object asks for this when
 * the room told it of news, and sends it on; the room keeps nothing of it but who wants to be told (notify.ts). An answer
 * names the position up to which it looked: asked again from there, nothing rings twice.
 */
import { contentString } from '#protocol/events/fields.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, type JsonValue, own } from '#protocol/json/json.ts'
import { evaluatePushRules } from '#protocol/push-rules/evaluate.ts'
import { pushRulesOf, type RoomPushRules } from '#protocol/push-rules/stored-rules.ts'

import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'
import { strippedStateAt, strippedStateFromOutside } from './stripped-state.ts'
import { countsOf } from './summary.ts'
import { type Ringing, unreadOfSpan, unreadSince } from './unread.ts'
import { viewOf } from './visibility.ts'

export interface PushNewsRequest {
  readonly reader: UserId
  /** The position up to which was looked; `now` to begin, `membership` for a room one has just come to or was invited to. */
  readonly after: number | 'now' | 'membership'
  /** How many were unread there by these same rules, if that is known. */
  readonly unread?: number | undefined
  readonly pushRules: RoomPushRules
  readonly ignoredUsers: readonly string[]
}

/** What a push gateway may be told of one event. */
export interface RoomNotification {
  readonly event_id: EventId
  readonly room_id: RoomId
  readonly type: string
  readonly sender: UserId
  readonly sender_display_name?: string | undefined
  readonly room_name?: string | undefined
  readonly room_alias?: string | undefined
  readonly user_is_target: boolean
  readonly content: JsonObject
  readonly tweaks: JsonObject
}

export interface PushNews {
  readonly pos: number
  /** Unread events; an invite that waits for an answer counts as one. */
  readonly unread: number
  /** Oldest first. */
  readonly notifications: readonly RoomNotification[]
}

/** More at once are a flood: the newest ring, all are counted. */
const maxAtOnce = 50

/** Undefined for a room that is not known. */
export function pushNews(room: Room, request: PushNewsRequest): PushNews | undefined {
  const { reader } = room
  if (!reader.isKnown()) return undefined
  const { pos } = reader.header()
  const nothing: PushNews = { pos, unread: 0, notifications: [] }
  const outside = reader.outsideMembership(request.reader)
  const entry = reader.currentEntry('m.room.member', request.reader)
  if (outside) {
    if (outside.membership !== 'invite') return nothing
    const state = () => strippedStateFromOutside(room, outside)
    return { ...inviteNews(room, request, reader.eventOf(outside.eventNid), outside.pos, state), pos }
  }
  const member = entry && reader.eventOf(entry.nid)
  if (entry?.membership === 'invite' && member) {
    return { ...inviteNews(room, request, member, member.pos ?? 0, () => strippedStateAt(room, member)), pos }
  }
  return entry?.membership === 'join' && member ? joinedNews(room, request, member) : nothing
}

function joinedNews(room: Room, request: PushNewsRequest, member: StoredEvent): PushNews {
  const { pos } = room.reader.header()
  const view = viewOf(room, request.reader)
  const after = request.after === 'now' ? pos : request.after === 'membership' ? (member.pos ?? pos) : request.after
  const known = typeof request.after === 'number' ? request.unread : undefined
  const span = known === undefined ? undefined : unreadOfSpan(view, { after, upTo: pos }, request, maxAtOnce)
  const { unread, ringing } =
    span && known !== undefined
      ? { unread: known + span.unread, ringing: span.ringing }
      : unreadSince(view, member, request, { after, limit: maxAtOnce })
  const text = (type: string, field: string) => {
    const event = room.reader.current(type, '')
    return (event && contentString(event.pdu, field)) || undefined
  }
  const alias = text('m.room.canonical_alias', 'alias')
  const names = { room_name: text('m.room.name', 'name') ?? alias, room_alias: alias }
  const nameOf = (user: string) => {
    const event = room.reader.current('m.room.member', user)
    return event && contentString(event.pdu, 'displayname')
  }
  const notifications = ringing.map((each) => notification(request.reader, each, { ...names, nameOf }))
  return { pos, unread, notifications }
}

/** An invite rings once and counts until it is answered. */
function inviteNews(
  room: Room,
  request: PushNewsRequest,
  member: StoredEvent,
  memberPos: number,
  state: () => JsonObject[],
): Omit<PushNews, 'pos'> {
  const { reader, after, pushRules, ignoredUsers } = request
  if (ignoredUsers.includes(member.sender)) return { unread: 0, notifications: [] }
  const { type, sender, room_id, content, state_key = '' } = member.pdu
  const { notify, tweaks } = evaluatePushRules(
    pushRulesOf(reader, pushRules, room.pushesEncrypted),
    { type, sender, room_id, content, state_key },
    {
      userId: reader,
      displayName: undefined,
      memberCount: countsOf(room).joined,
      followsThread: undefined,
      senderMayNotify: () => false,
    },
  )
  if (!notify) return { unread: 0, notifications: [] }
  const isNews = after === 'membership' || (after !== 'now' && memberPos > after)
  if (!isNews) return { unread: 1, notifications: [] }
  const stripped = state()
  const text = (wanted: string, stateKey: string, field: string) => {
    const event = stripped.find((each) => own(each, 'type') === wanted && own(each, 'state_key') === stateKey)
    return textOf(event && own(event, 'content'), field)
  }
  const alias = text('m.room.canonical_alias', '', 'alias')
  const told = notification(
    reader,
    { event: member, tweaks },
    {
      room_name: text('m.room.name', '', 'name') ?? alias,
      room_alias: alias,
      nameOf: (user) => text('m.room.member', user, 'displayname'),
    },
  )
  return { unread: 1, notifications: [told] }
}

function textOf(content: JsonValue | undefined, field: string): string | undefined {
  const value = isObject(content) ? own(content, field) : undefined
  return typeof value === 'string' && value !== '' ? value : undefined
}

interface Names {
  readonly room_name: string | undefined
  readonly room_alias: string | undefined
  readonly nameOf: (user: string) => string | undefined
}

function notification(
  reader: UserId,
  { event: { pdu }, tweaks }: Ringing,
  { nameOf, ...names }: Names,
): RoomNotification {
  const { event_id, room_id, type, sender, content } = pdu
  const isTarget = type === 'm.room.member' && pdu.state_key === reader
  const sender_display_name = nameOf(sender)
  return { event_id, room_id, type, sender, sender_display_name, ...names, user_is_target: isTarget, content, tweaks }
}
