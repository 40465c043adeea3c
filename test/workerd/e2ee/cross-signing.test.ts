/** Cross-signing keys, and who sees which signatures. Spec: client-server-api/#cross-signing. */
import type { JsonObject } from '#protocol/json/json.ts'
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import type { SigningKey } from '#protocol/signing/crypto.ts'
import { publicKeyOf } from '#protocol/signing/keys.ts'
import { signJson } from '#protocol/signing/sign-json.ts'
import { describe, expect, test } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { passwordAuth, registerUser, type User } from '../client.ts'
import { ok, refused } from '../rooms/rooms.ts'
import { query, withKeys } from './devices.ts'

function newKey(): SigningKey {
  const seed = crypto.getRandomValues(new Uint8Array(32))
  const publicKey = publicKeyOf(seed)
  return { keyId: `ed25519:${encodeBase64Unpadded(publicKey)}`, seed, publicKey }
}
const nameOf = (key: SigningKey) => encodeBase64Unpadded(key.publicKey)
const keyObject = (user: User, usage: string, key: SigningKey): JsonObject => ({
  user_id: user.userId,
  usage: [usage],
  keys: { [key.keyId]: nameOf(key) },
})
const signed = (object: JsonObject, by: User, key: SigningKey) => signJson(object, by.userId, key, nodeCrypto)
const path = '/keys/device_signing/upload'

interface Identity {
  readonly master: SigningKey
  readonly selfSigning: SigningKey
  readonly userSigning: SigningKey
  readonly body: Record<'master_key' | 'self_signing_key' | 'user_signing_key', JsonObject>
}

function newIdentity(user: User): Identity {
  const [master, selfSigning, userSigning] = [newKey(), newKey(), newKey()]
  const body = {
    master_key: keyObject(user, 'master', master),
    self_signing_key: signed(keyObject(user, 'self_signing', selfSigning), user, master),
    user_signing_key: signed(keyObject(user, 'user_signing', userSigning), user, master),
  }
  return { master, selfSigning, userSigning, body }
}

async function withIdentity(user: User): Promise<Identity> {
  const identity = newIdentity(user)
  await ok(user.post(path, identity.body))
  return identity
}

const sign = (user: User, uploads: JsonObject) =>
  ok(user.post<{ failures: Record<string, Record<string, { errcode: string }>> }>('/keys/signatures/upload', uploads))

describe('cross-signing keys', () => {
  test('are shown to everybody, but the user-signing key to its owner alone', async () => {
    const alice = await registerUser('cs_alice')
    const bob = await registerUser('cs_bob')
    const { body } = await withIdentity(alice)
    const seen = await query(bob, alice)
    expect(seen.master_keys).toEqual({ [alice.userId]: body.master_key })
    expect(seen.self_signing_keys).toEqual({ [alice.userId]: body.self_signing_key })
    expect(seen.user_signing_keys).toEqual({})
    expect((await query(alice, alice)).user_signing_keys).toEqual({ [alice.userId]: body.user_signing_key })
  })

  test('come in once without a password, and again if they are the same; others need it', async () => {
    const alice = await registerUser('cu_alice')
    const { body } = await withIdentity(alice)
    await ok(alice.post(path, body))
    await ok(alice.post('/_matrix/client/unstable/keys/device_signing/upload', body))
    const { body: other } = newIdentity(alice)
    const asked = await alice.post(path, other)
    expect(asked).toMatchObject({ status: 401, body: { flows: [{ stages: ['m.login.password'] }] } })
    expect((await query(alice, alice)).master_keys).toEqual({ [alice.userId]: body.master_key })
    await ok(alice.post(path, { ...other, auth: passwordAuth(alice) }))
    expect((await query(alice, alice)).master_keys).toEqual({ [alice.userId]: other.master_key })
  })

  test('of no form, of somebody else or unsigned are refused', async () => {
    const alice = await registerUser('cr_alice')
    const bob = await registerUser('cr_bob')
    const { body, selfSigning } = newIdentity(alice)
    const refusal = async (wrong: object, status: number, errcode: string) =>
      expect(await alice.post(path, wrong)).toMatchObject(refused(status, errcode))
    await refusal({ self_signing_key: body.self_signing_key }, 400, 'M_MISSING_PARAM')
    await refusal(
      { ...body, self_signing_key: keyObject(alice, 'self_signing', selfSigning) },
      400,
      'M_INVALID_SIGNATURE',
    )
    await refusal({ master_key: newIdentity(bob).body.master_key }, 400, 'M_INVALID_PARAM')
    await refusal({ master_key: body.self_signing_key }, 400, 'M_INVALID_PARAM')
    const [one, two] = [newKey(), newKey()]
    const keys = { [one.keyId]: nameOf(one), [two.keyId]: nameOf(two) }
    await refusal({ master_key: { ...body.master_key, keys } }, 400, 'M_INVALID_PARAM')
    await refusal({ master_key: { ...body.master_key, keys: { 'ed25519:x': nameOf(one) } } }, 400, 'M_INVALID_PARAM')
    await refusal({ master_key: 'text' }, 400, 'M_BAD_JSON')
    expect((await query(alice, alice)).master_keys).toEqual({})
  })

  test('named like a device of the user are refused', async () => {
    const key = newKey()
    const alice = await registerUser('cn_alice', { device_id: nameOf(key) })
    const body = { master_key: keyObject(alice, 'master', key) }
    expect(await alice.post(path, body)).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })
})

describe('signatures', () => {
  test('on own devices are for everybody; on others’ master keys for their maker alone', async () => {
    const alice = await registerUser('sg_alice')
    const bob = await registerUser('sg_bob')
    const carol = await registerUser('sg_carol')
    const alices = await withIdentity(alice)
    const bobs = await withIdentity(bob)
    const { deviceKeys } = await withKeys(alice)
    const { failures } = await sign(alice, {
      [alice.userId]: { [alice.deviceId]: signed(deviceKeys, alice, alices.selfSigning) },
      [bob.userId]: { [nameOf(bobs.master)]: signed(bobs.body.master_key, alice, alices.userSigning) },
    })
    expect(failures).toEqual({})
    const signaturesOn = async (reader: User) => {
      const seen = await query(reader, alice, bob)
      return {
        device: seen.device_keys[alice.userId]?.[alice.deviceId]?.['signatures'],
        master: seen.master_keys[bob.userId]?.['signatures'],
      }
    }
    const device = {
      [alice.userId]: {
        [alices.selfSigning.keyId]: expect.any(String),
        [`ed25519:${alice.deviceId}`]: expect.any(String),
      },
    }
    expect(await signaturesOn(carol)).toEqual({ device, master: undefined })
    expect(await signaturesOn(bob)).toEqual({ device, master: undefined })
    const master = { [alice.userId]: { [alices.userSigning.keyId]: expect.any(String) } }
    expect(await signaturesOn(alice)).toEqual({ device, master })
  })

  test('that are wrong fail alone', async () => {
    const alice = await registerUser('sw_alice')
    const bob = await registerUser('sw_bob')
    const { master, selfSigning, userSigning, body } = await withIdentity(alice)
    const bobs = await withIdentity(bob)
    const device = await withKeys(alice)
    const { failures } = await sign(alice, {
      [alice.userId]: {
        [alice.deviceId]: signed({ ...device.deviceKeys, algorithms: [] }, alice, selfSigning),
        [nameOf(master)]: signed(body.master_key, alice, device.signing),
        NODEVICE: signed(device.deviceKeys, alice, selfSigning),
      },
      [bob.userId]: {
        // Signed by the wrong key of the signer's own.
        [nameOf(bobs.master)]: signed(bobs.body.master_key, alice, selfSigning),
        [nameOf(bobs.selfSigning)]: signed(bobs.body.self_signing_key, alice, userSigning),
      },
      nobody: { key: {} },
    })
    expect(failures).toMatchObject({
      [alice.userId]: { [alice.deviceId]: { errcode: 'M_INVALID_PARAM' }, NODEVICE: { errcode: 'M_NOT_FOUND' } },
      [bob.userId]: {
        [nameOf(bobs.master)]: { errcode: 'M_INVALID_SIGNATURE' },
        [nameOf(bobs.selfSigning)]: { errcode: 'M_NOT_FOUND' },
      },
      nobody: { key: { errcode: 'M_INVALID_PARAM' } },
    })
    expect(failures[alice.userId]).not.toHaveProperty([nameOf(master)])
    const seen = await query(bob, alice)
    expect(seen.master_keys[alice.userId]?.['signatures']).toMatchObject({
      [alice.userId]: { [`ed25519:${alice.deviceId}`]: expect.any(String) },
    })
    const rubbish = { ...body.master_key, signatures: { [alice.userId]: { [device.signing.keyId]: 'rubbish' } } }
    const again = await sign(alice, { [alice.userId]: { [nameOf(master)]: rubbish } })
    expect(again.failures).toMatchObject({ [alice.userId]: { [nameOf(master)]: { errcode: 'M_INVALID_SIGNATURE' } } })
    expect((await alice.post('/keys/signatures/upload', { [alice.userId]: 1 })).status).toBe(400)
    await alice.post('/keys/signatures/upload', '{"__proto__": {"polluted": {}, "__proto__": {}}}')
    expect({}).not.toHaveProperty('polluted')
  })
})
