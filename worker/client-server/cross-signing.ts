/** Cross-signing keys and signatures. Spec: client-server-api/#cross-signing, cross_signing.yaml. */
import {
  crossSigningPublicKey,
  isSignedByMaster,
  parseCrossSigningKey,
  type Usage,
  usages,
} from '#protocol/device-keys/cross-signing-keys.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { canonicalJsonLoose } from '#protocol/json/canonical-json.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import { findCrossSigningKeys } from '../accounts/device-keys.ts'
import { listDevices } from '../accounts/devices.ts'
import { authenticate } from '../accounts/interactive-auth.ts'
import type { Env } from '../env.ts'
import { storeSignatures } from '../e2ee/signatures.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { nodeCrypto } from '../node-crypto.ts'
import { operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { jsonObject } from './parameters.ts'

type Keys = { readonly [Name in Usage]?: JsonObject }

/** Spec: client-server-api/#post_matrixclientv3keysdevice_signingupload */
export const uploadCrossSigningKeys = operation(
  'POST /_matrix/client/v3/keys/device_signing/upload',
  {
    id: 'uploadCrossSigningKeys',
    auth: 'accessToken',
    fresh: true,
    body: jsonObject,
    aliases: ['/_matrix/client/unstable/keys/device_signing/upload'],
  },
  async ({ env, settings, requester: { userId }, body }) => {
    const keys = parseKeys(userId, body)
    const known = await findCrossSigningKeys(env, userId)
    const master = keys.master ?? known.master ?? refuse('missing_param', 'You have no master key yet')
    for (const usage of ['self_signing', 'user_signing'] as const) {
      const key = keys[usage]
      if (key && !isSignedByMaster(key, userId, master, nodeCrypto)) {
        refuse('invalid_signature', `${usage}_key is not signed by your master key`)
      }
    }
    await checkNames(env, userId, keys)
    const news = Object.fromEntries(Object.entries(keys).filter(([usage, key]) => !isKnown(known, usage, key)))
    if (Object.keys(news).length === 0) return {}
    // "there is no existing master signing key uploaded to the homeserver, OR … the request contains no new keys"
    if (known.master) {
      limitUser('interactiveAuth', userId, settings)
      const operation = 'POST /keys/device_signing/upload'
      const authenticated = await authenticate(env, { operation, userId, body, flows: [['m.login.password']] })
      if (!authenticated.ok) return authenticated.response
    }
    await userSyncOf(env, userId).setCrossSigningKeys({ userId, keys: news })
    return {}
  },
)

/** "The public key of one of the keys is the same as one of the user's device IDs": signatures could not be told apart. */
async function checkNames(env: Env, userId: UserId, keys: Keys): Promise<void> {
  const names = Object.values(keys).flatMap((key) => crossSigningPublicKey(key)?.name ?? [])
  if (names.length === 0) return
  const devices = await listDevices(env, userId)
  if (devices.some(({ deviceId }) => names.includes(deviceId))) refuse('forbidden', 'Key ID in use')
}

function parseKeys(userId: UserId, body: JsonObject): Keys {
  const keys: { [Name in Usage]?: JsonObject } = {}
  for (const usage of usages) {
    const json = own(body, `${usage}_key`)
    if (json !== undefined && json !== null) keys[usage] = unwrap(parseCrossSigningKey(usage, userId, json)).key
  }
  return keys
}

/** The same key again, whatever signatures came with it. */
function isKnown(known: Keys, usage: string, key: JsonObject): boolean {
  const before = Object.entries(known).find(([name]) => name === usage)
  return before !== undefined && withoutSignatures(before[1]) === withoutSignatures(key)
}

function withoutSignatures(key: JsonObject): string {
  return canonicalJsonLoose({ ...key, signatures: undefined, unsigned: undefined })
}

/** Spec: client-server-api/#post_matrixclientv3keyssignaturesupload */
export const uploadCrossSigningSignatures = operation(
  'POST /_matrix/client/v3/keys/signatures/upload',
  {
    id: 'uploadCrossSigningSignatures',
    auth: 'accessToken',
    body: jsonObject,
    aliases: ['/_matrix/client/unstable/keys/signatures/upload'],
  },
  async ({ env, requester: { userId }, body }) => {
    if (!Object.values(body).every(isObject)) return refuse('bad_json', 'Expected signed objects by user and key')
    return { failures: await storeSignatures(env, userId, body) }
  },
)
