/** Messages to devices. Spec: client-server-api/#send-to-device-messaging, to_device.yaml. */
import { createHash } from 'node:crypto'

import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { isDeliverable, isToDeviceType, splitMessages } from '#protocol/device-keys/to-device.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import { deliverLocally } from '../e2ee/send-to-device.ts'
import { federationSender } from '../federation-client/sender.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { jsonObject, userIdFrom } from './parameters.ts'

/** Spec: client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid */
export const sendToDevice = operation(
  'PUT /_matrix/client/v3/sendToDevice/:eventType/:txnId',
  { id: 'sendToDevice', auth: 'accessToken', body: jsonObject, r0: true, guests: true },
  async ({ env, settings, requester: { userId: sender, deviceId }, path: { eventType: type, txnId }, body }) => {
    const messages = messagesOf(body)
    if (!isToDeviceType(type)) refuse('invalid_param', 'The type is longer than 255 bytes')
    // The same for the same transaction of a device, so that nobody gets it twice; at most 32 characters.
    const name = JSON.stringify([deviceId, type, txnId])
    const digest = createHash('sha256').update(`${sender} ${name}`).digest('base64url')
    const messageId = digest.slice(0, 32)
    const byServer = new Map<ServerName, Map<UserId, JsonObject>>()
    for (const [userId, byDevice] of messages) {
      const server = serverNameOf(userId)
      byServer.set(server, (byServer.get(server) ?? new Map<UserId, JsonObject>()).set(userId, byDevice))
    }
    await deliverLocally(env, { sender, messageId, type }, byServer.get(settings.serverName) ?? new Map())
    byServer.delete(settings.serverName)
    for (const [server, users] of byServer) {
      for (const [index, part] of splitMessages(users).entries()) {
        const id = index === 0 ? messageId : `${digest.slice(0, 24)}.${index}`
        const content = { sender, type, message_id: id, messages: part }
        await federationSender(env).sendEdu({
          edu: { edu_type: 'm.direct_to_device', content },
          destinations: [server],
        })
      }
    }
    return {}
  },
)

function messagesOf(body: JsonObject): Map<UserId, JsonObject> {
  const messages = own(body, 'messages')
  if (messages === undefined) return refuse('missing_param', 'messages is missing')
  if (!isObject(messages)) return refuse('bad_json', 'messages: Expected an object')
  const byUser = new Map<UserId, JsonObject>()
  for (const [name, byDevice] of Object.entries(messages)) {
    if (!isObject(byDevice) || !Object.values(byDevice).every(isObject)) {
      return refuse('bad_json', 'messages: Expected contents by user and device')
    }
    if (!Object.values(byDevice).every(isDeliverable)) refuse('too_large', 'A message has 65536 bytes at most')
    byUser.set(userIdFrom(name), byDevice)
  }
  return byUser
}
