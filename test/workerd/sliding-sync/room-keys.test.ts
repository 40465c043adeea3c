/**
 * What clients do with the next answer that tells of their keys, and not before: they back up a room key, and go on with a
 * verification. So who says something with a new key has such an answer, and who has read what may be a verification.
 * A wait that nothing ends outlasts the test.
 */
import { beforeAll, describe, expect, test } from 'vitest'

import { login, registerUser, type User } from '../client.ts'
import { aMoment, createRoom, join } from '../sync/syncing.ts'
import { newest, slider } from './sliding.ts'

const tooLong = 120_000
const keys = { extensions: { e2ee: { enabled: true }, to_device: { enabled: true } } }

let alice: User
let roomId: string
beforeAll(async () => {
  alice = await registerUser('keys-alice')
  roomId = await createRoom(alice)
})

let sent = 0
async function encrypt(user: User, session: unknown, its = roomId): Promise<void> {
  const content = { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'x', session_id: session }
  const { status } = await user.put(`/rooms/${its}/send/m.room.encrypted/${++sent}`, content)
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

describe.each(['direct', 'of two'])('in a chat that is %s', (kind) => {
  let bob: User
  let chat: string
  beforeAll(async () => {
    bob = await registerUser(`keys-bob-${kind.replace(' ', '-')}`)
    const carol = await registerUser(`keys-carol-${kind.replace(' ', '-')}`)
    chat = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, chat)
    if (kind === 'of two') return
    await join(carol, chat)
    const direct = `/user/${encodeURIComponent(alice.userId)}/account_data/m.direct`
    expect((await alice.put(direct, { [bob.userId]: [chat] })).status).toBe(200)
  })

  const say = async (user: User, type: string, content: object, its = chat) =>
    expect((await user.put(`/rooms/${its}/send/${type}/${++sent}`, content)).status).toBe(200)

  /** A device that asks for its rooms and for its keys, each by itself, and has all that there is. */
  async function twice() {
    const { user, client } = await device()
    const rooms = slider(user, { conn_id: 'rooms', ...newest(5, { timeline_limit: 5 }) })
    await rooms.next()
    return { user, client, rooms }
  }

  test.each([
    ['something encrypted', (its: string) => encrypt(bob, `session-${++sent}`, its)],
    ['a request', () => say(bob, 'm.room.message', { msgtype: 'm.key.verification.request', body: 'x' })],
    ['a step', () => say(bob, 'm.key.verification.ready', { methods: [] })],
  ])('%s ends the wait once it was read', async (_, act) => {
    const { client, rooms } = await twice()
    const waiting = client.next(tooLong)
    await aMoment()
    await act(chat)
    expect(Object.keys((await rooms.next(tooLong)).rooms)).toEqual([chat])
    await rooms.next()
    expect((await waiting).extensions.to_device?.events).toEqual([])
  })

  test('what is no verification does not end it, nor what the user says, nor another room, nor what was not read', async () => {
    const other = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, other)
    await join(await registerUser(`keys-third-${++sent}`), other)
    const { user, client, rooms } = await twice()
    const waiting = client.next(tooLong)
    await aMoment()
    await say(bob, 'm.room.message', { msgtype: 'm.text', body: 'm.key.verification.request' })
    await say(user, 'm.key.verification.ready', { methods: [] })
    await encrypt(bob, 'elsewhere', other)
    await rooms.next()
    await rooms.next()
    await encrypt(bob, 'not read', chat)
    await tell(user)
    expect((await waiting).extensions.to_device?.events).toHaveLength(1)
  })
})
