/** The state of a room that comes with invites and knocks, both ways. Spec: server-server-api/#inviting-to-a-room, #knocking-rooms. */
import { parsePdu } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { rulesOf, type RoomVersion } from '#protocol/room-versions/rules.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { registerUser, type User } from '../client.ts'
import { at, createRoom, ok, refused, setState } from '../rooms/rooms.ts'
import { FarRoom } from './far-room.ts'
import { type Asked, otherServer, type OtherServer, serversAnswer, signedBy } from './other-server.ts'

let alice: User
let bob: User
let other: OtherServer
beforeAll(async () => {
  alice = await registerUser('told-alice')
  bob = await registerUser('told-bob')
  other = await otherServer('told.test:8448')
})
afterEach(() => {
  vi.restoreAllMocks()
})

function parsed(version: RoomVersion, events: unknown): Pdu[] {
  const rules = rulesOf(version)
  if (!rules || !Array.isArray(events)) throw new TypeError('no events')
  return events.map((event) => {
    const result = parsePdu(rules, event, nodeCrypto)
    if (!result.ok) throw new Error(result.message)
    return result.pdu
  })
}

describe.each(['11', '12'] as const)('in room version %s', (version) => {
  const named = { room_version: version, preset: 'public_chat', name: 'Named' }

  test('who we invite is told by full events', async () => {
    const roomId = await createRoom(alice, named)
    const bodies: JsonObject[] = []
    serversAnswer({
      [other.name]: ({ path, body = {} }: Asked) => {
        const [event, rules] = [own(body, 'event'), rulesOf(version)]
        if (!path.includes('/v2/invite/') || !isObject(event) || !rules) return { pdus: {} }
        bodies.push(body)
        return { event: signEvent(rules, event, other.name, other.identity.key, nodeCrypto) }
      },
    })
    await ok(alice.post(at(roomId, '/invite'), { user_id: `@guest:${other.name}` }))
    const state = parsed(version, bodies[0] && own(bodies[0], 'invite_room_state'))
    expect(state.map(({ type }) => type)).toEqual([
      'm.room.create',
      'm.room.name',
      'm.room.join_rules',
      'm.room.member',
    ])
    expect(state.map(({ room_id }) => room_id)).toEqual(state.map(() => roomId))
  })

  test('who knocks on our rooms is told by full events', async () => {
    const roomId = await createRoom(alice, named)
    await ok(setState(alice, roomId, 'm.room.join_rules', { join_rule: 'knock' }))
    const [id, guest] = [encodeURIComponent(roomId), encodeURIComponent(`@knocker:${other.name}`)]
    const made = await ok(other.ask<{ event: JsonObject }>('GET', `/make_knock/${id}/${guest}?ver=${version}`))
    const knock = signedBy(other, version, made.event)
    const place = `/send_knock/${id}/${encodeURIComponent(knock.event_id)}`
    const { knock_room_state: told } = await ok(other.ask<{ knock_room_state: unknown }>('PUT', place, knock.json))
    expect(parsed(version, told).map(({ type }) => type)).toContain('m.room.create')
  })

  test('our users are shown the stripped form of it, when invited and when knocking', async () => {
    const room = new FarRoom(other, version)
    const name = room.add({ type: 'm.room.name', stateKey: '', content: { name: 'Far' } })
    const [create] = [...room.events.values()].map(({ pdu }) => pdu)
    await ok(invite(room, [create?.json, name.json]))
    const shown = [
      { type: 'm.room.create', state_key: '', sender: room.creator, content: { room_version: version } },
      { type: 'm.room.name', state_key: '', sender: room.creator, content: { name: 'Far' } },
    ]
    const { rooms } = await ok(bob.get<{ rooms: { invite: Record<string, Section> } }>('/sync'))
    expect(rooms.invite[room.roomId]?.invite_state?.events).toEqual(expect.arrayContaining(shown))
    const knockable = new FarRoom(other, version)
    serversAnswer({
      [other.name]: (asked) => {
        if (asked.path.includes('/make_knock/')) {
          const content = { membership: 'knock' }
          const template = knockable.build({ type: 'm.room.member', stateKey: knockable.creator, content })
          return { room_version: version, event: template.json }
        }
        const forged = { ...name.json, content: { name: 'forged' }, room_id: knockable.roomId }
        const [first] = [...knockable.events.values()].map(({ pdu }) => pdu.json)
        return { knock_room_state: [first, forged, 7, { type: 'm.room.topic' }] }
      },
    })
    await ok(alice.post(`/knock/${encodeURIComponent(knockable.roomId)}?via=${other.name}`))
    const synced = await ok(alice.get<{ rooms: { knock: Record<string, Section> } }>('/sync'))
    const types = synced.rooms.knock[knockable.roomId]?.knock_state?.events.map(({ type }) => type)
    // What cannot be right is left out; older room versions had no such rule.
    expect(types).toEqual(
      version === '12' ? ['m.room.create', 'm.room.member'] : ['m.room.create', 'm.room.name', 'm.room.member'],
    )
  })
})

interface Section {
  readonly invite_state?: { readonly events: JsonObject[] }
  readonly knock_state?: { readonly events: JsonObject[] }
}

function invite(room: FarRoom, state: unknown[]) {
  const template = room.build({ type: 'm.room.member', stateKey: bob.userId, content: { membership: 'invite' } })
  const event = signedBy(other, room.version, template.json)
  const place = `${encodeURIComponent(room.roomId)}/${encodeURIComponent(event.event_id)}`
  const invite_room_state = JSON.parse(JSON.stringify(state))
  const body: JsonObject = { room_version: room.version, event: event.json, invite_room_state }
  return other.ask('PUT', `/_matrix/federation/v2/invite/${place}`, body)
}

describe('an invite to a room of version 12', () => {
  let room: FarRoom
  let create: JsonObject
  beforeAll(() => {
    room = new FarRoom(other, '12')
    const [first] = [...room.events.values()].map(({ pdu }) => pdu.json)
    create = first ?? {}
  })

  test('is refused without the create event, or with events that are malformed, forged or of another room', async () => {
    const elsewhere = new FarRoom(other, '12')
    const foreign = elsewhere.add({ type: 'm.room.name', stateKey: '', content: { name: 'x' } })
    const [theirCreate] = [...elsewhere.events.values()].map(({ pdu }) => pdu.json)
    const name = room.add({ type: 'm.room.name', stateKey: '', content: { name: 'Far' } }).json
    const stripped = { type: 'm.room.name', state_key: '', sender: room.creator, content: { name: 'Far' } }
    const unsigned = { ...name, signatures: {} }
    for (const state of [
      [],
      [name],
      [theirCreate, name],
      [create, stripped],
      [create, foreign.json],
      [create, unsigned],
      [create, { ...name, origin_server_ts: 1 }],
      [create, null],
      Array.from({ length: 65 }, () => create),
    ]) {
      expect(await invite(room, state)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    }
    // A wrong content hash redacts the event.
    await ok(invite(room, [create, { ...name, content: { name: 'changed' } }]))
  })

  test('is taken where the keys of a server cannot be had any more: its events are left out', async () => {
    const gone = await otherServer('gone.test:8448')
    const name = room.add({ type: 'm.room.name', stateKey: '', content: { name: 'of the dead' } }).json
    const rules = rulesOf('12')
    if (!rules) throw new TypeError('12')
    const sender = `@late:${gone.name}`
    const key = { ...gone.identity.key, keyId: 'ed25519:unknown' as const }
    const dead = signEvent(rules, { ...name, sender, signatures: {} }, gone.name, key, nodeCrypto)
    serversAnswer({})
    await ok(invite(room, [create, dead]))
    const { rooms } = await ok(bob.get<{ rooms: { invite: Record<string, Section> } }>('/sync'))
    expect(JSON.stringify(rooms.invite[room.roomId])).not.toContain('of the dead')
  })
})
