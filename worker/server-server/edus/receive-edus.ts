/**
 * EDUs of a transaction: each goes to the file of its type, which checks that its origin may say that.
 *
 * Spec: server-server-api/#edus. A malformed, foreign or unknown EDU is dropped alone. Those of one type are looked at together:
 * of a hundred that say the same, one is passed on.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { isObject, own, type JsonObject } from '#protocol/json/json.ts'

import type { Env } from '../../env.ts'
import { receiveDeviceListUpdate } from './device-list-update.ts'
import { receiveDirectToDevice } from './direct-to-device.ts'
import { receivePresence } from './presence.ts'
import { receiveReceipts } from './receipt.ts'
import { receiveTyping } from './typing.ts'

/** Gets what all EDUs of its types in one transaction say, in their order. */
export type EduHandler = (env: Env, origin: ServerName, contents: readonly JsonObject[]) => Promise<void>

const handlers: ReadonlyMap<string, EduHandler> = new Map([
  ['m.typing', receiveTyping],
  ['m.receipt', receiveReceipts],
  ['m.presence', receivePresence],
  ['m.direct_to_device', receiveDirectToDevice],
  ['m.device_list_update', receiveDeviceListUpdate],
  ['m.signing_key_update', receiveDeviceListUpdate],
])

export async function receiveEdus(env: Env, origin: ServerName, edus: readonly unknown[]): Promise<void> {
  const byHandler = new Map<EduHandler, JsonObject[]>()
  for (const edu of edus) {
    const type = isObject(edu) ? own(edu, 'edu_type') : undefined
    const content = isObject(edu) ? own(edu, 'content') : undefined
    const handler = typeof type === 'string' ? handlers.get(type) : undefined
    if (!handler || !isObject(content)) continue
    const contents = byHandler.get(handler) ?? []
    byHandler.set(handler, contents)
    contents.push(content)
  }
  for (const [handler, contents] of byHandler) await handler(env, origin, contents)
}
