/**
 * Messages to devices, on their way to those of this server's users.
 *
 * Spec: client-server-api/#send-to-device-messaging. A message has an ID that stays the same when it is sent again; the
 * recipient's object knows which have come.
 */
import { isDeliverable } from '#protocol/device-keys/to-device.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { type JsonObject, own } from '#protocol/json/json.ts'

import { limiter } from '../../durable-objects/shared/limit.ts'
import { deviceIdsOf } from '../accounts/device-keys.ts'
import type { Env } from '../env.ts'
import { userSyncOf } from '../sync/user-sync.ts'

export interface ToDeviceMessage {
  readonly sender: UserId
  readonly messageId: string
  readonly type: string
}

/** Contents by device, or for all of them: `*`. */
export type MessagesByUser = ReadonlyMap<UserId, JsonObject>

const atOnce = 20

/** Delivers to devices that exist; others are nobody's. Throws when an object cannot be reached. */
export async function deliverLocally(env: Env, message: ToDeviceMessage, messages: MessagesByUser): Promise<void> {
  const devices = await deviceIdsOf(env, [...messages.keys()])
  const limited = limiter(atOnce)
  const deliveries = [...messages].map(([userId, byDevice]) =>
    limited(async () => {
      const contents = contentsFor(devices.get(userId) ?? new Set(), byDevice)
      if (Object.keys(contents).length === 0) return
      await userSyncOf(env, userId).deliverToDevices({ ...message, messages: contents })
    }),
  )
  await Promise.all(deliveries)
}

/** What each device gets; one that is named does not get what is for all. */
function contentsFor(deviceIds: ReadonlySet<string>, byDevice: JsonObject): Record<string, JsonObject> {
  const contents: Record<string, JsonObject> = {}
  for (const deviceId of deviceIds) {
    const content = own(byDevice, deviceId) ?? own(byDevice, '*')
    // Of another server's messages one that is too large is dropped alone.
    if (isDeliverable(content)) contents[deviceId] = content
  }
  return contents
}
