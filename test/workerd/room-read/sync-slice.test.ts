/** What a room tells of itself to those who sync. Spec: client-server-api/#syncing, data/api/client-server/sync.yaml. */
import type { JsonObject } from '#protocol/json/json.ts'
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { Slice, SliceRequest } from '../../../durable-objects/room/slice.ts'
import {
  alice,
  bob,
  carol,
  freshRoomId,
  join,
  makeRoom,
  publicRoom,
  roomObject,
  rows,
  say,
  type TestRoom,
} from '../room/rooms.ts'
import { change, contentsOf, eventsOf, field, granted, setState, setVisibility, slice, text, texts } from './reading.ts'

const at = ({ pos, typing }: Slice) => ({ pos, typing })
const limit = (count: number): Partial<SliceRequest> => ({ filter: { timeline: { limit: count } } })
const topicsIn = (section: JsonObject, part: string) =>
  contentsOf(eventsOf(section, part), 'm.room.topic').map(({ topic }) => topic)
const typesIn = (section: JsonObject, part: string) => eventsOf(section, part).map(({ type }) => text(type))
const membersIn = (section: JsonObject, part: string) =>
  eventsOf(section, part)
    .filter(({ type }) => type === 'm.room.member')
    .map((event) => [event['state_key'], field(event, 'content', 'membership')])

/** Says several things. */
async function sayAll(room: TestRoom, ...all: string[]): Promise<void> {
  for (const each of all) await say(room, alice, each)
}

describe('a joined room', () => {
  it('begins with the newest events, and the state before them', async () => {
    const room = await publicRoom()
    await setState(room, 'm.room.topic', { topic: 'old' })
    await sayAll(room, 'one', 'two')
    await setState(room, 'm.room.topic', { topic: 'new' })
    await say(room, alice, 'three')
    const { section, room: told } = await slice(room, alice, limit(3))
    expect(section).toBe('join')
    expect(texts(eventsOf(told, 'timeline'))).toEqual(['two', 'three'])
    expect(topicsIn(told, 'timeline')).toEqual(['new'])
    // What was said before the topic changed belongs to the old one.
    expect(topicsIn(told, 'state')).toEqual(['old'])
    expect(typesIn(told, 'state')).toContain('m.room.create')
    expect(field(told, 'timeline', 'limited')).toBe(true)
  })

  it('has all of a short history, with no state before it, and is not limited', async () => {
    const room = await publicRoom()
    const { room: told } = await slice(room, alice)
    expect(typesIn(told, 'timeline')[0]).toBe('m.room.create')
    expect(eventsOf(told, 'state')).toEqual([])
    expect(field(told, 'timeline', 'limited')).toBe(false)
  })

  it('is not limited by what a filter hides', async () => {
    const room = await publicRoom()
    await say(room, alice, 'only this')
    for (const topic of ['a', 'b']) await setState(room, 'm.room.topic', { topic })
    const { room: told } = await slice(room, alice, { filter: { timeline: { types: ['m.room.message'], limit: 1 } } })
    expect(texts(eventsOf(told, 'timeline'))).toEqual(['only this'])
    expect(field(told, 'timeline', 'limited')).toBe(false)
  })

  it('is limited where it is new to a client that has synced before, and something lies before what it is told', async () => {
    const room = await publicRoom()
    await say(room, alice, 'all that was said')
    const filter = { timeline: { types: ['m.room.message'], limit: 10 } }
    const { room: told } = await slice(room, alice, { filter, isIncremental: true })
    expect(texts(eventsOf(told, 'timeline'))).toEqual(['all that was said'])
    expect(field(told, 'timeline', 'limited')).toBe(true)
  })

  it('goes on from where the client was, with nothing twice', async () => {
    const room = await publicRoom()
    const first = await slice(room, alice)
    const again = await slice(room, alice, { from: at(first) })
    expect(again).toMatchObject({ section: 'join', pos: first.pos })
    expect([...eventsOf(again.room, 'timeline'), ...eventsOf(again.room, 'state')]).toEqual([])
    expect(again.room).not.toHaveProperty('summary')
    await say(room, alice, 'news')
    const next = await slice(room, alice, { from: at(again) })
    expect(texts(eventsOf(next.room, 'timeline'))).toEqual(['news'])
    expect(field(next.room, 'timeline', 'limited')).toBe(false)
  })

  it('says how the state changed over what was left out', async () => {
    const room = await publicRoom()
    await setState(room, 'm.room.topic', { topic: 'known' })
    const { pos, typing } = await slice(room, alice)
    await setState(room, 'm.room.topic', { topic: 'in the gap' })
    await setState(room, 'org.example.a', { in: 'the gap' })
    await setState(room, 'm.room.topic', { topic: 'before the timeline' })
    await say(room, alice, 'one')
    await setState(room, 'm.room.topic', { topic: 'in the timeline' })
    const from = { pos, typing }
    const { room: told } = await slice(room, alice, { from, ...limit(2) })
    expect(field(told, 'timeline', 'limited')).toBe(true)
    expect(topicsIn(told, 'state')).toEqual(['before the timeline'])
    expect(typesIn(told, 'state').toSorted()).toEqual(['m.room.topic', 'org.example.a'])

    const after = await slice(room, alice, { from, ...limit(2), useStateAfter: true })
    expect(after.room).not.toHaveProperty('state')
    expect(topicsIn(after.room, 'state_after')).toEqual(['in the timeline'])
    expect(typesIn(after.room, 'state_after').toSorted()).toEqual(['m.room.topic', 'org.example.a'])

    const whole = await slice(room, alice, { from, ...limit(2), fullState: true })
    expect(typesIn(whole.room, 'state')).toContain('m.room.create')
    expect(topicsIn(whole.room, 'state')).toEqual(['before the timeline'])
    expect(eventsOf(whole.room, 'timeline')).toHaveLength(2)
  })

  it('has an empty state_after where nothing changed', async () => {
    const room = await publicRoom()
    const first = await slice(room, alice, { useStateAfter: true })
    expect(typesIn(first.room, 'state_after')).toContain('m.room.create')
    const next = await slice(room, alice, { from: at(first), useStateAfter: true })
    expect(next.room['state_after']).toEqual({ events: [] })
  })

  it('leads back to what was left out, by prev_batch', async () => {
    const room = await publicRoom()
    const first = await slice(room, alice)
    await sayAll(room, 'one', 'two', 'three', 'four')
    const { room: told } = await slice(room, alice, { from: at(first), ...limit(2) })
    const from = text(field(told, 'timeline', 'prev_batch'))
    const page = granted(await room.rpc.messages({ reader: alice, dir: 'b', from, to: `p${first.pos}`, limit: 10 }))
    expect(texts(page.chunk)).toEqual(['two', 'one'])
    expect(page.end).toBeUndefined()
  })

  it('gives all of the state where the timeline is to be empty', async () => {
    const room = await publicRoom()
    await setState(room, 'm.room.topic', { topic: 'now' })
    const { room: told } = await slice(room, alice, limit(0))
    expect(eventsOf(told, 'timeline')).toEqual([])
    expect(field(told, 'timeline', 'limited')).toBe(true)
    expect(topicsIn(told, 'state')).toEqual(['now'])
  })

  it('puts state that a filter keeps out of the timeline into the state', async () => {
    const room = await publicRoom()
    const first = await slice(room, alice)
    await setState(room, 'm.room.topic', { topic: 'hidden there' })
    await say(room, alice, 'only this')
    await setState(room, 'org.example.a', { unwanted: true })
    const filter = { timeline: { types: ['m.room.message'] }, state: { not_types: ['org.*'] } }
    const { room: told } = await slice(room, alice, { from: at(first), filter })
    expect(typesIn(told, 'timeline')).toEqual(['m.room.message'])
    expect(field(told, 'timeline', 'limited')).toBe(false)
    expect(typesIn(told, 'state')).toEqual(['m.room.topic'])
  })

  it('leaves out what ignored users say, but not what they change', async () => {
    const room = await publicRoom()
    await join(room, bob)
    await say(room, bob, 'noise')
    await say(room, alice, 'signal')
    const { room: told } = await slice(room, alice, { ignoredUsers: [bob] })
    expect(texts(eventsOf(told, 'timeline'))).toEqual(['signal'])
    expect(membersIn(told, 'timeline')).toContainEqual([bob, 'join'])
  })

  it('begins anew for a client from a future that the room does not have', async () => {
    const room = await publicRoom()
    await say(room, alice, 'hello')
    const { room: told, pos } = await slice(room, alice, { from: { pos: 10_000, typing: 0 } })
    expect(texts(eventsOf(told, 'timeline'))).toEqual(['hello'])
    expect(pos).toBeLessThan(10_000)
  })
})

describe('coming and going', () => {
  it('gives one who joins the whole state and themselves, and says that there is more before', async () => {
    const room = await publicRoom()
    await sayAll(room, 'one', 'two', 'three')
    await change(room, 'join', bob)
    const filter = { timeline: { limit: 2 }, state: { lazy_load_members: true } }
    const { section, room: told } = await slice(room, bob, { filter })
    expect(section).toBe('join')
    expect(texts(eventsOf(told, 'timeline'))).toEqual(['three'])
    expect(field(told, 'timeline', 'limited')).toBe(true)
    expect(membersIn(told, 'timeline')).toEqual([[bob, 'join']])
    expect(typesIn(told, 'state')).toContain('m.room.create')
    await sayAll(room, 'four', 'five')
    const later = await slice(room, bob, { filter })
    expect(membersIn(later.room, 'state')).toContainEqual([bob, 'join'])
  })

  it('gives one who left and came back between two syncs the room anew', async () => {
    const room = await publicRoom()
    await change(room, 'join', bob)
    const first = await slice(room, bob)
    await setState(room, 'm.room.topic', { topic: 'while he was there' })
    await change(room, 'leave', bob)
    await say(room, alice, 'while he was away')
    await change(room, 'join', bob)
    const { section, room: told } = await slice(room, bob, { from: at(first) })
    expect(section).toBe('join')
    expect(field(told, 'timeline', 'limited')).toBe(true)
    expect(typesIn(told, 'state')).toContain('m.room.create')
    expect(texts(eventsOf(told, 'timeline'))).toEqual(['while he was away'])
    expect(told['summary']).toMatchObject({ 'm.joined_member_count': 2 })
  })

  it('does not take a new profile for a return', async () => {
    const room = await publicRoom()
    await change(room, 'join', bob)
    const first = await slice(room, bob)
    const profile = {
      sender: bob,
      target: bob,
      membership: 'join',
      action: 'profile',
      profile: { displayname: 'Bobby' },
    } as const
    granted(await room.rpc.setMembership(profile))
    const { room: told } = await slice(room, bob, { from: at(first) })
    expect(field(told, 'timeline', 'limited')).toBe(false)
    expect(eventsOf(told, 'state')).toEqual([])
  })

  it('tells of a leave once, up to the leave and no further, unless asked for everything', async () => {
    const room = await publicRoom()
    await change(room, 'join', bob)
    const first = await slice(room, bob)
    await setState(room, 'm.room.topic', { topic: 'before' })
    await change(room, 'leave', bob)
    await setState(room, 'm.room.topic', { topic: 'after' })
    await say(room, alice, 'after')
    const left = await slice(room, bob, { from: at(first) })
    expect(left.section).toBe('leave')
    expect(typesIn(left.room, 'timeline')).toEqual(['m.room.topic', 'm.room.member'])
    expect(eventsOf(left.room, 'state')).toEqual([])
    expect(left.room).not.toHaveProperty('ephemeral')
    expect(JSON.stringify(left.room)).not.toContain('after')
    expect((await slice(room, bob, { from: at(left) })).section).toBe('none')
    const whole = await slice(room, bob, { from: at(left), fullState: true })
    expect(whole.section).toBe('leave')
    expect(topicsIn(whole.room, 'state')).toEqual(['before'])
    expect(JSON.stringify(whole.room)).not.toContain('after')
    granted(await room.rpc.forget({ user: bob }))
    expect((await slice(room, bob, { fullState: true })).section).toBe('none')
    expect((await slice(room, bob)).section).toBe('none')
  })

  it('shows the state of the leave where the timeline is empty', async () => {
    const room = await publicRoom()
    await change(room, 'join', bob)
    await setState(room, 'm.room.topic', { topic: 'before' })
    await change(room, 'kick', bob)
    await setState(room, 'm.room.topic', { topic: 'after' })
    for (const useStateAfter of [false, true]) {
      const { room: told } = await slice(room, bob, { ...limit(0), useStateAfter })
      const part = useStateAfter ? 'state_after' : 'state'
      expect(eventsOf(told, 'timeline')).toEqual([])
      expect(topicsIn(told, part)).toEqual(['before'])
      expect(membersIn(told, part)).toContainEqual([bob, 'leave'])
    }
  })

  it('shows the end of an invite to the one who was invited, whatever the visibility', async () => {
    const room = await makeRoom('12', { preset: 'private_chat' })
    await setVisibility(room, 'joined')
    await change(room, 'invite', bob)
    const invited = await slice(room, bob)
    await change(room, 'reject', bob)
    const { section, room: told } = await slice(room, bob, { from: at(invited) })
    expect(section).toBe('leave')
    expect(membersIn(told, 'timeline')).toEqual([[bob, 'leave']])
    expect(eventsOf(told, 'state')).toEqual([])
    const after = await slice(room, bob, { from: at(invited), useStateAfter: true })
    expect(membersIn(after.room, 'state_after')).toEqual([[bob, 'leave']])
  })

  it('says nothing of rooms to those who have nothing to do with them', async () => {
    const room = await publicRoom()
    await setVisibility(room, 'world_readable')
    expect(await slice(room, bob)).toMatchObject({ section: 'none', room: {} })
    const nowhere = roomObject(freshRoomId())
    const asked = { reader: bob, deviceId: 'PHONE', from: null, filter: {}, fullState: false, useStateAfter: false }
    expect(await nowhere.rpc.syncSlice(asked)).toMatchObject({ ok: false, reason: 'unknown_room' })
    expect(await rows(nowhere, `SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'`)).toEqual([])
  })
})

describe('an invite', () => {
  it('comes with the stripped state of its time, once', async () => {
    const room = await makeRoom('12', { preset: 'private_chat', name: 'Then' })
    await change(room, 'invite', bob)
    await setState(room, 'm.room.name', { name: 'Later' })
    const first = await slice(room, bob)
    expect(first.section).toBe('invite')
    const events = eventsOf(first.room, 'invite_state')
    for (const event of events) {
      expect(Object.keys(event).toSorted()).toEqual(['content', 'sender', 'state_key', 'type'])
    }
    expect(typesIn(first.room, 'invite_state').toSorted()).toEqual(
      ['m.room.create', 'm.room.join_rules', 'm.room.member', 'm.room.member', 'm.room.name'].toSorted(),
    )
    expect(contentsOf(events, 'm.room.name')).toEqual([{ name: 'Then' }])
    expect(membersIn(first.room, 'invite_state')).toEqual([
      [alice, 'join'],
      [bob, 'invite'],
    ])
    expect((await slice(room, bob, { from: at(first) })).section).toBe('none')
    expect((await slice(room, bob, { from: at(first), fullState: true })).section).toBe('invite')
  })

  it('is not told when it comes from somebody who is ignored', async () => {
    const room = await makeRoom('12', { preset: 'private_chat' })
    await change(room, 'invite', bob)
    expect((await slice(room, bob, { ignoredUsers: [alice] })).section).toBe('none')
    expect((await slice(room, bob, { ignoredUsers: [carol] })).section).toBe('invite')
  })

  it('turns into the room with its history for one who accepts', async () => {
    const room = await makeRoom('12', { preset: 'private_chat' })
    await say(room, alice, 'before')
    await change(room, 'invite', bob)
    const invited = await slice(room, bob)
    await change(room, 'join', bob)
    const { section, room: told } = await slice(room, bob, { from: at(invited) })
    expect(section).toBe('join')
    expect(texts(eventsOf(told, 'timeline'))).toEqual(['before'])
    expect(typesIn(told, 'timeline')[0]).toBe('m.room.create')
  })
})

it('tells one who knocks what they knock at', async () => {
  const room = await makeRoom('12', { preset: 'private_chat', name: 'Behind the door' })
  await setState(room, 'm.room.join_rules', { join_rule: 'knock' })
  await change(room, 'knock', bob)
  const { section, room: told } = await slice(room, bob)
  expect(section).toBe('knock')
  expect(contentsOf(eventsOf(told, 'knock_state'), 'm.room.name')).toEqual([{ name: 'Behind the door' }])
  expect(membersIn(told, 'knock_state')).toEqual([[bob, 'knock']])
})

describe('the summary', () => {
  it('counts members and names heroes while the room has no name', async () => {
    const room = await publicRoom()
    const first = await slice(room, alice)
    expect(first.room['summary']).toEqual({
      'm.heroes': [],
      'm.joined_member_count': 1,
      'm.invited_member_count': 0,
    })
    await change(room, 'join', carol)
    await change(room, 'invite', bob)
    const second = await slice(room, alice, { from: at(first) })
    expect(second.room['summary']).toEqual({
      'm.heroes': [carol, bob],
      'm.joined_member_count': 2,
      'm.invited_member_count': 1,
    })
    expect(field((await slice(room, carol)).room, 'summary', 'm.heroes')).toEqual([alice, bob])
    await setState(room, 'm.room.name', { name: 'Named' })
    const third = await slice(room, alice, { from: at(second) })
    expect(third.room['summary']).toEqual({ 'm.joined_member_count': 2, 'm.invited_member_count': 1 })
    await setState(room, 'm.room.name', { name: '' })
    const fourth = await slice(room, alice, { from: at(third) })
    expect(field(fourth.room, 'summary', 'm.heroes')).toEqual([carol, bob])
    await say(room, alice, 'nothing to do with members')
    expect((await slice(room, alice, { from: at(fourth) })).room).not.toHaveProperty('summary')
  })

  it('falls back to those who are gone', async () => {
    const room = await publicRoom()
    await change(room, 'join', bob)
    await change(room, 'leave', bob)
    const { room: told } = await slice(room, alice)
    expect(told['summary']).toEqual({ 'm.heroes': [bob], 'm.joined_member_count': 1, 'm.invited_member_count': 0 })
  })
})

describe('reading', () => {
  it('makes the reader tellable again', async () => {
    const room = await publicRoom()
    await join(room, bob)
    const known = async () => {
      const [row] = await rowsOfUser(room)
      return row?.pos ?? 0
    }
    await say(room, alice, 'told')
    await expect.poll(known).toBeGreaterThan(0)
    const quietAt = await known()
    await say(room, alice, 'not told')
    expect(await known()).toBe(quietAt)
    const { pos } = await slice(room, bob)
    await say(room, alice, 'told again')
    await expect.poll(known).toBe(pos + 1)
  })
})

async function rowsOfUser({ roomId }: TestRoom): Promise<{ pos: number }[]> {
  const stub = env.USER_SYNC.get(env.USER_SYNC.idFromName(bob))
  return runInDurableObject(stub, (_, { storage }) =>
    storage.sql.exec<{ pos: number }>('SELECT pos FROM rooms WHERE room_id = ?', roomId).toArray(),
  )
}
