/** What servers tell each other of people beside rooms: devices and their keys, messages to devices, profiles, directories. */
import { randomBytes } from 'node:crypto'
import type { JsonObject } from '#protocol/json/json.ts'
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { signJson } from '#protocol/signing/sign-json.ts'
import { beforeAll, describe, expect, test, vi } from 'vitest'

import { type Client, signIn } from '../../scripts/bench/client.ts'
import { nodeCrypto } from '../../worker/node-crypto.ts'
import {
  at,
  createRoom,
  join,
  leave,
  listAt,
  patience,
  type Person,
  person,
  position,
  sees,
  syncUntil,
  text,
  whileCut,
} from './people.ts'

const sides = [
  { one: 'Hearth', other: 'Synapse' },
  { one: 'Synapse', other: 'Hearth' },
] as const

describe.each(sides)('$one asks $other', ({ one, other }) => {
  let alice: Person
  let bob: Person
  let device: string
  let roomId: string

  beforeAll(async () => {
    ;[alice, bob] = [await person(one, 'alice'), await person(other, 'bob')]
    device = await deviceOf(bob)
    roomId = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, roomId, alice)
    await sees(alice, roomId, bob, 'join')
  })

  const deviceOf = async (who: Client) => text((await who.call('GET', '/account/whoami')).json, 'device_id')

  const key = () => randomBytes(32).toString('base64').replace('=', '')

  /** Of a device that signs with a key of its own. */
  async function uploadKeys(who: Client, deviceId: string): Promise<object> {
    const signing = signingKeyOf(`ed25519:${deviceId}`, randomBytes(32))
    const signed = (object: JsonObject) => signJson(object, who.userId, signing, nodeCrypto)
    const keys = signed({
      user_id: who.userId,
      device_id: deviceId,
      algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
      keys: {
        [`curve25519:${deviceId}`]: key(),
        [signing.keyId]: encodeBase64Unpadded(signing.publicKey),
      },
    })
    const oneTime = ['AAA', 'BBB'].map((id) => [`signed_curve25519:${id}`, signed({ key: key() })])
    await who.call('POST', '/keys/upload', { device_keys: keys, one_time_keys: Object.fromEntries(oneTime) })
    return keys
  }

  const queried = async () => {
    const { json } = await alice.call('POST', '/keys/query', { device_keys: { [bob.userId]: [] } })
    return Object(at(json, 'device_keys', bob.userId))
  }

  const changed = (json: unknown) => listAt(json, 'device_lists', 'changed').find((user) => user === bob.userId)

  test('a new device is told of, its keys are answered, its one-time keys claimed once each', async () => {
    const since = await position(alice)
    const keys = await uploadKeys(bob, device)
    await syncUntil(alice, since, changed)
    await vi.waitFor(async () => expect((await queried())[device]).toMatchObject(keys), patience)
    const claimed = new Set<string>()
    for (const _ of ['first', 'second']) {
      const one_time_keys = { [bob.userId]: { [device]: 'signed_curve25519' } }
      const { json } = await alice.call('POST', '/keys/claim', { one_time_keys })
      claimed.add(Object.keys(Object(at(json, 'one_time_keys', bob.userId, device)))[0] ?? 'none')
    }
    expect(claimed).toEqual(new Set(['signed_curve25519:AAA', 'signed_curve25519:BBB']))
  })

  test('a message to a device arrives, once', async () => {
    const since = await position(bob)
    const messages = { [bob.userId]: { [device]: { secret: 'of alice' } } }
    await alice.call('PUT', `/sendToDevice/org.example.secret/${Date.now()}`, { messages })
    const events = await syncUntil(bob, since, (json) => {
      const found = listAt(json, 'to_device', 'events')
      return found.length > 0 ? found : undefined
    })
    expect(events).toEqual([{ type: 'org.example.secret', sender: alice.userId, content: { secret: 'of alice' } }])
  })

  test('what happened to devices while the wire was cut is known afterwards', async () => {
    const [hers, his] = [await position(alice), await position(bob)]
    const sent = Array.from({ length: 20 }, (_, index) => `secret ${index}`)
    const second = await whileCut(async () => {
      for (const secret of sent) {
        const messages = { [bob.userId]: { [device]: { secret } } }
        await alice.call('PUT', `/sendToDevice/org.example.secret/${secret.replace(' ', '-')}`, { messages })
      }
      const again = await signIn(bob.server.base, bob.localpart)
      const id = await deviceOf(again)
      await uploadKeys(again, id)
      return id
    })
    const arrived: unknown[] = []
    await syncUntil(bob, his, (json) => {
      arrived.push(...listAt(json, 'to_device', 'events').map((event) => at(event, 'content', 'secret')))
      return arrived.length >= sent.length ? arrived : undefined
    })
    expect(arrived).toEqual(sent)
    await syncUntil(alice, hers, changed)
    await vi.waitFor(
      async () => expect(Object.keys(await queried()).toSorted()).toEqual([device, second].toSorted()),
      patience,
    )
  })

  test('cross-signing keys are answered, and that they changed is told', async () => {
    const since = await position(alice)
    const signingKey = (usage: string) => {
      const value = key()
      return { user_id: bob.userId, usage: [usage], keys: { [`ed25519:${value}`]: value } }
    }
    const master_key = signingKey('master')
    await bob.call('POST', '/keys/device_signing/upload', { master_key })
    await syncUntil(alice, since, changed)
    await vi.waitFor(async () => {
      const { json } = await alice.call('POST', '/keys/query', { device_keys: { [bob.userId]: [] } })
      expect(at(json, 'master_keys', bob.userId)).toMatchObject(master_key)
    }, patience)
  })

  test('who leaves the last common room is not followed any more', async () => {
    const since = await position(alice)
    await leave(bob, roomId)
    await syncUntil(alice, since, (json) => listAt(json, 'device_lists', 'left').find((user) => user === bob.userId))
  })
})
