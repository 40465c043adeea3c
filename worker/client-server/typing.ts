/**
 * Typing notifications.
 *
 * Spec: client-server-api/#typing-notifications, data/api/client-server/typing.yaml.
 */
import * as v from 'valibot'

import { operation } from '../operation.ts'
import { unwrap } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import { demandSelf } from './account-data.ts'

const body = v.object({ typing: v.boolean(), timeout: v.optional(v.pipe(v.number(), v.minValue(0))) })

/** "It is recommended to be no more than 20-30 seconds": what a client gets that names no time, in ms. */
const usual = 30_000
/** Longer than a second, so that others see it at all; short enough that a client which died is soon forgotten. */
const shortest = 1000
const longest = 120_000

/** Spec: client-server-api/#put_matrixclientv3roomsroomidtypinguserid */
export const setTyping = operation(
  'PUT /_matrix/client/v3/rooms/:roomId/typing/:userId',
  { id: 'setTyping', auth: 'accessToken', body, maxBody: 16 * 1024, r0: true },
  async ({ env, requester, path: { roomId, userId }, body: { typing, timeout = usual } }) => {
    demandSelf(requester, userId)
    const timeoutMs = Math.round(Math.min(Math.max(timeout, shortest), longest))
    unwrap(await roomOf(env, roomId).typing({ user: userId, typing, timeoutMs }))
    return {}
  },
)
