/**
 * Tells a client of its own news: that it has said something with a room key which no event had before.
 *
 * Clients on matrix-rust-sdk (Element X) put room keys into the backup after an answer of sliding sync with keys in it, and
 * nothing but messages to devices and changes of devices makes such an answer. A client that is closed soon after it began
 * a room key would leave it nowhere but on that device.
 */
import type { JsonObject } from '#protocol/json/json.ts'

import type { Env } from '../env.ts'
import type { Requester } from '../operation.ts'
import { userSyncOf } from '../sync/user-sync.ts'

/** Keys that this isolate told of. What it forgets, or another isolate, is told again, which costs an answer and no more. */
const told = new Set<string>()
const mostTold = 5_000
/** Letters of a `session_id`; that of Megolm has 43. */
const longestId = 64

/** Looks at the content of an `m.room.encrypted` event that `requester` sends, or tries to. Never fails. */
export async function tellOfRoomKey(env: Env, requester: Requester, content: JsonObject): Promise<void> {
  const session = content['session_id']
  if (typeof session !== 'string' || session.length > longestId) return
  const { userId, deviceId } = requester
  const key = JSON.stringify([userId, deviceId, session])
  if (told.has(key)) return
  if (told.size >= mostTold) told.clear()
  told.add(key)
  // The event goes its way, whatever happens here.
  await userSyncOf(env, userId)
    .saidWithNewKey({ deviceId })
    .catch(() => told.delete(key))
}
