/**
 * Pushers: where a user's notifications are sent while no client of theirs is there.
 *
 * Spec: client-server-api/#push-notifications, data/api/client-server/pusher.yaml; MSC3881 (`enabled`, `device_id`) under
 * its unstable names.
 */
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import * as v from 'valibot'

import type { Pusher } from '../../durable-objects/user-sync/pushers.ts'
import { claimPushkey, forgetPushers } from '../accounts/pushers.ts'
import { operation } from '../operation.ts'
import { gatewayUrlFault } from '../push/gateway-url.ts'
import { refuse, unwrap } from '../refusal.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { jsonObject } from './parameters.ts'

/** Names of MSC3881. */
const [enabledField, deviceField] = ['org.matrix.msc3881.enabled', 'org.matrix.msc3881.device_id'] as const
/** "Max length, 512 bytes", "Max length, 64 chars". Of the rest: enough for any name. */
const [maxPushkey, maxAppId, maxName] = [512, 64, 512]
const maxData = 8 * 1024

const key = {
  pushkey: v.pipe(v.string(), v.minLength(1), v.maxBytes(maxPushkey)),
  app_id: v.pipe(v.string(), v.minLength(1), v.maxLength(maxAppId)),
}
const name = v.pipe(v.string(), v.maxLength(maxName))
const pusherBody = v.union([
  v.object({ ...key, kind: v.null() }),
  v.object({
    ...key,
    kind: v.string(),
    app_display_name: name,
    device_display_name: name,
    profile_tag: v.optional(name),
    lang: name,
    data: jsonObject,
    append: v.optional(v.boolean(), false),
    [enabledField]: v.optional(v.boolean(), true),
  }),
])
/** What a pusher needs that is not to be deleted. */
const required = ['app_display_name', 'device_display_name', 'lang', 'data']

/** Spec: client-server-api/#get_matrixclientv3pushers */
export const getPushers = operation(
  'GET /_matrix/client/v3/pushers',
  { id: 'getPushers', auth: 'accessToken', r0: true },
  async ({ env, requester }) => ({ pushers: (await userSyncOf(env, requester.userId).pushers()).map(shown) }),
)

function shown({ fields, enabled, deviceId }: Pusher): JsonObject {
  const { profile_tag, ...rest } = fields
  return {
    ...rest,
    ...(profile_tag === undefined ? {} : { profile_tag }),
    [enabledField]: enabled,
    [deviceField]: deviceId,
  }
}

/** Spec: client-server-api/#post_matrixclientv3pushersset */
export const postPusher = operation(
  'POST /_matrix/client/v3/pushers/set',
  { id: 'postPusher', auth: 'accessToken', fresh: true, body: jsonObject, maxBody: 32 * 1024, r0: true },
  async ({ env, settings, requester: { userId, deviceId }, body }) => {
    const missing = ['kind', 'app_id', 'pushkey', ...(own(body, 'kind') === null ? [] : required)].filter(
      (field) => own(body, field) === undefined,
    )
    if (missing.length > 0) refuse('missing_param', `Missing parameters: ${missing.join(', ')}`)
    const parsed = v.safeParse(pusherBody, body)
    if (!parsed.success) return refuse('invalid_param', 'A field of the pusher has the wrong type or is too long')
    const wanted = parsed.output
    const pusherKey = { appId: wanted.app_id, pushkey: wanted.pushkey }
    const object = userSyncOf(env, userId)
    if (wanted.kind === null) {
      await object.removePusher(pusherKey)
      await forgetPushers(env, userId, [pusherKey])
      return {}
    }
    if (wanted.kind !== 'http') refuse('invalid_param', 'This server knows pushers of kind "http" only')
    checkData(wanted.data, settings.allowPrivateAddresses)
    const { append, [enabledField]: enabled, ...fields } = wanted
    const before = await claimPushkey(env, userId, pusherKey, append)
    for (const other of before) await userSyncOf(env, other).removePusher(pusherKey)
    unwrap(await object.setPusher({ deviceId, fields, enabled }))
    return {}
  },
)

/** "MUST be an HTTPS URL with a path of `/_matrix/push/v1/notify`", and of a host that this server may write to. */
function checkData(data: JsonObject, allowPrivateAddresses: boolean): void {
  if (!isObject(data) || JSON.stringify(data).length > maxData) refuse('invalid_param', 'data is too large')
  const text = own(data, 'url')
  if (text === undefined) return refuse('missing_param', 'Missing parameters: data.url')
  const fault = gatewayUrlFault(text, allowPrivateAddresses)
  if (fault !== undefined) refuse('invalid_param', fault)
}
