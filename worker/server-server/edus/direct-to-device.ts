/** Spec: server-server-api/#send-to-device-messaging. */
import { isToDeviceType } from '#protocol/device-keys/to-device.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { parseUserId, serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, own, type JsonObject } from '#protocol/json/json.ts'

import { deliverLocally } from '../../e2ee/send-to-device.ts'
import type { Env } from '../../env.ts'
import { settingsOf } from '../../settings.ts'
import type { EduHandler } from './receive-edus.ts'

/** IDs are "at most 32 codepoints"; longer ones are let pass up to here, since they only tell messages apart. */
const maxMessageId = 255

export const receiveDirectToDevice: EduHandler = async (env, origin, contents) => {
  for (const content of contents) await receiveOne(env, origin, content)
}

async function receiveOne(env: Env, origin: ServerName, content: JsonObject): Promise<void> {
  const sender = parseUserId(own(content, 'sender'))
  const type = own(content, 'type')
  const messageId = own(content, 'message_id')
  const messages = own(content, 'messages')
  // A server speaks for its own users only.
  if (!sender || serverNameOf(sender) !== origin || typeof type !== 'string' || !isObject(messages)) return
  if (typeof messageId !== 'string' || messageId.length > maxMessageId || !isToDeviceType(type)) return
  const { serverName } = settingsOf(env)
  const ours = new Map<UserId, JsonObject>()
  for (const [name, byDevice] of Object.entries(messages)) {
    const userId = parseUserId(name)
    if (userId && serverNameOf(userId) === serverName && isObject(byDevice)) ours.set(userId, byDevice)
  }
  await deliverLocally(env, { sender, messageId, type }, ours)
}
