/**
 * Clients back up a room key with the next answer that tells of their keys: who says something with a new one has an answer.
 * A wait that nothing ends outlasts the test.
 */
import { beforeAll, expect, test } from 'vitest'

import { login, registerUser, type User } from '../client.ts'
import { aMoment, createRoom } from '../sync/syncing.ts'
import { slider } from './sliding.ts'

const tooLong = 120_000
const keys = { extensions: { e2ee: { enabled: true }, to_device: { enabled: true } } }

let alice: User
let roomId: string
beforeAll(async () => {
  alice = await registerUser('keys-alice')
  roomId = await createRoom(alice)
})

let sent = 0
async function encrypt(user: User, session: unknown): Promise<void> {
  const content = { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'x', session_id: session }
  const { status } = await user.put(`/rooms/${roomId}/send/m.room.encrypted/${++sent}`, content)
  expect(status).toBe(200)
}

async function tell(user: User): Promise<void> {
  const messages = { [user.userId]: { [user.deviceId]: {} } }
  expect((await alice.put(`/sendToDevice/m.test/${++sent}`, { messages })).status).toBe(200)
}

/** A device whose client waits for its keys. */
async function device() {
  const user = await login(alice)
  const client = slider(user, keys)
  await client.next()
  return { user, client }
}

test('a new key ends the wait of the device that said something with it', async () => {
  const { user, client } = await device()
  const waiting = client.next(tooLong)
  await aMoment()
  await encrypt(user, 'first')
  expect((await waiting).extensions).toMatchObject({
    e2ee: { device_one_time_keys_count: {} },
    to_device: { events: [] },
  })
})

test('who was not waiting has an answer at once, and one', async () => {
  const { user, client } = await device()
  await encrypt(user, 'between')
  expect((await client.next(tooLong)).extensions.to_device?.events).toEqual([])
  const waiting = client.next(tooLong)
  await aMoment()
  await tell(user)
  expect((await waiting).extensions.to_device?.events).toHaveLength(1)
})

test('a known key does not end it, nor what is no key, nor a key of another device, nor what is not encrypted', async () => {
  const [{ user, client }, other] = [await device(), await device()]
  await encrypt(user, 'known')
  await client.next(tooLong)
  const waiting = client.next(tooLong)
  await aMoment()
  await encrypt(user, 'known')
  for (const session of [undefined, null, 1, 'x'.repeat(65)]) await encrypt(user, session)
  await encrypt(other.user, 'other')
  await user.put(`/rooms/${roomId}/send/m.room.message/${++sent}`, { session_id: 'open' })
  await tell(user)
  expect((await waiting).extensions.to_device?.events).toHaveLength(1)
})

test('a wait that tells of no keys goes on', async () => {
  const user = await login(alice)
  const client = slider(user, { extensions: { to_device: { enabled: true } } })
  await client.next()
  const waiting = client.next(tooLong)
  await aMoment()
  await encrypt(user, 'rooms')
  await tell(user)
  expect((await waiting).extensions.to_device?.events).toHaveLength(1)
})
