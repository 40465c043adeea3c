/**
 * A room's part of a user's list of notifications.
 *
 * Spec: client-server-api/#get_matrixclientv3notifications. Nothing is stored for it: which events notified follows from the
 * history and the rules. So a page looks at the newest events of a room only, and no further back than `lookBack`.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonValue } from '#protocol/json/json.ts'
import type { RoomPushRules } from '#protocol/push-rules/stored-rules.ts'

import { type ClientEvent, timelineEvent } from './client-event.ts'
import type { Room } from './room.ts'
import { notificationsOf } from './unread.ts'
import { viewOf } from './visibility.ts'

/** Where a page ends: the list is sorted by time and, of equal times, by event ID, newest first. */
export interface NotificationMark {
  readonly ts: number
  readonly eventId: string
}

export interface NotificationsRequest {
  readonly reader: UserId
  readonly deviceId: string
  readonly pushRules: RoomPushRules
  readonly ignoredUsers: readonly string[]
  /** Older than this only. */
  readonly before?: NotificationMark | undefined
  readonly onlyHighlights: boolean
  readonly limit: number
}

export interface ListedNotification {
  readonly room_id: RoomId
  readonly ts: number
  readonly read: boolean
  readonly actions: readonly JsonValue[]
  readonly event: ClientEvent
}

const lookBack = 500

/** The newest notifications of one room, newest first; none for those who are not joined. */
export function roomNotifications(room: Room, request: NotificationsRequest, now: number): ListedNotification[] {
  const { reader } = room
  const entry = reader.isKnown() ? reader.currentEntry('m.room.member', request.reader) : undefined
  if (entry?.membership !== 'join') return []
  const { before, onlyHighlights, limit, deviceId } = request
  const view = viewOf(room, request.reader)
  const found = [...notificationsOf(view, reader.eventOf(entry.nid), request, lookBack)].filter(
    ({ event, tweaks }) =>
      (!onlyHighlights || tweaks['highlight'] === true) &&
      (!before || isOlder({ ts: event.origin_server_ts, eventId: event.event_id }, before)),
  )
  const format = { now, deviceId, withRoomId: true }
  return found
    .map((each) => ({ ...each, mark: { ts: each.event.origin_server_ts, eventId: each.event.event_id } }))
    .sort((a, b) => (isOlder(a.mark, b.mark) ? 1 : -1))
    .slice(0, limit)
    .map(({ event, tweaks, read }) => ({
      room_id: reader.header().roomId,
      ts: event.origin_server_ts,
      read,
      actions: ['notify', ...Object.entries(tweaks).map(([set_tweak, value]) => ({ set_tweak, value: value ?? null }))],
      event: timelineEvent(view, event, format),
    }))
}

/** Whether one place of the list comes after another. */
export function isOlder(mark: NotificationMark, than: NotificationMark): boolean {
  return mark.ts < than.ts || (mark.ts === than.ts && mark.eventId < than.eventId)
}
