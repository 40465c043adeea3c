/** What other servers ask of ours besides events: keys, its version, aliases, profiles, spaces; and invites in the older form. */
import type { JsonObject } from '#protocol/json/json.ts'
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, registerUser, type User } from '../client.ts'
import { createRoom, ok, refused, setState } from '../rooms/rooms.ts'
import { FarRoom } from './far-room.ts'
import { joinOver, otherServer, type OtherServer, serversAnswer, signedBy } from './other-server.ts'

let alice: User
let other: OtherServer
beforeAll(async () => {
  alice = await registerUser('asked-alice')
  other = await otherServer('asking.test:8448')
  serversAnswer({})
})
const encoded = encodeURIComponent

describe('keys', () => {
  interface Keys {
    readonly server_name: string
    readonly verify_keys: JsonObject
    readonly valid_until_ts: number
    readonly signatures: JsonObject
  }

  test('of our own are given to anybody', async () => {
    const keys = await ok(anonymous.get<Keys>('/_matrix/key/v2/server'))
    expect(keys).toMatchObject({ server_name: 'test.local', valid_until_ts: expect.any(Number) })
    expect(Object.keys(keys.signatures)).toEqual(['test.local'])
    expect(Object.keys(keys.verify_keys)).toHaveLength(1)
    const [keyId = ''] = Object.keys(keys.verify_keys)
    expect((await ok(anonymous.get<Keys>(`/_matrix/key/v2/server/${encoded(keyId)}`))).verify_keys).toEqual(
      keys.verify_keys,
    )
  })

  test('are told of by us as a notary, our own among them', async () => {
    const one = await ok(anonymous.get<{ server_keys: Keys[] }>('/_matrix/key/v2/query/test.local'))
    expect(one.server_keys).toMatchObject([{ server_name: 'test.local' }])
    const asked = { server_keys: { 'test.local': {} } }
    const many = await ok(anonymous.post<{ server_keys: Keys[] }>('/_matrix/key/v2/query', asked))
    expect(many.server_keys).toMatchObject([{ server_name: 'test.local' }])
  })
})

test('what runs here', async () => {
  const { server } = await ok(anonymous.get<{ server: JsonObject }>('/_matrix/federation/v1/version'))
  expect(server).toEqual({ name: 'Hearth', version: expect.any(String) })
})

test('where an alias leads, and what a user is called', async () => {
  const roomId = await createRoom(alice, { preset: 'public_chat', room_alias_name: 'asked-for' })
  await joinOver(other, `@guest:${other.name}`, roomId)
  const found = await ok(other.ask('GET', `/query/directory?room_alias=${encoded('#asked-for:test.local')}`))
  expect(found).toEqual({ room_id: roomId, servers: ['test.local', other.name] })
  expect(await ok(other.ask('GET', `/query/profile?user_id=${encoded(alice.userId)}`))).toEqual({
    displayname: 'asked-alice',
  })
  for (const [path, status, errcode] of [
    ['/query/directory?room_alias=nothing', 400, 'M_INVALID_PARAM'],
    ['/query/directory?room_alias=%23nowhere%3Atest.local', 404, 'M_NOT_FOUND'],
    [`/query/profile?user_id=${encoded('@nobody:test.local')}`, 404, 'M_NOT_FOUND'],
    ['/query/weather', 404, 'M_UNRECOGNIZED'],
  ] as const) {
    expect(await other.ask('GET', path)).toMatchObject(refused(status, errcode))
  }
})

test('what is in a space, as far as they may see', async () => {
  const space = await createRoom(alice, { preset: 'public_chat', name: 'Space', creation_content: { type: 'm.space' } })
  const [open, closed] = [await createRoom(alice, { preset: 'public_chat', name: 'Open' }), await createRoom(alice)]
  for (const child of [open, closed]) await ok(setState(alice, space, 'm.space.child', { via: ['test.local'] }, child))
  const told = await ok(
    other.ask<{ room: JsonObject; children: JsonObject[]; inaccessible_children: string[] }>(
      'GET',
      `/hierarchy/${encoded(space)}`,
    ),
  )
  expect(told.room).toMatchObject({ room_id: space, name: 'Space' })
  expect(told.children).toMatchObject([{ room_id: open, name: 'Open' }])
  expect(told.inaccessible_children).toEqual([closed])
})

test.each(['1', '2'] as const)('an invite in the older form, to a room of version %s', async (version) => {
  const room = new FarRoom(other, version)
  const template = room.build({ type: 'm.room.member', stateKey: alice.userId, content: { membership: 'invite' } })
  const event = signedBy(other, version, template.json)
  const place = `${encoded(room.roomId)}/${encoded(event.event_id)}`
  const answer = await other.ask<[number, { event: { signatures: JsonObject } }]>('PUT', `/invite/${place}`, event.json)
  // Which version it is, the older form does not say: 1 is meant.
  expect([answer.status, answer.body[0]]).toEqual([200, 200])
  expect(Object.keys(answer.body[1].event.signatures)).toEqual(expect.arrayContaining(['test.local', other.name]))
  const { rooms } = await ok(alice.get<{ rooms: { invite: object } }>('/sync'))
  expect(Object.keys(rooms.invite)).toContain(room.roomId)
})

test('this server is no policy server', async () => {
  expect(await anonymous.get('/.well-known/matrix/policy_server')).toMatchObject(refused(404, 'M_NOT_FOUND'))
})
