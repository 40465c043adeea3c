/** Jumping to a date, here and over other servers. Spec: client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event. */
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { env } from 'cloudflare:workers'

import { roomOf } from '../../../worker/rooms.ts'
import { anonymous, registerUser, type User } from '../client.ts'
import { at, createRoom, join, ok, refused, say, setState } from '../rooms/rooms.ts'
import { roomObject, user, withRoom } from '../room/rooms.ts'
import { eventsFrom } from '../../../durable-objects/room/time-index.ts'
import { FarRoom } from './far-room.ts'
import { joinOver, otherServer, type OtherServer, serversAnswer } from './other-server.ts'

interface Found {
  readonly event_id: string
  readonly origin_server_ts: number
}
interface Page {
  readonly chunk: { readonly event_id: string }[]
}

let alice: User
let bob: User
beforeAll(async () => {
  alice = await registerUser('jump-alice')
  bob = await registerUser('jump-bob')
})
afterEach(() => {
  vi.restoreAllMocks()
})

const path = (roomId: string, ts: number | string, dir = 'f') =>
  `/_matrix/client/v1${at(roomId, `/timestamp_to_event?ts=${ts}&dir=${dir}`)}`
const jump = async (reader: User, roomId: string, ts: number, dir: 'f' | 'b') =>
  (await ok(reader.get<Found>(path(roomId, ts, dir)))).event_id
function idOf(text: string) {
  const roomId = parseRoomId(text)
  if (!roomId) throw new TypeError(text)
  return roomId
}
/** A message of alice's with that time. */
async function sayAt(roomId: string, ts: number, body: string): Promise<string> {
  const content = { msgtype: 'm.text', body }
  const event = { sender: user(alice.userId), type: 'm.room.message', content, originServerTs: ts }
  const sent = await roomOf(env, idOf(roomId)).sendEvent(event)
  if (!sent.ok) throw new Error(sent.message)
  return sent.event_id
}

describe('a moment', () => {
  test('leads to the nearest event before or after it, whatever the order of arrival', async () => {
    const roomId = await createRoom(alice)
    const early = await sayAt(roomId, 5_000, 'long ago')
    const first = await sayAt(roomId, 9_000_000_000_000, 'one')
    const second = await sayAt(roomId, 9_000_000_000_000, 'two')
    expect(await jump(alice, roomId, 0, 'f')).toBe(early)
    expect(await jump(alice, roomId, 5_000, 'f')).toBe(early)
    expect(await jump(alice, roomId, 6_000, 'b')).toBe(early)
    // Of the same time: the first from before, the last from behind.
    expect(await jump(alice, roomId, 8_999_999_999_999, 'f')).toBe(first)
    expect(await jump(alice, roomId, 9_000_000_000_001, 'b')).toBe(second)
    expect(await alice.get(path(roomId, 4_999, 'b'))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await alice.get(path(roomId, 9_000_000_000_001))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    const old = `/_matrix/client/unstable/org.matrix.msc3030${at(roomId, '/timestamp_to_event?ts=0&dir=f')}`
    expect(await ok(alice.get(old))).toEqual({ event_id: early, origin_server_ts: 5_000 })
  })

  test('is found in rooms of many events as in a list of all', async () => {
    const roomId = await createRoom(alice)
    await withRoom(roomObject(idOf(roomId)), ({ reader }) => {
      // Rows that only the index looks at.
      for (let i = 0; i < 1500; i++) {
        reader.sql.exec(
          `INSERT INTO events(nid, event_id, type, sender, depth, origin_server_ts, outcome, state_before, state_after, auth, json)
           SELECT ?, ?, type, sender, depth, ?, ?, state_before, state_after, auth, json FROM events WHERE nid = 2`,
          1000 + i,
          `$made-up-${i}`,
          ((i * 7919) % 1009) * 10,
          i % 10 === 0 ? 1 : 0,
        )
      }
      const all = reader.sql
        .exec<{ nid: number; ts: number }>(
          'SELECT nid, origin_server_ts AS ts FROM events WHERE outcome = 0 ORDER BY origin_server_ts, depth, nid',
        )
        .toArray()
      for (const ts of [-1, 0, 5, 777, 4_000, 10_080, 10_081]) {
        const [after, before] = [all.filter((each) => each.ts >= ts), all.filter((each) => each.ts <= ts).reverse()]
        expect([...eventsFrom(reader, ts, 'f')].map(({ nid }) => nid)).toEqual(after.map(({ nid }) => nid))
        expect([...eventsFrom(reader, ts, 'b')].map(({ nid }) => nid)).toEqual(before.map(({ nid }) => nid))
      }
    })
  })

  test('shows nobody what they may not see', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    expect(await bob.get(path(roomId, 0))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await bob.get(path('!nowhere:test.local', 0))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await anonymous.get(path(roomId, 0))).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
    await ok(setState(alice, roomId, 'm.room.history_visibility', { history_visibility: 'joined' }))
    const secret = await say(alice, roomId, 'among us')
    await join(bob, roomId)
    expect(await jump(bob, roomId, Date.now() + 1000, 'b')).not.toBe(secret)
    for (const id of [await jump(bob, roomId, 0, 'f'), await jump(bob, roomId, Date.now() + 1000, 'b')]) {
      await ok(bob.get(at(roomId, `/event/${encodeURIComponent(id)}`)))
    }
  })

  test('must be one', async () => {
    const roomId = await createRoom(alice)
    const base = `/_matrix/client/v1${at(roomId, '/timestamp_to_event')}`
    for (const [query, errcode] of [
      ['', 'M_MISSING_PARAM'],
      ['?ts=1', 'M_MISSING_PARAM'],
      ['?dir=f', 'M_MISSING_PARAM'],
      ['?ts=x&dir=f', 'M_INVALID_PARAM'],
      ['?ts=1.5&dir=f', 'M_INVALID_PARAM'],
      ['?ts=99999999999999999999&dir=f', 'M_INVALID_PARAM'],
      ['?ts=1&dir=up', 'M_INVALID_PARAM'],
    ] as const) {
      expect(await alice.get(base + query)).toMatchObject(refused(400, errcode))
    }
  })
})

describe('a room of another server', () => {
  let far: OtherServer
  beforeAll(async () => {
    far = await otherServer('far.test:8448')
  })

  test('is asked where our history has a hole, and read on from there', async () => {
    const room = new FarRoom(far)
    const ages = [1, 2, 3, 4].map((hour) => room.say(`hour ${hour}`, Date.now() - 50_000 + hour * 1000))
    const [, two, three] = ages
    const asked = serversAnswer({ [far.name]: (each) => room.answer(each) })
    await ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?via=${far.name}`))
    if (!two || !three) throw new TypeError('no events')
    const moment = two.origin_server_ts + 500
    expect(await jump(alice, room.roomId, moment, 'b')).toBe(two.event_id)
    expect(await jump(alice, room.roomId, moment, 'f')).toBe(three.event_id)
    const count = asked.length
    // Both are here now, with nothing missing in between.
    expect(await jump(alice, room.roomId, moment, 'b')).toBe(two.event_id)
    expect(asked.length).toBe(count)
    const around = `/context/${encodeURIComponent(two.event_id)}?limit=0`
    const { start } = await ok(alice.get<{ start: string }>(at(room.roomId, around)))
    const page = await ok(alice.get<Page>(at(room.roomId, `/messages?dir=b&from=${start}`)))
    expect(page.chunk.map(({ event_id }) => event_id)).toContain(ages[0]?.event_id)
  })

  test('is not believed: what it names must be on the right side, of this room and signed', async () => {
    const [room, others] = [new FarRoom(far), new FarRoom(far)]
    const right = room.say('right', Date.now() - 40_000)
    const wrong = room.say('wrong side', Date.now() - 10_000)
    const foreign = others.say('another room', Date.now() - 40_000)
    const moment = Date.now() - 30_000
    let named = wrong.event_id
    serversAnswer({
      [far.name]: (each) =>
        each.path.includes('timestamp_to_event')
          ? { event_id: named, origin_server_ts: moment }
          : (room.answer(each) ?? others.answer(each)),
    })
    await ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?via=${far.name}`))
    expect(await alice.get(path(room.roomId, moment, 'b'))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    named = foreign.event_id
    expect(await alice.get(path(room.roomId, moment, 'b'))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    named = right.event_id
    expect(await jump(alice, room.roomId, moment, 'b')).toBe(right.event_id)
  })

  test('that cannot be reached leaves what is here', async () => {
    const room = new FarRoom(far)
    room.say('unseen')
    serversAnswer({ [far.name]: (each) => room.answer(each) })
    await ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?via=${far.name}`))
    vi.restoreAllMocks()
    serversAnswer({})
    expect(await alice.get(path(room.roomId, Date.now() - 60_000, 'b'))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    await jump(alice, room.roomId, Date.now() - 60_000, 'f')
  })

  test('asks us, and gets what its users may see', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    const id = encodeURIComponent(roomId)
    await say(alice, roomId, 'hello')
    const ask = (query: string) => far.ask<Found>('GET', `/timestamp_to_event/${id}?${query}`)
    expect(await ask(`ts=${Date.now() + 1000}&dir=b`)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    const { event_id: joined } = await joinOver(far, `@visitor:${far.name}`, roomId)
    expect((await ok(ask(`ts=${Date.now() + 1000}&dir=b`))).event_id).toBe(joined)
    expect((await ok(ask('ts=0&dir=f'))).event_id).toMatch(/^\$/)
    await ok(setState(alice, roomId, 'm.room.server_acl', { allow: ['*'], deny: ['far.test'] }))
    expect(await ask('ts=0&dir=f')).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await ask('dir=f')).toMatchObject(refused(400, 'M_MISSING_PARAM'))
  })
})
