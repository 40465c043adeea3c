/** A device without a client, which keeps messages for one that comes. MSC3814. */
import type { JsonObject } from '#protocol/json/json.ts'
import { signJson } from '#protocol/signing/sign-json.ts'
import { describe, expect, test } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { registerUser, type User } from '../client.ts'
import { ok, refused } from '../rooms/rooms.ts'
import { claim, newDevice, oneTimeKeys, query, withKeys } from './devices.ts'

const path = '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device'

interface Page {
  readonly events: readonly { readonly content: JsonObject }[]
  readonly next_batch?: string
}

/** The body that makes a dehydrated device with two one-time keys and a fallback key. */
function dehydrated(user: User, deviceId: string): JsonObject {
  const owner = { userId: user.userId, deviceId }
  const { signing, deviceKeys } = newDevice(owner)
  const { signatures: _signatures, ...unsigned } = deviceKeys
  const device = { ...user, deviceId }
  return {
    device_id: deviceId,
    device_data: { algorithm: 'm.dehydration.v2', pickle: 'secret' },
    initial_device_display_name: 'Dehydrated',
    device_keys: signJson({ ...unsigned, dehydrated: true }, user.userId, signing, nodeCrypto),
    one_time_keys: oneTimeKeys(device, { signing, deviceKeys }, ['A', 'B']),
    fallback_keys: oneTimeKeys(device, { signing, deviceKeys }, ['F'], { fallback: true }),
  }
}

describe('a dehydrated device', () => {
  test('is there for others as any device, and gives its messages to another device of its user', async () => {
    const alice = await registerUser('dh_alice')
    const bob = await registerUser('dh_bob')
    await withKeys(alice)
    expect(await alice.get(path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    const body = dehydrated(alice, 'DRY')
    expect(await ok(alice.put(path, body))).toEqual({ device_id: 'DRY' })
    expect(await ok(alice.get(path))).toEqual({ device_id: 'DRY', device_data: body['device_data'] })
    expect((await query(bob, alice)).device_keys[alice.userId]?.['DRY']).toMatchObject({ dehydrated: true })
    const dry = { userId: alice.userId, deviceId: 'DRY' }
    expect(Object.keys((await claim(bob, dry)) ?? {})).toEqual(['signed_curve25519:A'])

    for (const n of Array.from({ length: 103 }, (_, index) => index)) {
      await ok(bob.put(`/sendToDevice/m.test/t${n}`, { messages: { [alice.userId]: { DRY: { n } } } }))
    }
    const read = async (from?: string) =>
      ok<Page>(alice.get(`${path}/DRY/events${from === undefined ? '' : `?next_batch=${from}`}`))
    const first = await read()
    expect(first.events.map(({ content }) => content['n'])).toEqual(Array.from({ length: 100 }, (_, n) => n))
    const second = await read(first.next_batch)
    expect(second.events.map(({ content }) => content['n'])).toEqual([100, 101, 102])
    // Clients go on for as long as there is a next_batch.
    expect(second).not.toHaveProperty('next_batch')
    // A client that failed in between begins again; some ask by POST, until a page is empty.
    const post = async (from?: string) =>
      ok<Page>(alice.post(`${path}/DRY/events`, from === undefined ? {} : { next_batch: from }))
    expect(await post()).toEqual(first)
    const { events, next_batch: end } = await post(first.next_batch)
    expect(events).toEqual(second.events)
    expect(await post(end)).toEqual({ events: [], next_batch: end })

    expect(await ok(alice.delete(path))).toEqual({ device_id: 'DRY' })
    expect(await alice.get(path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await alice.delete(path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect((await query(bob, alice)).device_keys[alice.userId]?.['DRY']).toBeUndefined()
    expect(await claim(bob, dry)).toBeUndefined()
  })

  test('takes the place of the one before it, which ends', async () => {
    const alice = await registerUser('dr_alice')
    const bob = await registerUser('dr_bob')
    await ok(alice.put(path, dehydrated(alice, 'ONE')))
    await ok(alice.put(path, dehydrated(alice, 'TWO')))
    expect(Object.keys((await query(bob, alice)).device_keys[alice.userId] ?? {})).toEqual(['TWO'])
    expect(await alice.post(`${path}/ONE/events`, {})).toMatchObject(refused(403, 'M_FORBIDDEN'))
    // Under the same ID nothing of the former device is left.
    await ok(bob.put('/sendToDevice/m.test/t', { messages: { [alice.userId]: { TWO: {} } } }))
    const again = dehydrated(alice, 'TWO')
    await ok(alice.put(path, again))
    expect((await ok<Page>(alice.post(`${path}/TWO/events`, {}))).events).toEqual([])
    expect((await query(bob, alice)).device_keys[alice.userId]?.['TWO']).toMatchObject({
      keys: (again['device_keys'] as JsonObject)['keys'],
    })
    // It may be ended as any other.
    await ok(
      alice.post('/delete_devices', {
        devices: ['TWO'],
        auth: {
          type: 'm.login.password',
          identifier: { type: 'm.id.user', user: alice.userId },
          password: alice.password,
        },
      }),
    )
    expect(await alice.get(path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
  })

  test('without form is refused, and nothing is kept of it', async () => {
    const alice = await registerUser('dx_alice')
    await withKeys(alice)
    const good = dehydrated(alice, 'DRY')
    const { device_keys: _keys, ...keyless } = good
    const { device_data: _data, ...dataless } = good
    const put = (body: JsonObject) => alice.put(path, body)
    expect(await put(keyless)).toMatchObject({ status: 400 })
    expect(await put(dataless)).toMatchObject({ status: 400 })
    expect(await put({ ...good, device_id: 'OTHER' })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await put({ ...good, device_data: {} })).toMatchObject({ status: 400 })
    const large = { algorithm: 'a', pickle: 'x'.repeat(300_000) }
    expect(await put({ ...good, device_data: large })).toMatchObject(refused(413, 'M_TOO_LARGE'))
    expect(await put(dehydrated(alice, alice.deviceId))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    const foreign = dehydrated(await registerUser('dx_bob'), 'DRY')
    expect(await put(foreign)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await alice.get(path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    await ok(put(good))
    const next = { next_batch: 's1' }
    expect(await alice.post(`${path}/DRY/events`, next)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })
})
