/**
 * The list of events that a user was notified of, or would have been.
 *
 * Spec: client-server-api/#listing-notifications, data/api/client-server/notifications.yaml. It is not stored: the rooms of a
 * user tell it from their history. So it costs nothing until somebody asks, and reaches back through the newest events of
 * the rooms in which something happened last.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { withoutSelf } from '#protocol/ignored-users.ts'
import { withFollowed } from '#protocol/push-rules/stored-rules.ts'

import { limiter } from '../../durable-objects/shared/limit.ts'
import { isOlder, type NotificationMark } from '../../durable-objects/room/notifications.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { wholeNumber } from './parameters.ts'

const [usualLimit, maxLimit] = [20, 100]
const maxRooms = 100
const atOnce = 20

/** Spec: client-server-api/#get_matrixclientv3notifications */
export const getNotifications = operation(
  'GET /_matrix/client/v3/notifications',
  { id: 'getNotifications', auth: 'accessToken', r0: true },
  async ({ env, requester: { userId, deviceId }, query }) => {
    const limit = Math.max(1, wholeNumber(query, 'limit', usualLimit, maxLimit))
    const before = parseMark(query.get('from'))
    const onlyHighlights = query.get('only')?.split(',').includes('highlight') === true
    const { rooms, pushRules, followed, ignoredUsers } = await userSyncOf(env, userId).notificationSources({
      limit: maxRooms,
    })
    // One more, to know whether there is a next page.
    const asked = {
      reader: userId,
      deviceId,
      ignoredUsers: withoutSelf(ignoredUsers, userId),
      before,
      onlyHighlights,
      limit: limit + 1,
    }
    const limited = limiter(atOnce)
    const ask = (roomId: RoomId) =>
      roomOf(env, roomId).notifications({ ...asked, pushRules: withFollowed(pushRules, followed, roomId) })
    const lists = await Promise.all(rooms.map((roomId) => limited(() => ask(roomId))))
    const sorted = lists
      .flat()
      .map((each) => ({ each, mark: { ts: each.ts, eventId: each.event.event_id } }))
      .sort((a, b) => (isOlder(a.mark, b.mark) ? 1 : -1))
    const page = sorted.slice(0, limit)
    const last = page.at(-1)?.mark
    return {
      notifications: page.map(({ each }) => ({ ...each, profile_tag: null })),
      ...(last && sorted.length > limit ? { next_token: `${last.ts}_${last.eventId}` } : {}),
    }
  },
)

function parseMark(from: string | null): NotificationMark | undefined {
  if (from === null || from === '') return undefined
  const match = /^(\d{1,16})_(\$.{1,254})$/.exec(from)
  return match
    ? { ts: Number(match[1]), eventId: match[2] ?? '' }
    : refuse('invalid_param', 'from is not a token of this list')
}
