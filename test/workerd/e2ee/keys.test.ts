/** Stories of keys: uploaded, asked for, claimed once. Spec: client-server-api/#key-management-api. */
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { signJson } from '#protocol/signing/sign-json.ts'
import { describe, expect, test } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { login, registerUser } from '../client.ts'
import { ok, refused } from '../rooms/rooms.ts'
import { sync } from '../sync/syncing.ts'
import { claim, curveKey, newDevice, oneTimeKeys, query, withKeys } from './devices.ts'

interface Counts {
  readonly one_time_key_counts: Record<string, number>
}

describe('device keys', () => {
  test('are given to everybody, with the name of the device, without what the client put into unsigned', async () => {
    const alice = await registerUser('dk_alice', { initial_device_display_name: 'Phone' })
    const bob = await registerUser('dk_bob')
    const { deviceKeys } = newDevice(alice)
    await ok(alice.post('/keys/upload', { device_keys: { ...deviceKeys, unsigned: { device_display_name: 'Lie' } } }))
    const { device_keys: found } = await query(bob, alice, bob)
    expect(found[alice.userId]).toEqual({
      [alice.deviceId]: { ...deviceKeys, unsigned: { device_display_name: 'Phone' } },
    })
    expect(found[bob.userId]).toEqual({})
  })

  test('go with their device', async () => {
    const alice = await registerUser('dg_alice')
    const bob = await registerUser('dg_bob')
    await withKeys(alice)
    const second = await login(alice)
    const device = await withKeys(second)
    await ok(second.post('/keys/upload', { one_time_keys: oneTimeKeys(second, device, ['A']) }))
    await ok(second.post('/logout'))
    expect(Object.keys((await query(bob, alice)).device_keys[alice.userId] ?? {})).toEqual([alice.deviceId])
    expect(await claim(bob, second)).toBeUndefined()
  })

  test('of somebody else, of another device, or wrongly signed are refused, and nothing is kept', async () => {
    const alice = await registerUser('df_alice')
    const bob = await registerUser('df_bob')
    const { deviceKeys, signing } = newDevice(alice)
    const upload = (keys: unknown) => bob.post('/keys/upload', { device_keys: keys })
    expect(await upload(deviceKeys)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    const own = newDevice(bob).deviceKeys
    const changed = { ...own, algorithms: ['m.other'] }
    expect(await upload(changed)).toMatchObject(refused(400, 'M_INVALID_SIGNATURE'))
    expect(await upload({ ...own, device_id: 'OTHER' })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await upload({ user_id: bob.userId, device_id: bob.deviceId })).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await upload({ ...own, keys: { [`ed25519:${bob.deviceId}`]: 'short' } })).toMatchObject(
      refused(400, 'M_INVALID_PARAM'),
    )
    const foreign = { [`ed25519:${alice.deviceId}`]: encodeBase64Unpadded(signing.publicKey) }
    expect(await upload({ ...own, keys: foreign })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await upload({ ...own, signatures: { [bob.userId]: 'x' } })).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await upload({ ...own, junk: 'x'.repeat(70_000) })).toMatchObject(refused(413, 'M_TOO_LARGE'))
    for (const wrong of ['x', 7, []]) expect(await upload(wrong)).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect((await query(alice, bob)).device_keys[bob.userId]).toEqual({})
  })

  test('are asked for with a list of devices, however long their names', async () => {
    const alice = await registerUser('dl_alice')
    await withKeys(alice)
    const ask = (wanted: unknown) => alice.post<{ device_keys: unknown }>('/keys/query', { device_keys: wanted })
    const long = 'D'.repeat(10_000)
    expect((await ask({ [alice.userId]: [long] })).body.device_keys).toEqual({ [alice.userId]: {} })
    const both = await ask({ [alice.userId]: [long, alice.deviceId] })
    expect(both.body.device_keys).toMatchObject({ [alice.userId]: { [alice.deviceId]: {} } })
    expect(await ask({ [alice.userId]: { device: true } })).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await ask({ [alice.userId]: [1] })).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await ask(undefined)).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect((await ask({ 'not a user': [], '@nobody:test.local': [] })).status).toBe(200)
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`@nobody${index}:test.local`, []]))
    expect((await ask(many)).status).toBe(200)
  })
})

describe('one-time keys', () => {
  test('are given out once each, in the order in which they came, and counted', async () => {
    const alice = await registerUser('ot_alice')
    const bob = await registerUser('ot_bob')
    const device = newDevice(alice)
    const later = oneTimeKeys(alice, device, ['A'])
    const first = oneTimeKeys(alice, device, ['Z'])
    await ok(alice.post('/keys/upload', { device_keys: device.deviceKeys, one_time_keys: first }))
    const { one_time_key_counts: counts } = await ok(alice.post<Counts>('/keys/upload', { one_time_keys: later }))
    expect(counts).toEqual({ signed_curve25519: 2 })
    expect(await claim(bob, alice)).toEqual(first)
    expect(await sync(alice)).toMatchObject({ device_one_time_keys_count: { signed_curve25519: 1 } })
    expect(await claim(bob, alice)).toEqual(later)
    expect(await claim(bob, alice)).toBeUndefined()
    expect(await sync(alice)).toMatchObject({ device_one_time_keys_count: { signed_curve25519: 0 } })
  })

  test('uploaded again change nothing, not even after they were claimed; another key under a name is refused', async () => {
    const alice = await registerUser('oi_alice')
    const bob = await registerUser('oi_bob')
    const device = await withKeys(alice)
    const keys = oneTimeKeys(alice, device, ['A', 'B', 'C'])
    const upload = (oneTime: unknown) => alice.post<Counts>('/keys/upload', { one_time_keys: oneTime })
    await ok(upload(keys))
    const overlap = { 'signed_curve25519:C': keys['signed_curve25519:C'], ...oneTimeKeys(alice, device, ['D']) }
    expect((await ok(upload(overlap))).one_time_key_counts).toEqual({ signed_curve25519: 4 })
    const mixed = oneTimeKeys(alice, device, ['E', 'B'])
    expect(await upload(mixed)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect((await ok(upload({}))).one_time_key_counts).toEqual({ signed_curve25519: 4 })
    expect(await claim(bob, alice)).toEqual({ 'signed_curve25519:A': keys['signed_curve25519:A'] })
    expect((await ok(upload(keys))).one_time_key_counts).toEqual({ signed_curve25519: 3 })
  })

  test('a hundred claims at once get a hundred different keys, the next one the fallback key', async () => {
    const alice = await registerUser('oh_alice')
    const bob = await registerUser('oh_bob')
    const device = await withKeys(alice)
    const names = Array.from({ length: 100 }, (_, index) => `K${index}`)
    const fallback = oneTimeKeys(alice, device, ['F'], { fallback: true })
    await ok(alice.post('/keys/upload', { one_time_keys: oneTimeKeys(alice, device, names), fallback_keys: fallback }))
    expect(await sync(alice)).toMatchObject({ device_unused_fallback_key_types: ['signed_curve25519'] })
    const claimed = await Promise.all(names.map(() => claim(bob, alice)))
    expect(new Set(claimed.flatMap((keys) => Object.keys(keys ?? {}))).size).toBe(100)
    expect(await sync(alice)).toMatchObject({ device_unused_fallback_key_types: ['signed_curve25519'] })
    expect(await claim(bob, alice)).toEqual(fallback)
    expect(await claim(bob, alice)).toEqual(fallback)
    expect(await sync(alice)).toMatchObject({ device_unused_fallback_key_types: [] })
    await ok(alice.post('/keys/upload', { fallback_keys: fallback }))
    expect(await sync(alice)).toMatchObject({ device_unused_fallback_key_types: [] })
    await ok(alice.post('/keys/upload', { fallback_keys: oneTimeKeys(alice, device, ['G'], { fallback: true }) }))
    expect(await sync(alice)).toMatchObject({ device_unused_fallback_key_types: ['signed_curve25519'] })
  })

  test('of no form are refused', async () => {
    const alice = await registerUser('on_alice')
    const upload = (keys: unknown) => alice.post('/keys/upload', { one_time_keys: keys })
    const signatures = {}
    expect(await upload({ nocolon: { key: curveKey(), signatures } })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await upload({ [`a:${'k'.repeat(300)}`]: curveKey() })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await upload({ 'a:b': { key: curveKey() } })).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await upload({ 'a:b': { key: 'short', signatures } })).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await upload({ 'a:b': 7 })).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await upload([])).toMatchObject(refused(400, 'M_BAD_JSON'))
    const large = { key: curveKey(), signatures, more: 'x'.repeat(9000) }
    expect(await upload({ 'a:b': large })).toMatchObject(refused(413, 'M_TOO_LARGE'))
    const twoFallbacks = { 'a:1': curveKey(), 'a:2': curveKey() }
    expect(await alice.post('/keys/upload', { fallback_keys: twoFallbacks })).toMatchObject(
      refused(400, 'M_INVALID_PARAM'),
    )
    const claims = (wanted: unknown) => alice.post('/keys/claim', { one_time_keys: wanted })
    expect(await claims({ [alice.userId]: { [alice.deviceId]: 7 } })).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await claims({ [alice.userId]: [] })).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect((await claims({ '@nobody:test.local': { D: 'a' } })).body).toEqual({ one_time_keys: {}, failures: {} })
    const long = { [alice.userId]: { ['D'.repeat(10_000)]: 'signed_curve25519' } }
    expect((await claims(long)).body).toEqual({ one_time_keys: {}, failures: {} })
  })

  test('of a device that comes with another identity are void: nobody could use them', async () => {
    const alice = await registerUser('ov_alice')
    const bob = await registerUser('ov_bob')
    const first = await withKeys(alice)
    const fallback = oneTimeKeys(alice, first, ['F'], { fallback: true })
    await ok(alice.post('/keys/upload', { one_time_keys: oneTimeKeys(alice, first, ['A']), fallback_keys: fallback }))
    // The same keys with more said about them are still the same device.
    const renewed = signJson(
      { ...first.deviceKeys, algorithms: ['m.megolm.v1.aes-sha2'], signatures: {} },
      alice.userId,
      first.signing,
      nodeCrypto,
    )
    const upload = (keys: object) => ok(alice.post<Counts>('/keys/upload', keys))
    expect((await upload({ device_keys: renewed })).one_time_key_counts).toEqual({ signed_curve25519: 1 })
    const second = newDevice(alice)
    const answer = await upload({ device_keys: second.deviceKeys })
    expect(answer.one_time_key_counts).toEqual({ signed_curve25519: 0 })
    expect(await sync(alice)).toMatchObject({
      device_one_time_keys_count: { signed_curve25519: 0 },
      device_unused_fallback_key_types: [],
    })
    expect(await claim(bob, alice)).toBeUndefined()
    const keys = oneTimeKeys(alice, second, ['A'])
    expect((await upload({ one_time_keys: keys })).one_time_key_counts).toEqual({ signed_curve25519: 1 })
    expect(await claim(bob, alice)).toEqual(keys)
  })

  test('of algorithms that nobody knows are kept apart, and harm nobody', async () => {
    const alice = await registerUser('oa_alice')
    const bob = await registerUser('oa_bob')
    const device = await withKeys(alice)
    const known = oneTimeKeys(alice, device, ['A'])
    const strange = { 'm.unheard_of:A': { key: curveKey(), signatures: {} }, '__proto__:A': curveKey() }
    await ok(alice.post('/keys/upload', { one_time_keys: { ...strange, ...known } }))
    const wanted = (algorithm: string) => ({ [alice.userId]: { [alice.deviceId]: algorithm } })
    const claims = (algorithm: string) => bob.post('/keys/claim', { one_time_keys: wanted(algorithm) })
    expect((await claims('m.other')).body).toEqual({ one_time_keys: {}, failures: {} })
    expect((await claims('m.unheard_of')).text).toContain('m.unheard_of:A')
    expect(await claim(bob, alice)).toEqual(known)
    expect(await sync(alice)).toMatchObject({ device_one_time_keys_count: { signed_curve25519: 0 } })
  })
})
