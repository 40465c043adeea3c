/**
 * Signatures that a user puts on keys: with the self-signing key on own devices, with a device on the own master key, with
 * the user-signing key on others' master keys.
 *
 * Spec: client-server-api/#post_matrixclientv3keyssignaturesupload, #cross-signing. Every signature stands or falls alone,
 * and is checked against the key as this server knows it: what a client says the key is counts only if it is the same.
 */
import { crossSigningPublicKey, type PublicKey } from '#protocol/device-keys/cross-signing-keys.ts'
import { deviceSigningKey } from '#protocol/device-keys/device-keys.ts'
import { type Failure, fail, wireError } from '#protocol/errors.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import { canonicalJsonLoose, CanonicalJsonError } from '#protocol/json/canonical-json.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { verifySignedJson } from '#protocol/signing/sign-json.ts'

import { keysOf, type KeySignature, type UserKeys } from '../accounts/device-keys.ts'
import type { Env } from '../env.ts'
import { nodeCrypto } from '../node-crypto.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { queryEverywhere } from './query-keys.ts'

interface WireFailure {
  readonly errcode: string
  readonly error: string
}
/** By user and key. Both are names that a client chose, `__proto__` among them: so no plain objects. */
type Failures = Map<string, Map<string, WireFailure>>

/** For others' master keys, in ms. */
const timeoutMs = 10_000

interface Checked {
  readonly signatures: KeySignature[]
  readonly failures: Failures
}

/** Stores the good ones of signed objects by user and key. Answers with an error for each other one. */
export async function storeSignatures(env: Env, signer: UserId, uploaded: JsonObject): Promise<object> {
  const signerKeys = (await keysOf(env, [signer], signer)).get(signer) ?? { devices: [], crossSigning: {} }
  const checked: Checked = { signatures: [], failures: new Map() }
  const others = new Map(
    Object.entries(uploaded).flatMap(([name, objects]) => {
      const userId = parseUserId(name)
      if (userId === signer || !isObject(objects)) return []
      if (userId) return [[userId, objects] as const]
      failAll(checked, name, objects, fail('invalid_param', 'That is not a user ID'))
      return []
    }),
  )
  const mine = own(uploaded, signer)
  if (isObject(mine)) checkOwn(checked, signer, signerKeys, mine)
  if (others.size > 0) await checkOthers(env, checked, signer, signerKeys, others)
  await store(env, signer, signerKeys, checked.signatures)
  return Object.fromEntries([...checked.failures].map(([userId, ofUser]) => [userId, Object.fromEntries(ofUser)]))
}

/** Own devices are signed by the self-signing key; the own master key by own devices. */
function checkOwn(checked: Checked, signer: UserId, keys: UserKeys, objects: JsonObject): void {
  const { master, self_signing: selfSigning } = keys.crossSigning
  const masterName = master && crossSigningPublicKey(master)?.name
  for (const [name, object] of Object.entries(objects)) {
    const device = keys.devices.find(({ deviceId }) => deviceId === name)?.keys
    if (device) {
      const by = selfSigning && crossSigningPublicKey(selfSigning)
      check(checked, { signer, owner: signer, name, known: device, object, by: by ? [by] : [] })
    } else if (master && name === masterName) {
      const by = keys.devices.flatMap(({ deviceId, keys: each }): PublicKey[] => {
        const bytes = each ? deviceSigningKey(each, deviceId) : undefined
        return bytes ? [{ keyId: `ed25519:${deviceId}`, name: deviceId, bytes }] : []
      })
      check(checked, { signer, owner: signer, name, known: master, object, by })
    } else noteFailure(checked, signer, name, fail('not_found', 'You have no such key'))
  }
}

/** Of others, the master key is signed, by the user-signing key. */
async function checkOthers(
  env: Env,
  checked: Checked,
  signer: UserId,
  keys: UserKeys,
  others: ReadonlyMap<UserId, JsonObject>,
): Promise<void> {
  const userSigning = keys.crossSigning.user_signing && crossSigningPublicKey(keys.crossSigning.user_signing)
  const wanted = new Map([...others.keys()].map((userId) => [userId, []]))
  const { master_keys: masters } = await queryEverywhere(env, signer, wanted, timeoutMs)
  for (const [userId, objects] of others) {
    const master = own(masters, userId)
    const masterName = isObject(master) ? crossSigningPublicKey(master)?.name : undefined
    for (const [name, object] of Object.entries(objects)) {
      if (!isObject(master) || name !== masterName) {
        noteFailure(checked, userId, name, fail('not_found', 'They have no such master key'))
      } else
        check(checked, { signer, owner: userId, name, known: master, object, by: userSigning ? [userSigning] : [] })
    }
  }
}

interface SignedKey {
  readonly signer: UserId
  readonly owner: UserId
  readonly name: string
  /** The key as this server knows it. */
  readonly known: JsonObject
  readonly object: unknown
  /** Keys of the signer that may sign it. */
  readonly by: readonly PublicKey[]
}

function check(checked: Checked, { signer, owner, name, known, object, by }: SignedKey): void {
  if (!isObject(object) || !isSameKey(known, object)) {
    return noteFailure(checked, owner, name, fail('invalid_param', 'That is not the key this server knows'))
  }
  const all = own(object, 'signatures')
  const ofSigner = isObject(all) ? own(all, signer) : undefined
  const knownSignatures = own(known, 'signatures')
  const before = isObject(knownSignatures) ? own(knownSignatures, signer) : undefined
  const news = Object.entries(isObject(ofSigner) ? ofSigner : {}).filter(
    ([keyId, signature]) => !isObject(before) || own(before, keyId) !== signature,
  )
  if (news.length === 0 && !isObject(ofSigner)) {
    return noteFailure(checked, owner, name, fail('invalid_signature', 'There is no signature of yours'))
  }
  for (const [keyId, signature] of news) {
    const key = by.find((each) => each.keyId === keyId)
    if (!key || typeof signature !== 'string' || !verifySignedJson(object, signer, keyId, key.bytes, nodeCrypto)) {
      noteFailure(checked, owner, name, fail('invalid_signature'))
    } else {
      checked.signatures.push({ targetUser: owner, targetKey: name, signer, signerKeyId: keyId, signature })
    }
  }
}

function isSameKey(known: JsonObject, object: JsonObject): boolean {
  const text = (key: JsonObject) => canonicalJsonLoose({ ...key, signatures: undefined, unsigned: undefined })
  try {
    return text(known) === text(object)
  } catch (error) {
    if (error instanceof CanonicalJsonError) return false
    throw error
  }
}

function failAll(checked: Checked, userId: string, objects: JsonObject, failure: Failure): void {
  for (const name of Object.keys(objects)) noteFailure(checked, userId, name, failure)
}

function noteFailure({ failures }: Checked, userId: string, name: string, { reason, message }: Failure): void {
  const [, errcode, text] = wireError(reason)
  const ofUser = failures.get(userId) ?? new Map<string, WireFailure>()
  failures.set(userId, ofUser.set(name, { errcode, error: message ?? text }))
}

/** Those on own devices and the own master key are for everybody, others for oneself alone. */
async function store(env: Env, signer: UserId, keys: UserKeys, signatures: readonly KeySignature[]): Promise<void> {
  if (signatures.length === 0) return
  const ownKeys = signatures.filter(({ targetUser }) => targetUser === signer).map(({ targetKey }) => targetKey)
  const devices = ownKeys.filter((name) => keys.devices.some(({ deviceId }) => deviceId === name))
  const change = { userId: signer, signatures, devices, signing: devices.length < ownKeys.length }
  await userSyncOf(env, signer).addSignatures(change)
}
