/**
 * EDUs in great number: of what says the same one is passed on, and what is written down of them is bounded.
 * Security cases 17, 18.
 */
import { parsePdu } from '#protocol/events/event-format.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonValue } from '#protocol/json/json.ts'
import { afterEach, beforeAll, expect, it } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { type RoomTimeline, timeline } from '../../dsl/room-timeline.ts'
import { registerUser, type User } from '../client.ts'
import { ok } from '../rooms/rooms.ts'
import { roomObject, rows } from '../room/rooms.ts'
import { sync } from '../sync/syncing.ts'
import { neighbour, residentOf, serversAnswer, stranger, transact } from './hostile-server.ts'

let alice: User
let room: RoomTimeline
let creator: UserId
beforeAll(async () => {
  alice = await registerUser('hf_alice')
  creator = stranger()
  room = timeline('11').publicChat({ creator, members: [neighbour(creator, 'second')] })
  const asked = serversAnswer(residentOf(room))
  await ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?server_name=${serverNameOf(creator)}`))
  const join = parsePdu(room.rules, asked.find(({ url }) => url.pathname.includes('/send_join/'))?.body, nodeCrypto)
  if (!join.ok) throw new Error(join.message)
  room.append(join.pdu)
})
afterEach(() => void serversAnswer({}))

const roomId = () => {
  const parsed = parseRoomId(room.roomId)
  if (!parsed) throw new Error(room.roomId)
  return parsed
}
const receipt = (who: UserId, eventIds: JsonValue, threadId?: string) => ({
  edu_type: 'm.receipt',
  content: {
    [room.roomId]: {
      'm.read': { [who]: { event_ids: eventIds, data: { ts: 1, ...(threadId ? { thread_id: threadId } : {}) } } },
    },
  },
})
const receiptsOf = (who: UserId) =>
  rows<{ thread_id: string; event_id: string }>(
    roomObject(roomId()),
    'SELECT thread_id, event_id FROM receipts WHERE user_id = ? ORDER BY thread_id',
    who,
  )

it('a user has receipts in threads that there are, and in no others', async () => {
  const server = serverNameOf(creator)
  const root = room.message(creator, 'root').last.pdu
  const content = { 'm.relates_to': { rel_type: 'm.thread', event_id: root.event_id } }
  const reply = room.send('m.room.message', undefined, content, creator)
  const inThread = reply.last.pdu
  await transact(server, { pdus: [root.json, inThread.json] })
  const madeUp = Array.from({ length: 90 }, (_, n) =>
    receipt(creator, [inThread.event_id], `${n}${'x'.repeat(10_000)}`),
  )
  const wrong = receipt(creator, [inThread.event_id], room.current('m.room.create').event_id)
  const right = [
    receipt(creator, [inThread.event_id], root.event_id),
    receipt(creator, [root.event_id], 'main'),
    receipt(creator, [root.event_id]),
  ]
  expect((await transact(server, { edus: [...madeUp, wrong, ...right] })).status).toBe(200)
  expect(await receiptsOf(creator)).toEqual([
    { thread_id: '', event_id: root.event_id },
    { thread_id: root.event_id, event_id: inThread.event_id },
    { thread_id: 'main', event_id: root.event_id },
  ])
})

it('receipts of several EDUs count in their order', async () => {
  const second = neighbour(creator, 'second')
  const first = room.message(creator, 'first').last.pdu
  const last = room.message(creator, 'last').last.pdu
  const edus = [receipt(second, [first.event_id]), receipt(second, [last.event_id]), receipt(second, [first.event_id])]
  await transact(serverNameOf(creator), { pdus: [first.json, last.json], edus })
  expect(await receiptsOf(second)).toEqual([{ thread_id: '', event_id: last.event_id }])
})

it('who types and stops in one transaction does not type', async () => {
  const typing = (who: UserId, isTyping: boolean) => ({
    edu_type: 'm.typing',
    content: { room_id: room.roomId, user_id: who, typing: isTyping },
  })
  const second = neighbour(creator, 'second')
  const { next_batch: since } = await sync(alice)
  const edus = [typing(creator, true), typing(second, true), typing(creator, false)]
  await transact(serverNameOf(creator), { edus })
  const events = (await sync(alice, { since })).rooms?.join?.[room.roomId]?.ephemeral?.events ?? []
  expect(events.find(({ type }) => type === 'm.typing')?.content).toEqual({ user_ids: [second] })
})

it('news of one user a hundred times over arrive once', async () => {
  const update = (edu_type: string, n: number) => ({
    edu_type,
    content: { user_id: creator, device_id: `D${n}`, stream_id: n, prev_id: [] },
  })
  const { next_batch: since } = await sync(alice)
  const edus = Array.from({ length: 50 }, (_, n) => [
    update('m.device_list_update', n),
    update('m.signing_key_update', n),
  ])
  await transact(serverNameOf(creator), { edus: edus.flat() })
  expect(await sync(alice, { since })).toMatchObject({ device_lists: { changed: [creator] } })
})
