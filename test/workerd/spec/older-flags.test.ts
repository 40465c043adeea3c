/**
 * Flags of /versions for what is in the specification by now, and for which clients look by these names still: each stands for
 * something that is there, under whatever name a client uses once it has seen the flag.
 */
import { beforeAll, expect, test } from 'vitest'

import { anonymous, registerUser, type User } from '../client.ts'
import { curveKey } from '../e2ee/devices.ts'
import { at, createRoom, join, ok, refused, say, setState } from '../rooms/rooms.ts'
import { sync } from '../sync/syncing.ts'
import { ask, download, upload } from '../media/media.ts'

let alice: User
let bob: User
let flags: Record<string, boolean>
let roomId: string

beforeAll(async () => {
  alice = await registerUser('flags-alice')
  bob = await registerUser('flags-bob')
  const { body } = await anonymous.get<{ unstable_features: Record<string, boolean> }>('/_matrix/client/versions')
  flags = body.unstable_features
  roomId = await createRoom(alice, { preset: 'public_chat', name: 'flags' })
  await join(bob, roomId)
})

const set = (...names: string[]) => expect(names.filter((name) => flags[name] !== true)).toEqual([])

test('rooms of the directory are found by what they are', async () => {
  set('org.matrix.msc3827.stable')
  const creation_content = { type: 'm.space' }
  const space = await createRoom(alice, { visibility: 'public', name: 'flags space', creation_content })
  const room = await createRoom(alice, { visibility: 'public', name: 'flags room' })
  const found = async (room_types: (string | null)[]) => {
    const filter = { generic_search_term: 'flags', room_types }
    const { chunk } = await ok(
      bob.post<{ chunk: { room_id: string; room_type?: string }[] }>('/publicRooms', { filter }),
    )
    return chunk.map(({ room_id, room_type }) => [room_id, room_type])
  }
  expect(await found(['m.space'])).toEqual([[space, 'm.space']])
  expect(await found([null])).toEqual([[room, undefined]])
})

test('media is for those who are signed in', async () => {
  set('org.matrix.msc3916', 'org.matrix.msc3916.stable')
  const file = (await upload(alice.accessToken, 'text', { type: 'text/plain' })).replace('mxc://', '')
  expect((await download(bob.accessToken, file)).status).toBe(200)
  expect((await ask(`/_matrix/client/v1/media/download/${file}/name.txt`, { token: bob.accessToken })).status).toBe(200)
  for (const media of ['v1/media', 'unstable/org.matrix.msc3916/media']) {
    for (const path of [`download/${file}`, `thumbnail/${file}?width=8&height=8`, 'config']) {
      expect((await ask(`/_matrix/client/${media}/${path}`)).status, path).toBe(401)
    }
    const [token, of] = [bob.accessToken, `/_matrix/client/${media}`]
    expect((await ask(`${of}/config`, { token })).status).toBe(200)
    expect(await ask(`${of}/download/${file}`, { token })).toMatchObject({ status: 200 })
  }
})

test('threads: their list, their events forwards, and messages that have some', async () => {
  set('org.matrix.msc3440.stable', 'org.matrix.msc3856.stable', 'org.matrix.msc3715.stable')
  const room = await createRoom(alice)
  const root = await say(alice, room, 'root')
  await say(alice, room, 'no root')
  const relates = { rel_type: 'm.thread', event_id: root }
  const replies: string[] = []
  for (const body of ['one', 'two']) {
    const content = { msgtype: 'm.text', body, 'm.relates_to': relates }
    replies.push(
      (await ok(alice.put<{ event_id: string }>(at(room, `/send/m.room.message/${body}`), content))).event_id,
    )
  }
  interface Chunk {
    readonly chunk: { event_id: string; unsigned: { 'm.relations'?: { 'm.thread'?: object } } }[]
  }
  for (const path of ['v1', 'unstable/org.matrix.msc3856']) {
    const { chunk } = await ok(alice.get<Chunk>(`/_matrix/client/${path}${at(room, '/threads')}`))
    expect(chunk.map(({ event_id }) => event_id)).toEqual([root])
    expect(chunk[0]?.unsigned['m.relations']?.['m.thread']).toMatchObject({
      count: 2,
      latest_event: { event_id: replies[1] },
      current_user_participated: true,
    })
  }
  const related = `/_matrix/client/v1${at(room, `/relations/${encodeURIComponent(root)}/m.thread`)}?dir=f`
  expect((await ok(alice.get<Chunk>(related))).chunk.map(({ event_id }) => event_id)).toEqual(replies)
  const filter = { related_by_rel_types: ['m.thread'], related_by_senders: [alice.userId] }
  const path = at(room, `/messages?dir=b&filter=${encodeURIComponent(JSON.stringify(filter))}`)
  expect((await ok(alice.get<Chunk>(path))).chunk.map(({ event_id }) => event_id)).toEqual([root])
})

test('threads are read, and counted, each by itself, under whichever name was asked for', async () => {
  set('org.matrix.msc3771', 'org.matrix.msc3773')
  const room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
  const root = await say(alice, room, 'root')
  const content = { msgtype: 'm.text', body: 'reply', 'm.relates_to': { rel_type: 'm.thread', event_id: root } }
  const { event_id: reply } = await ok(alice.put<{ event_id: string }>(at(room, '/send/m.room.message/r'), content))
  const counts = (notification_count: number) => ({ notification_count, highlight_count: 0 })
  for (const name of ['unread_thread_notifications', 'org.matrix.msc3773.unread_thread_notifications']) {
    const { rooms } = await sync(bob, { filter: { room: { timeline: { [name]: true } } } })
    expect(rooms?.join?.[room]).toMatchObject({ unread_notifications: counts(1), [name]: { [root]: counts(1) } })
  }
  const receipt = at(room, `/receipt/m.read/${encodeURIComponent(reply)}`)
  await ok(bob.post(receipt, { thread_id: root }))
  const filter = { room: { timeline: { 'org.matrix.msc3773.unread_thread_notifications': true } } }
  const after: object = (await sync(bob, { filter })).rooms?.join?.[room] ?? {}
  expect(after).toMatchObject({ unread_notifications: counts(1) })
  expect(after).not.toHaveProperty(['org.matrix.msc3773.unread_thread_notifications'])
})

test('who has read is told or kept to oneself', async () => {
  set('org.matrix.msc2285.stable')
  const room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
  const [first, second] = [await say(alice, room, 'first'), await say(alice, room, 'second')]
  await ok(bob.post(at(room, `/receipt/m.read.private/${encodeURIComponent(first)}`)))
  const seenBy = async (user: User) => {
    const { rooms } = await sync(user)
    const receipts = rooms?.join?.[room]?.ephemeral?.events.filter(({ type }) => type === 'm.receipt') ?? []
    return JSON.stringify(receipts.map(({ content }) => content))
  }
  expect(await seenBy(bob)).toContain('m.read.private')
  expect(await seenBy(alice)).not.toContain(bob.userId)
  await ok(bob.post(at(room, '/read_markers'), { 'm.read.private': second, 'm.fully_read': second }))
  expect(await seenBy(bob)).toContain(second)
  expect(await seenBy(alice)).not.toContain(bob.userId)
})

test('keys for cross-signing go to the older path as well', async () => {
  set('org.matrix.e2e_cross_signing')
  const publicKey = curveKey()
  const master_key = { user_id: bob.userId, usage: ['master'], keys: { [`ed25519:${publicKey}`]: publicKey } }
  await ok(bob.post('/_matrix/client/unstable/keys/device_signing/upload', { master_key }))
  const { master_keys } = await ok(alice.post('/keys/query', { device_keys: { [bob.userId]: [] } }))
  expect(master_keys).toMatchObject({ [bob.userId]: master_key })
  expect(await ok(bob.post('/_matrix/client/unstable/keys/signatures/upload', {}))).toEqual({ failures: {} })
})

test('rooms are summed up, in the older words where the older paths are asked', async () => {
  set('org.matrix.msc3266')
  const room = await createRoom(alice, { preset: 'public_chat', room_version: '11' })
  await ok(setState(alice, room, 'm.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' }))
  const id = encodeURIComponent(room)
  const summary = { room_id: room, room_version: '11', encryption: 'm.megolm.v1.aes-sha2', membership: 'join' }
  const stable = await ok(alice.get(`/_matrix/client/v1/room_summary/${id}`))
  expect(stable).toMatchObject(summary)
  expect(stable).not.toHaveProperty(['im.nheko.summary.encryption'])
  const older = {
    'im.nheko.summary.room_version': '11',
    'im.nheko.summary.version': '11',
    'im.nheko.summary.encryption': 'm.megolm.v1.aes-sha2',
  }
  for (const path of [`summary/${id}`, `rooms/${id}/summary`]) {
    const answer = await ok(alice.get(`/_matrix/client/unstable/im.nheko.summary/${path}`))
    expect(answer).toMatchObject({ ...summary, ...older })
  }
})

test('rooms that two share are told', async () => {
  set('uk.half-shot.msc2666.query_mutual_rooms', 'uk.half-shot.msc2666.query_mutual_rooms.stable')
  const query = `?user_id=${encodeURIComponent(bob.userId)}`
  for (const path of ['unstable/uk.half-shot.msc2666/user/mutual_rooms', 'v1/mutual_rooms']) {
    const { joined } = await ok(alice.get<{ joined: string[] }>(`/_matrix/client/${path}${query}`))
    expect(joined).toContain(roomId)
  }
})

test.each(['10', '11', '12'])('events are redacted by sending one: room version %s', async (room_version) => {
  set('com.beeper.msc4169')
  const room = await createRoom(alice, { room_version, preset: 'public_chat' })
  await join(bob, room)
  const said = await say(alice, room, 'wrong')
  const redaction = { redacts: said, reason: 'typo' }
  expect(await bob.put(at(room, '/send/m.room.redaction/b'), redaction)).toMatchObject(refused(403, 'M_FORBIDDEN'))
  await ok(alice.put(at(room, '/send/m.room.redaction/a'), redaction))
  const event = await ok(alice.get(at(room, `/event/${encodeURIComponent(said)}`)))
  expect(event).toMatchObject({ content: {}, unsigned: { redacted_because: { content: { reason: 'typo' } } } })
})
