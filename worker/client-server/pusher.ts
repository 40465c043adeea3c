/**
 * Pushers: where a user's notifications are sent while no client of theirs is there.
 *
 * Spec: client-server-api/#push-notifications, data/api/client-server/pusher.yaml; MSC3881 (`enabled`, `device_id`) and MSC4174
 * (web push) under their unstable names.
 */
import { parseEmailAddress } from '#protocol/identifiers/email-address.ts'
import { type JsonObject, own } from '#protocol/json/json.ts'
import { isKnownKind, isWebPush } from '#protocol/push-rules/pusher-kinds.ts'
import { decodeBase64 } from '#protocol/signing/base64.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import * as v from 'valibot'

import type { Pusher } from '../../durable-objects/user-sync/pushers.ts'
import { claimPushkey, forgetPushers } from '../accounts/pushers.ts'
import { ownerOfAddress } from '../accounts/threepids.ts'
import type { Env } from '../env.ts'
import { mailerOf } from '../mail/mail.ts'
import { operation } from '../operation.ts'
import { gatewayUrlFault, pushServiceUrlFault } from '../push/gateway-url.ts'
import { importPublicKey } from '../push/web-push/encrypt.ts'
import { refuse, unwrap } from '../refusal.ts'
import type { Settings } from '../settings.ts'
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

function shown({ fields, enabled, deviceId, isActive }: Pusher): JsonObject {
  const { profile_tag, ...rest } = fields
  return {
    ...rest,
    ...(isWebPush(fields.kind) ? { data: { ...fields.data, activated: isActive } } : {}),
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
    if (!isKnownKind(wanted.kind)) refuse('invalid_param', 'This server knows no pushers of that kind')
    if (JSON.stringify(wanted.data).length > maxData) refuse('invalid_param', 'data is too large')
    if (wanted.kind === 'email') await checkAddress(env, userId, wanted)
    else checkUrl(wanted.data, isWebPush(wanted.kind) ? pushServiceUrlFault : gatewayUrlFault, settings)
    if (isWebPush(wanted.kind)) await checkKeys(wanted)
    const { append, [enabledField]: enabled, ...fields } = wanted
    const before = await claimPushkey(env, userId, pusherKey, append)
    for (const other of before) await userSyncOf(env, other).removePusher(pusherKey)
    const { isActive } = unwrap(await object.setPusher({ deviceId, fields, enabled, secret: crypto.randomUUID() }))
    // MSC4174: "The pusher is set but needs to be activated."
    return isActive ? {} : Response.json({}, { status: 201 })
  },
)

const activationBody = v.looseObject({ app_id: v.string(), ack_token: v.string() })

/** MSC4174: a client gives back what it was sent by web push. */
export const activatePusher = operation(
  'POST /_matrix/client/unstable/org.matrix.msc4174/pushers/ack',
  {
    id: 'activatePusher',
    auth: 'accessToken',
    body: activationBody,
    aliases: ['/_matrix/client/v3/pushers/ack'],
  },
  async ({ env, requester, body: { app_id: appId, ack_token: token } }) => {
    unwrap(await userSyncOf(env, requester.userId).activatePusher({ appId, token }))
    return {}
  },
)

/** A URL that this server may write to. */
function checkUrl(
  data: JsonObject,
  faultOf: (text: unknown, allowPrivateAddresses: boolean) => string | undefined,
  { allowPrivateAddresses }: Settings,
): void {
  const text = own(data, 'url')
  if (text === undefined) return refuse('missing_param', 'Missing parameters: data.url')
  const fault = faultOf(text, allowPrivateAddresses)
  if (fault !== undefined) refuse('invalid_param', fault)
}

/** RFC 8291, sections 3.1 and 3.2: a point of P-256, and 16 bytes, in URL-safe base64. */
async function checkKeys({ pushkey, data }: { pushkey: string; data: JsonObject }): Promise<void> {
  const auth = own(data, 'auth')
  if (auth === undefined) return refuse('missing_param', 'Missing parameters: data.auth')
  if (typeof auth !== 'string' || decodeBase64(auth)?.length !== 16) {
    refuse('invalid_param', 'data.auth must be 16 bytes in base64')
  }
  const point = decodeBase64(pushkey)
  if (!point || !(await importPublicKey(Uint8Array.from(point)))) {
    refuse('invalid_param', 'pushkey must be a public key of P-256, uncompressed, in base64')
  }
}

/** "If the `kind` is `email`, this is the email address": one that was proven to be the user's own. */
async function checkAddress(
  env: Env,
  userId: UserId,
  { app_id, pushkey }: { app_id: string; pushkey: string },
): Promise<void> {
  if (app_id !== 'm.email') refuse('invalid_param', 'app_id must be m.email')
  if (!mailerOf(env)) refuse('invalid_param', 'This server sends no e-mail')
  const address = parseEmailAddress(pushkey)
  if (!address || (await ownerOfAddress(env, address)) !== userId) {
    refuse('invalid_param', 'pushkey must be an address that you have added to your account')
  }
}
