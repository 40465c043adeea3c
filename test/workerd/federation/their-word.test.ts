/**
 * Joins of restricted rooms that this server is in and where none of its users may let anybody in: another server in the room
 * vouches. Spec: server-server-api/#restricted-rooms.
 */
import { parsePdu } from '#protocol/events/event-format.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject } from '#protocol/json/json.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'
import { afterEach, beforeEach, expect, it } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { keyOf, type RoomTimeline, timeline } from '../../dsl/room-timeline.ts'
import { user } from '../../dsl/users.ts'
import { registerUser, type User } from '../client.ts'
import { residentOf, serversAnswer, stranger } from '../hostile/hostile-server.ts'
import { at, createRoom, fullState, ok, refused } from '../rooms/rooms.ts'

let alice: User
let bob: User
let count = 0
beforeEach(async () => {
  serversAnswer({})
  alice = await registerUser(`tw_alice${(count += 1)}`)
  bob = await registerUser(`tw_bob${count}`)
})
afterEach(() => void serversAnswer({}))

/** A room of a stranger that members of one of Alice's rooms may join, with Alice in it. */
async function restricted(): Promise<{ room: RoomTimeline; creator: UserId }> {
  const club = await createRoom(alice, { preset: 'public_chat', room_version: '11' })
  await ok(bob.post(`/join/${encodeURIComponent(club)}`))
  const creator = stranger()
  const room = timeline('11').publicChat({ creator, powerLevels: { invite: 50 } })
  const allow = [{ type: 'm.room_membership', room_id: club }]
  room.send('m.room.join_rules', '', { join_rule: 'restricted', allow }, creator)
  const asked = serversAnswer(vouching(room, creator))
  await ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?server_name=${serverNameOf(creator)}`))
  const body = asked.find(({ url }) => url.pathname.includes('/send_join/'))?.body ?? {}
  const sent = parsePdu(room.rules, signed(room, creator, body), nodeCrypto)
  if (!sent.ok) throw new Error(sent.message)
  room.append(sent.pdu)
  return { room, creator }
}

const signed = (room: RoomTimeline, creator: UserId, event: JsonObject) =>
  signEvent(room.rules, event, serverNameOf(creator), keyOf(serverNameOf(creator)), nodeCrypto)

/** The stranger's server vouches for whoever asks, and signs what it is sent. `more`: what else is in its answer. */
function vouching(room: RoomTimeline, creator: UserId, more?: () => ReadableStream<Uint8Array>) {
  const honest = residentOf(room)
  const server = serverNameOf(creator)
  return {
    ...honest,
    '/make_join/': ({ url }: { url: URL }) => {
      const sender = user(decodeURIComponent(url.pathname.split('/').at(-1) ?? ''))
      const content = { membership: 'join', join_authorised_via_users_server: creator }
      const {
        hashes: _,
        signatures: __,
        event_id: ___,
        ...event
      } = room.draft('m.room.member', sender, content, sender).json
      return Response.json({ room_version: '11', event })
    },
    '/send_join/': ({ body }: { body: JsonObject }) => {
      const event = signed(room, creator, body)
      const state = [...room.state.values()].map((id) => room.lookupAny(id)?.pdu.json ?? {})
      if (!more) return Response.json({ origin: server, event, state, auth_chain: state })
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
      const end = new TextEncoder().encode(`],"auth_chain":[],"event":${JSON.stringify(event)}}`)
      void more()
        .pipeTo(writable, { preventClose: true })
        .then(async () => {
          const writer = writable.getWriter()
          await writer.write(end)
          await writer.close()
        })
        .catch(() => undefined)
      return new Response(readable)
    },
  }
}

/** The beginning of an answer with a state of so many megabytes. */
function largeState(megabytes: number): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const chunk = encoder.encode(`{"x":"${'y'.repeat(1024 * 1024 - 9)}"},`)
  let left = megabytes
  return new ReadableStream({
    start: (controller) => controller.enqueue(encoder.encode('{"state":[')),
    pull(controller) {
      left -= 1
      controller.enqueue(left > 0 ? chunk : encoder.encode('{}'))
      if (left <= 0) controller.close()
    },
  })
}

const join = (who: User, room: RoomTimeline) => who.post(`/join/${encodeURIComponent(room.roomId)}`)
const memberOf = async (room: RoomTimeline, who: User) =>
  (await fullState(alice, room.roomId)).find(
    ({ type, state_key }) => type === 'm.room.member' && state_key === who.userId,
  )

it('succeed by the word of that server', async () => {
  const { room, creator } = await restricted()
  serversAnswer(vouching(room, creator))
  await ok(join(bob, room))
  expect((await memberOf(room, bob))?.content).toMatchObject({
    membership: 'join',
    join_authorised_via_users_server: creator,
  })
})

it('take only the event from an answer that has the state of a very large room', async () => {
  const { room, creator } = await restricted()
  serversAnswer(vouching(room, creator, () => largeState(70)))
  await ok(join(bob, room))
  expect((await memberOf(room, bob))?.content).toMatchObject({ membership: 'join' })
})

it('fail where nobody signed, and where the answer breaks off', async () => {
  const { room, creator } = await restricted()
  const answers = vouching(room, creator)
  serversAnswer({ ...answers, '/send_join/': ({ body }) => Response.json({ event: body, state: [], auth_chain: [] }) })
  expect(await join(bob, room)).toMatchObject(refused(400, 'M_UNABLE_TO_AUTHORISE_JOIN'))
  serversAnswer({ ...answers, '/send_join/': () => new Response('{"state":[{"type":"m.room.create"') })
  expect(await join(bob, room)).toMatchObject(refused(400, 'M_UNABLE_TO_AUTHORISE_JOIN'))
  expect(await memberOf(room, bob)).toBeUndefined()
  expect(isObject(await ok(alice.get(at(room.roomId, '/joined_members'))))).toBe(true)
})
