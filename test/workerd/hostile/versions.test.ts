/**
 * Servers that say of a room that it is of another version than it is: in invites, which nobody can check as long as this
 * server is not in the room. Security cases 12, 23.
 */
import { buildEvent } from '#protocol/events/build-event.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { type RoomVersion, rulesOf } from '#protocol/room-versions/rules.ts'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { keyOf, type RoomTimeline, timeline } from '../../dsl/room-timeline.ts'
import { registerUser, type User } from '../client.ts'
import { at, type ClientEvent, ok, refused } from '../rooms/rooms.ts'
import { sync } from '../sync/syncing.ts'
import { askAs, residentOf, serversAnswer, stranger, transact } from './hostile-server.ts'

let alice: User
let bob: User
let count = 0
beforeAll(async () => {
  bob = await registerUser('hv_bob')
})
beforeEach(async () => {
  serversAnswer({})
  alice = await registerUser(`hv_alice${(count += 1)}`)
})
afterEach(() => void serversAnswer({}))

/** An invite as somebody's server sends it, who need not be in the room. */
function invite({ roomId, lastId }: RoomTimeline, version: RoomVersion, sender: UserId, target: User) {
  const rules = rulesOf(version)
  if (!rules) throw new Error(version)
  const server = serverNameOf(sender)
  const draft = {
    rules,
    roomId,
    type: 'm.room.member',
    stateKey: target.userId,
    sender,
    content: { membership: 'invite' },
    prevEvents: [{ event_id: lastId, depth: 5 }],
    authEvents: [],
    originServerTs: 1_700_000_000_000 + (count += 1),
  }
  const built = buildEvent(draft, server, keyOf(server), nodeCrypto)
  if (!built.ok) throw new Error(built.message)
  const { json, event_id } = built.pdu
  const path = `/_matrix/federation/v2/invite/${encodeURIComponent(roomId)}/${encodeURIComponent(event_id)}`
  return askAs(server, 'PUT', path, { room_version: version, event: json, invite_room_state: [] })
}

const invitesOf = async (reader: User) => Object.keys((await sync(reader)).rooms?.invite ?? {})

describe.each<RoomVersion>(['1', '3', '10'])('an invite that says the room is of version %s', (lie) => {
  it('keeps nobody out of it, and what comes from it is read as what it is', async () => {
    const [creator, liar] = [stranger(), stranger()]
    const room = timeline('11').publicChat({ creator })
    await ok(invite(room, lie, liar, alice))
    await ok(invite(room, lie, liar, bob))
    expect(await invitesOf(bob)).toContain(room.roomId)
    // An isolate asks for the version, and remembers it.
    await transact(serverNameOf(liar), { pdus: [room.draft('m.room.message', undefined, { body: 'x' }, creator).json] })
    const asked = serversAnswer(residentOf(room))
    await ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?server_name=${serverNameOf(creator)}`))
    const join = parsePdu(room.rules, asked.find(({ url }) => url.pathname.includes('/send_join/'))?.body, nodeCrypto)
    if (!join.ok) throw new Error(join.message)
    room.append(join.pdu)
    await transact(serverNameOf(creator), { pdus: [room.message(creator, 'welcome').last.pdu.json] })
    const { chunk } = await ok<{ chunk: ClientEvent[] }>(alice.get(at(room.roomId, '/messages?dir=b&limit=5')))
    expect(chunk.map(({ content }) => content['body'])).toContain('welcome')
    // The room knows nothing of an invite of Bob.
    expect(await invitesOf(bob)).not.toContain(room.roomId)
  })

  it('keeps nobody from inviting once it was declined', async () => {
    const [creator, liar] = [stranger(), stranger()]
    const room = timeline('11').publicChat({ creator })
    await ok(invite(room, lie, liar, alice))
    expect(await invite(room, '11', creator, alice)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    await ok(alice.post(at(room.roomId, '/leave'), {}))
    expect(await invitesOf(alice)).not.toContain(room.roomId)
    await ok(invite(room, '11', creator, alice))
    expect(await invitesOf(alice)).toContain(room.roomId)
  })
})

it('a room that this server is in is of its own version, whatever an invite says', async () => {
  const creator = stranger()
  const room = timeline('11').publicChat({ creator })
  serversAnswer(residentOf(room))
  await ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?server_name=${serverNameOf(creator)}`))
  expect(await invite(room, '10', creator, bob)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
})
