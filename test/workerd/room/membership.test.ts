/** Who becomes what in a room: every change from every membership, conditions of restricted rooms, forgetting. */
import { type RoomVersion, roomVersions } from '#protocol/room-versions/rules.ts'
import { describe, expect, it } from 'vitest'
import type { MembershipRequest } from '../../../durable-objects/room/membership.ts'
import {
  alice,
  bob,
  carol,
  freshRoomId,
  join,
  makeRoom,
  publicRoom,
  rows,
  rules,
  stateContent,
  type TestRoom,
  user,
  userObject,
} from './rooms.ts'

const byBob = { sender: bob, target: bob } as const
const byAlice = { sender: alice, target: bob } as const
const byCarol = { sender: carol, target: bob } as const
type State = 'none' | 'invite' | 'join' | 'knock' | 'leave' | 'ban'

const actions = {
  'Bob joins': { ...byBob, membership: 'join' },
  'Bob leaves': { ...byBob, membership: 'leave' },
  'Bob knocks': { ...byBob, membership: 'knock' },
  'Alice invites Bob': { ...byAlice, membership: 'invite' },
  'Alice kicks Bob': { ...byAlice, membership: 'leave', action: 'kick' },
  'Alice bans Bob': { ...byAlice, membership: 'ban', action: 'ban' },
  'Alice unbans Bob': { ...byAlice, membership: 'leave', action: 'unban' },
  'Alice sets Bob to leave': { ...byAlice, membership: 'leave' },
  'Alice makes Bob join': { ...byAlice, membership: 'join' },
  'Carol, without power, kicks Bob': { ...byCarol, membership: 'leave', action: 'kick' },
  'Carol, without power, bans Bob': { ...byCarol, membership: 'ban', action: 'ban' },
  'Carol, without power, unbans Bob': { ...byCarol, membership: 'leave', action: 'unban' },
} as const satisfies Record<string, MembershipRequest>
type Name = keyof typeof actions
const names = Object.keys(actions).filter((name): name is Name => Object.hasOwn(actions, name))

/** `+` a new event, `=` already so, `-` refused. In a room that takes knocks, and to which nobody else is let in unasked. */
const table: Record<Name, Record<State, '+' | '=' | '-'>> = {
  'Bob joins': { none: '-', invite: '+', join: '=', knock: '-', leave: '-', ban: '-' },
  'Bob leaves': { none: '-', invite: '+', join: '+', knock: '+', leave: '=', ban: '-' },
  'Bob knocks': { none: '+', invite: '-', join: '-', knock: '=', leave: '+', ban: '-' },
  'Alice invites Bob': { none: '+', invite: '=', join: '-', knock: '+', leave: '+', ban: '-' },
  'Alice kicks Bob': { none: '-', invite: '+', join: '+', knock: '+', leave: '-', ban: '-' },
  'Alice bans Bob': { none: '+', invite: '+', join: '+', knock: '+', leave: '+', ban: '=' },
  'Alice unbans Bob': { none: '-', invite: '-', join: '-', knock: '-', leave: '-', ban: '+' },
  'Alice sets Bob to leave': { none: '+', invite: '+', join: '+', knock: '+', leave: '+', ban: '+' },
  'Alice makes Bob join': { none: '-', invite: '-', join: '-', knock: '-', leave: '-', ban: '-' },
  'Carol, without power, kicks Bob': { none: '-', invite: '-', join: '-', knock: '-', leave: '-', ban: '-' },
  'Carol, without power, bans Bob': { none: '-', invite: '-', join: '-', knock: '-', leave: '-', ban: '-' },
  'Carol, without power, unbans Bob': { none: '-', invite: '-', join: '-', knock: '-', leave: '-', ban: '-' },
}

/** How Bob gets to be that, and what the room's rules call it. */
const way: Record<State, readonly Name[]> = {
  none: [],
  invite: ['Alice invites Bob'],
  join: ['Alice invites Bob', 'Bob joins'],
  knock: ['Bob knocks'],
  leave: ['Alice invites Bob', 'Bob leaves'],
  ban: ['Alice bans Bob'],
}

async function roomWhereBobIs(version: RoomVersion, state: State): Promise<TestRoom> {
  const room = await makeRoom(version, {
    initialState: [
      {
        type: 'm.room.join_rules',
        state_key: '',
        content: { join_rule: rules(version).knocking ? 'knock' : 'invite' },
      },
    ],
  })
  const steps: MembershipRequest[] = [
    { sender: alice, target: carol, membership: 'invite' },
    { sender: carol, target: carol, membership: 'join' },
    ...way[state].map((name) => actions[name]),
  ]
  for (const step of steps) expect(await room.rpc.setMembership(step)).toMatchObject({ ok: true })
  return room
}

async function current(room: TestRoom) {
  const [row] = await rows<{ event_id: string; membership: string }>(
    room,
    'SELECT event_id, membership FROM current_state JOIN events ON nid = event_nid WHERE current_state.state_key = ?',
    bob,
  )
  return row
}

describe.each(roomVersions)('room version %s', (version) => {
  const states: State[] = rules(version).knocking
    ? ['none', 'invite', 'join', 'knock', 'leave', 'ban']
    : ['none', 'invite', 'join', 'leave', 'ban']

  it.each(states)('from membership %s', async (state) => {
    let room = await roomWhereBobIs(version, state)
    for (const name of names) {
      const request: MembershipRequest = actions[name]
      const expected = table[name][state]
      const isUnknown = request.membership === 'knock' && !rules(version).knocking
      const before = await current(room)
      const answer = await room.rpc.setMembership(request)
      const now = await current(room)
      const sign = !answer.ok ? '-' : answer.event_id === before?.event_id ? '=' : '+'
      expect([name, sign]).toEqual([name, isUnknown ? '-' : expected])
      if (answer.ok) expect(now).toEqual({ event_id: answer.event_id, membership: request.membership })
      else {
        expect(answer.reason).toBe('event_not_allowed')
        expect(now).toEqual(before)
      }
      if (sign === '+') room = await roomWhereBobIs(version, state)
    }
  })
})

describe('the content of a membership', () => {
  it('holds the profile, the reason and whether it is for a direct chat', async () => {
    const room = await makeRoom()
    const profile = { displayname: 'Bob', avatar_url: 'mxc://test.local/bob' }
    await room.rpc.setMembership({ ...byAlice, membership: 'invite', profile, reason: 'tea', isDirect: true })
    const content = { membership: 'invite', ...profile, reason: 'tea', is_direct: true }
    expect(await stateContent(room, 'm.room.member', bob)).toEqual(content)
  })

  it('is what the client says where it says something, but for the membership itself', async () => {
    const room = await publicRoom()
    const content = { displayname: 'Bobby', membership: 'ban', 'org.example.mood': 'fine' }
    await room.rpc.setMembership({ ...byBob, membership: 'join', profile: { displayname: 'Bob' }, content })
    const stored = { membership: 'join', displayname: 'Bobby', 'org.example.mood': 'fine' }
    expect(await stateContent(room, 'm.room.member', bob)).toEqual(stored)
  })

  it('changes with the profile of who is joined already', async () => {
    const room = await publicRoom()
    const first = await room.rpc.setMembership({ ...byBob, membership: 'join', profile: { displayname: 'Bob' } })
    const same = await room.rpc.setMembership({ ...byBob, membership: 'join', profile: { displayname: 'Bob' } })
    const other = await room.rpc.setMembership({ ...byBob, membership: 'join', profile: { displayname: 'Rob' } })
    expect(same).toEqual(first)
    expect(other).not.toEqual(first)
    expect(await stateContent(room, 'm.room.member', bob)).toEqual({ membership: 'join', displayname: 'Rob' })
  })
})

const restricting = roomVersions.filter((version) => rules(version).restrictedJoins)
describe.each(restricting)('a restricted room of version %s', (version) => {
  const club = freshRoomId()
  const restricted = (joinRule: string) =>
    makeRoom(version, {
      initialState: [
        {
          type: 'm.room.join_rules',
          state_key: '',
          content: {
            join_rule: joinRule,
            allow: [{ type: 'org.example.moon' }, 7, { type: 'm.room_membership', room_id: club }],
          },
        },
      ],
    })
  const joinRules = rules(version).knockRestricted ? ['restricted', 'knock_restricted'] : ['restricted']

  it.each(joinRules)('%s: lets in who is in one of its rooms, by the word of a member', async (joinRule) => {
    const room = await restricted(joinRule)
    expect(await room.rpc.joinRequirements({ user: bob })).toEqual({ ok: true, allowedRooms: [club] })
    const wish = { ...byBob, membership: 'join' } as const
    expect(await room.rpc.setMembership(wish)).toMatchObject({ ok: false, reason: 'event_not_allowed' })
    const elsewhere = await room.rpc.setMembership({ ...wish, memberOf: [freshRoomId()] })
    expect(elsewhere).toMatchObject({ ok: false, reason: 'event_not_allowed' })
    const joined = await room.rpc.setMembership({ ...wish, memberOf: [freshRoomId(), club] })
    expect(joined).toMatchObject({ ok: true })
    const content = { membership: 'join', join_authorised_via_users_server: alice }
    expect(await stateContent(room, 'm.room.member', bob)).toEqual(content)
    // Being in, Bob needs nobody's word any more; and joining again is no event.
    expect(await room.rpc.joinRequirements({ user: bob })).toEqual({ ok: true, allowedRooms: null })
    expect(await room.rpc.setMembership(wish)).toEqual(joined)
    expect(await room.rpc.setMembership({ ...wish, profile: { displayname: 'Bob' } })).toMatchObject({ ok: true })
    expect(await stateContent(room, 'm.room.member', bob)).toEqual({ membership: 'join', displayname: 'Bob' })
  })

  it('does not let clients vouch for themselves', async () => {
    const room = await restricted('restricted')
    const content = { join_authorised_via_users_server: alice }
    const joined = await room.rpc.setMembership({ ...byBob, membership: 'join', content })
    expect(joined).toMatchObject({ ok: false, reason: 'event_not_allowed' })
    const asState = { membership: 'join', ...content }
    const sent = await room.rpc.sendEvent({ sender: bob, type: 'm.room.member', stateKey: bob, content: asState })
    expect(sent).toMatchObject({ ok: false, reason: 'event_not_allowed' })
    expect(await stateContent(room, 'm.room.member', bob)).toBeUndefined()
  })

  it('keeps out whoever is banned, and asks nothing of whoever is invited', async () => {
    const room = await restricted('restricted')
    await room.rpc.setMembership({ ...byAlice, membership: 'ban' })
    const banned = await room.rpc.setMembership({ ...byBob, membership: 'join', memberOf: [club] })
    expect(banned).toMatchObject({ ok: false, reason: 'event_not_allowed' })
    await room.rpc.setMembership({ ...byAlice, membership: 'leave' })
    await room.rpc.setMembership({ ...byAlice, membership: 'invite' })
    expect(await room.rpc.joinRequirements({ user: bob })).toEqual({ ok: true, allowedRooms: null })
    await room.rpc.setMembership({ ...byBob, membership: 'join', memberOf: [club] })
    expect(await stateContent(room, 'm.room.member', bob)).toEqual({ membership: 'join' })
  })

  it('cannot be joined here when no member here may invite', async () => {
    const room = await restricted('restricted')
    const powerLevels = (await stateContent(room, 'm.room.power_levels')) ?? {}
    await room.rpc.setMembership({ ...byBob, membership: 'join', memberOf: [club] })
    const content = { ...powerLevels, invite: 50 }
    await room.rpc.sendEvent({ sender: alice, type: 'm.room.power_levels', stateKey: '', content })
    await room.rpc.setMembership({ sender: alice, target: alice, membership: 'leave' })
    const wish = { sender: carol, target: carol, membership: 'join', memberOf: [club] } as const
    expect(await room.rpc.setMembership(wish)).toMatchObject({ ok: false, reason: 'unable_to_authorise_join' })
  })
})

describe('forgetting', () => {
  it('takes leaving first', async () => {
    const room = await publicRoom()
    expect(await room.rpc.forget({ user: bob })).toMatchObject({ ok: false, reason: 'not_in_room' })
    await join(room, bob)
    expect(await room.rpc.forget({ user: bob })).toMatchObject({ ok: false, reason: 'still_in_room' })
    await room.rpc.setMembership({ ...byBob, membership: 'leave' })
    expect(await room.rpc.forget({ user: bob })).toEqual({ ok: true })
    expect(await rows(room, 'SELECT * FROM forgotten')).toEqual([{ user_id: bob }])
  })

  it.each(['join', 'invite'] as const)('ends with %s', async (membership) => {
    const room = await publicRoom()
    await join(room, bob)
    await room.rpc.setMembership({ ...byBob, membership: 'leave' })
    await room.rpc.forget({ user: bob })
    await room.rpc.setMembership({ ...(membership === 'join' ? byBob : byAlice), membership })
    expect(await rows(room, 'SELECT * FROM forgotten')).toEqual([])
  })

  it('lasts through a ban', async () => {
    const room = await publicRoom()
    await join(room, bob)
    await room.rpc.setMembership({ ...byBob, membership: 'leave' })
    await room.rpc.forget({ user: bob })
    await room.rpc.setMembership({ ...byAlice, membership: 'ban' })
    expect(await rows(room, 'SELECT * FROM forgotten')).toEqual([{ user_id: bob }])
  })
})

it('lets somebody back into a room that everybody had left', async () => {
  const room = await publicRoom()
  await room.rpc.setMembership({ sender: alice, target: alice, membership: 'leave' })
  expect(await room.rpc.setMembership({ ...byBob, membership: 'join' })).toMatchObject({ ok: true })
})

it('tells a user of every change of their membership before it answers', async () => {
  const dave = user('@dave:test.local')
  const room = await makeRoom()
  const membership = async () =>
    (await userObject(dave).rooms()).find(({ roomId }) => roomId === room.roomId)?.membership
  const byDave = { sender: dave, target: dave } as const
  for (const change of [
    { sender: alice, target: dave, membership: 'invite' },
    { ...byDave, membership: 'join' },
    { sender: alice, target: dave, membership: 'leave', action: 'kick' },
    { sender: alice, target: dave, membership: 'invite' },
    { ...byDave, membership: 'leave' },
    { sender: alice, target: dave, membership: 'ban' },
  ] as const) {
    expect(await room.rpc.setMembership(change)).toMatchObject({ ok: true })
    expect(await membership()).toBe(change.membership)
  }
})
