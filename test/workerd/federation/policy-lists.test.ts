/** Policy lists against other servers: their invites, their joins and knocks, and our invites to them. */
import type { JsonObject } from '#protocol/json/json.ts'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { registerAdmin } from '../people/admins.ts'
import { at, createRoom, ok, refused, setState } from '../rooms/rooms.ts'
import { FarRoom } from './far-room.ts'
import { joinOver, otherServer, type OtherServer, serversAnswer, signedBy } from './other-server.ts'

const lists = '/_hearth/admin/policy_lists'
const forbidden = refused(403, 'M_FORBIDDEN')
let admin: User
let bob: User
let other: OtherServer
let listId: string
beforeAll(async () => {
  admin = await registerAdmin('far-policy-admin')
  bob = await registerUser('far-policy-bob')
  other = await otherServer('policed.test:8448')
  listId = await createRoom(admin)
  await ok(admin.post(lists, { room: listId }))
})
afterEach(() => {
  vi.restoreAllMocks()
})

let keys = 0
async function whileBanned(kind: string, entity: string, work: () => Promise<void>): Promise<void> {
  const [type, key] = [`m.policy.rule.${kind}`, `rule ${(keys += 1)}`]
  await ok(setState(admin, listId, type, { entity, recommendation: 'm.ban' }, key))
  await work()
  await ok(setState(admin, listId, type, {}, key))
}

function inviteBob(room: FarRoom) {
  const template = room.build({ type: 'm.room.member', stateKey: bob.userId, content: { membership: 'invite' } })
  const event = signedBy(other, room.version, template.json)
  const [create] = [...room.events.values()].map(({ pdu }) => pdu.json)
  const place = `${encodeURIComponent(room.roomId)}/${encodeURIComponent(event.event_id)}`
  const body: JsonObject = { room_version: room.version, event: event.json, invite_room_state: create ? [create] : [] }
  return other.ask('PUT', `/_matrix/federation/v2/invite/${place}`, body)
}
const invited = async () =>
  Object.keys((await ok(bob.get<{ rooms?: { invite?: object } }>('/sync'))).rooms?.invite ?? {})

test('an invite is refused by the name of its sender, of their server, of the room', async () => {
  const room = new FarRoom(other, '11')
  await whileBanned('user', room.creator, async () => {
    expect(await inviteBob(room)).toMatchObject(forbidden)
  })
  await whileBanned('server', 'policed.t?st', async () => {
    expect(await inviteBob(room)).toMatchObject(forbidden)
  })
  await whileBanned('room', room.roomId, async () => {
    expect(await inviteBob(room)).toMatchObject(forbidden)
  })
  expect(await invited()).toEqual([])
  await ok(inviteBob(room))
  expect(await invited()).toEqual([room.roomId])
  // Invited before the room was banned: they do not come in.
  await whileBanned('room', room.roomId, async () => {
    expect(await bob.post(at(room.roomId, '/join'))).toMatchObject(forbidden)
  })
})

test('who is banned neither joins our rooms nor knocks, and leaves them all the same', async () => {
  serversAnswer({})
  const open = await createRoom(bob, { preset: 'public_chat' })
  const closed = await createRoom(bob)
  await ok(setState(bob, closed, 'm.room.join_rules', { join_rule: 'knock' }))
  const user = `@guest:${other.name}`
  const place = (roomId: string) => `${encodeURIComponent(roomId)}/${encodeURIComponent(user)}`
  const made = await ok(other.ask<{ event: JsonObject }>('GET', `/make_join/${place(open)}?ver=12`))
  await whileBanned('server', 'policed.test', async () => {
    expect(await other.ask('GET', `/make_join/${place(open)}?ver=12`)).toMatchObject(forbidden)
    expect(await other.ask('GET', `/make_knock/${place(closed)}?ver=12`)).toMatchObject(forbidden)
    // A template from before helps nobody.
    const pdu = signedBy(other, '12', made.event)
    const path = `/_matrix/federation/v2/send_join/${encodeURIComponent(open)}/${encodeURIComponent(pdu.event_id)}`
    expect(await other.ask('PUT', path, pdu.json)).toMatchObject(forbidden)
  })
  await joinOver(other, user, open)
  await whileBanned('user', '@g*:policed.test:*', async () => {
    await ok(other.ask('GET', `/make_leave/${place(open)}`))
  })
})

test('nobody of theirs is invited: their server hears nothing', async () => {
  const roomId = await createRoom(bob)
  const asked = serversAnswer({ [other.name]: () => ({ pdus: {} }) })
  await whileBanned('server', '*.test', async () => {
    expect(await bob.post(at(roomId, '/invite'), { user_id: `@guest:${other.name}` })).toMatchObject(forbidden)
  })
  expect(asked.filter((line) => line.includes('/invite/'))).toEqual([])
})

test('a list of another server, with thousands of rules, is followed by joining it', async () => {
  const room = new FarRoom(other, '11')
  room.add({ type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'public' } })
  for (let at = 0; at < 1_000; at++) {
    const content = { entity: at % 2 === 0 ? `@spam-${at}:*` : `@x${at}:spam.test`, recommendation: 'm.ban' }
    room.add({ type: 'm.policy.rule.user', stateKey: `r${at}`, content })
  }
  serversAnswer({ [other.name]: (asked) => room.answer(asked) })
  await ok(admin.post(lists, { room: room.roomId, via: [other.name] }))
  const check = (user: string) => ok(admin.get(`${lists}/check?entity=${encodeURIComponent(user)}`))
  expect(await check('@spam-998:somewhere.test')).toMatchObject({ banned: true, room_id: room.roomId })
  expect(await check('@x999:spam.test')).toMatchObject({ banned: true })
  expect(await check('@x998:spam.test')).toEqual({ banned: false })
})
