/** How people come into a room of another server, and out of it: joins, invites, knocks, restricted rooms, bans. */
import { beforeAll, describe, expect, test, vi } from 'vitest'

import {
  agree,
  at,
  createRoom,
  everyWay,
  fieldOf,
  forbidden,
  hears,
  inRoom,
  join,
  knock,
  leave,
  membership,
  patience,
  type Person,
  person,
  say,
  sees,
  setState,
  stateOf,
  told,
  treat,
} from './people.ts'

describe.each(everyWay)(told, ({ version, of, from }) => {
  let alice: Person
  let dave: Person
  let bob: Person
  let carol: Person

  beforeAll(async () => {
    ;[alice, dave] = [await person(of, 'alice'), await person(of, 'dave')]
    ;[bob, carol] = [await person(from, 'bob'), await person(from, 'carol')]
  })

  const room = (body: object) => createRoom(alice, { room_version: version, ...body })

  const invitesOf = async (who: Person) => {
    const { json } = await who.call('GET', '/sync?timeout=0')
    return Object.keys(Object(at(json, 'rooms', 'invite')))
  }

  test('a public room, by its ID and by its alias', async () => {
    const roomId = await room({ preset: 'public_chat', room_alias_name: `lobby-${version}`, name: 'The lobby' })
    await join(bob, roomId, alice)
    await sees(alice, roomId, bob, 'join')
    await carol.call('POST', `/join/${encodeURIComponent(`#lobby-${version}:${alice.server.name}`)}`, {})
    await sees(alice, roomId, carol, 'join')
    expect(await stateOf(bob, roomId, 'm.room.name')).toEqual({ name: 'The lobby' })
    await agree(roomId, alice, bob)
  })

  test('an invite, seen with the name of the room and accepted', async () => {
    const roomId = await room({ preset: 'private_chat', name: 'By invitation' })
    await forbidden(join(bob, roomId, alice))
    await treat(alice, 'invite', roomId, bob)
    await vi.waitFor(async () => expect(await invitesOf(bob)).toContain(roomId), patience)
    const { json } = await bob.call('GET', '/sync?timeout=0')
    const stripped = at(json, 'rooms', 'invite', roomId, 'invite_state', 'events')
    expect(stripped).toContainEqual(
      expect.objectContaining({ type: 'm.room.name', content: { name: 'By invitation' } }),
    )
    await join(bob, roomId, alice)
    await sees(alice, roomId, bob, 'join')
    // Somebody of the joining side may ask the next one in, of either server.
    await treat(bob, 'invite', roomId, dave)
    await vi.waitFor(async () => expect(await invitesOf(dave)).toContain(roomId), patience)
    await join(dave, roomId, alice)
    await sees(bob, roomId, dave, 'join')
    await agree(roomId, alice, bob)
  })

  test('an invite that is rejected, and one that is withdrawn', async () => {
    const roomId = await room({ preset: 'private_chat' })
    await treat(alice, 'invite', roomId, bob)
    await vi.waitFor(async () => expect(await invitesOf(bob)).toContain(roomId), patience)
    await leave(bob, roomId)
    await sees(alice, roomId, bob, 'leave')
    expect(await invitesOf(bob)).not.toContain(roomId)

    await treat(alice, 'invite', roomId, carol)
    await vi.waitFor(async () => expect(await invitesOf(carol)).toContain(roomId), patience)
    await treat(alice, 'kick', roomId, carol)
    await vi.waitFor(async () => expect(await invitesOf(carol)).not.toContain(roomId), patience)
    await forbidden(join(carol, roomId, alice))
  })

  test('a knock that is answered by an invite, one that is taken back, and one that is denied', async () => {
    const joinRules = { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }
    const roomId = await room({ preset: 'private_chat', initial_state: [joinRules] })
    await knock(bob, roomId, alice)
    await sees(alice, roomId, bob, 'knock')
    await treat(alice, 'invite', roomId, bob)
    await vi.waitFor(async () => expect(await invitesOf(bob)).toContain(roomId), patience)
    await join(bob, roomId, alice)
    await sees(alice, roomId, bob, 'join')

    await knock(carol, roomId, alice)
    await sees(alice, roomId, carol, 'knock')
    await leave(carol, roomId)
    await sees(alice, roomId, carol, 'leave')
    await knock(carol, roomId, alice)
    await sees(alice, roomId, carol, 'knock')
    await treat(alice, 'kick', roomId, carol)
    await sees(bob, roomId, carol, 'leave')
    await agree(roomId, alice, bob)
  })

  test('a restricted room, open to members of another, on the word of somebody in it', async () => {
    const club = await room({ preset: 'public_chat' })
    const allow = [{ type: 'm.room_membership', room_id: club }]
    const joinRules = { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'restricted', allow } }
    const roomId = await room({ preset: 'private_chat', initial_state: [joinRules] })
    await forbidden(join(bob, roomId, alice))
    await join(bob, club, alice)
    await join(bob, roomId, alice)
    await sees(alice, roomId, bob, 'join')
    const member = await stateOf(alice, roomId, 'm.room.member', bob.userId)
    expect(fieldOf(member, 'join_authorised_via_users_server')).toBe(alice.userId)
    // The server of the joining side has nobody who may invite, so that it has to ask.
    await join(carol, club, alice)
    await sees(alice, club, carol, 'join')
    await join(carol, roomId, alice)
    await sees(alice, roomId, carol, 'join')
    await agree(roomId, alice, bob)
  })

  test('a leave and a return, with what was said and changed in between', async () => {
    const roomId = await room({ preset: 'public_chat', name: 'before' })
    await join(bob, roomId, alice)
    await sees(alice, roomId, bob, 'join')
    await say(alice, roomId, 'one')
    await hears(bob, roomId, 'one')
    await leave(bob, roomId)
    await sees(alice, roomId, bob, 'leave')
    await say(alice, roomId, 'two')
    await setState(alice, roomId, 'm.room.name', { name: 'after' })
    await say(alice, roomId, 'three')
    await join(bob, roomId, alice)
    await sees(alice, roomId, bob, 'join')
    expect(await stateOf(bob, roomId, 'm.room.name')).toEqual({ name: 'after' })
    await hears(bob, roomId, 'two')
    await say(bob, roomId, 'four')
    await hears(alice, roomId, 'four')
    await agree(roomId, alice, bob)
  })

  test('a kick and a ban, by either side', async () => {
    const roomId = await room({ preset: 'public_chat' })
    await join(bob, roomId, alice)
    await join(carol, roomId, alice)
    await join(dave, roomId, alice)
    await sees(alice, roomId, carol, 'join')
    await sees(bob, roomId, dave, 'join')
    await treat(alice, 'kick', roomId, carol)
    await sees(bob, roomId, carol, 'leave')
    await forbidden(carol.call('PUT', inRoom(roomId, '/send/m.room.message/late'), { body: 'x' }))
    await treat(alice, 'ban', roomId, carol)
    await sees(bob, roomId, carol, 'ban')
    await forbidden(join(carol, roomId, alice))

    const levels = await stateOf(alice, roomId, 'm.room.power_levels')
    const users = { ...Object(fieldOf(levels, 'users')), [bob.userId]: 50 }
    await setState(alice, roomId, 'm.room.power_levels', { ...Object(levels), users })
    await vi.waitFor(async () => {
      expect(at(await stateOf(bob, roomId, 'm.room.power_levels'), 'users', bob.userId)).toBe(50)
    }, patience)
    await treat(bob, 'unban', roomId, carol)
    await sees(alice, roomId, carol, 'leave')
    await join(carol, roomId, alice)
    await sees(alice, roomId, carol, 'join')
    await treat(bob, 'ban', roomId, dave)
    await sees(alice, roomId, dave, 'ban')
    expect(await membership(bob, roomId, alice)).toBe('join')
    await agree(roomId, alice, bob)
  })
})
