/**
 * Presence: who is there. Off unless the owner switched it on; then everybody is offline, and nothing is asked or told.
 *
 * Spec: client-server-api/#presence, data/api/client-server/presence.yaml.
 */
import { maxStatus, presenceContent, sayableStates } from '#protocol/presence/presence.ts'
import * as v from 'valibot'

import { roomOf } from '../rooms.ts'
import { operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { limiter } from '../../durable-objects/shared/limit.ts'

const body = v.object({
  presence: v.picklist(sayableStates),
  status_msg: v.optional(v.nullable(v.pipe(v.string(), v.maxLength(maxStatus)))),
})
/** Rooms asked at once, and in all. */
const [atOnce, maxRooms] = [40, 500]

/** Spec: client-server-api/#put_matrixclientv3presenceuseridstatus */
export const setPresence = operation(
  'PUT /_matrix/client/v3/presence/:userId/status',
  { id: 'setPresence', auth: 'accessToken', body, maxBody: 16 * 1024, r0: true },
  async ({ env, settings, requester, path, body: { presence, status_msg } }) => {
    if (path.userId !== requester.userId) refuse('forbidden', 'That is the presence of somebody else')
    if (!settings.presence) return {}
    const statusMsg = status_msg || undefined
    unwrap(await userSyncOf(env, requester.userId).setPresence({ deviceId: requester.deviceId, presence, statusMsg }))
    return {}
  },
)

/** Spec: client-server-api/#get_matrixclientv3presenceuseridstatus */
export const getPresence = operation(
  'GET /_matrix/client/v3/presence/:userId/status',
  { id: 'getPresence', auth: 'accessToken', r0: true },
  async ({ env, settings, requester, path: { userId } }) => {
    if (!settings.presence) return { presence: 'offline' }
    const object = userSyncOf(env, requester.userId)
    const known = await object.presenceOf({ userId })
    if (known) return presenceContent(known, Date.now())
    if (userId === requester.userId) return { presence: 'offline' }
    const rooms = (await object.joinedRooms()).slice(0, maxRooms)
    const limited = limiter(atOnce)
    const found = await Promise.all(rooms.map((room) => limited(() => roomOf(env, room).joinedAmong([userId]))))
    if (!found.some((users) => users.length > 0)) refuse('forbidden', 'You share no room with that user')
    return { presence: 'offline' }
  },
)
