/** Members as clients need them. Spec: client-server-api/#lazy-loading-room-members. */
import type { JsonObject } from '#protocol/json/json.ts'
import { describe, expect, it } from 'vitest'
import type { Slice, SliceRequest } from '../../../durable-objects/room/slice.ts'
import { alice, bob, carol, join, publicRoom, say, type TestRoom } from '../room/rooms.ts'
import { change, eventIdOf, eventsOf, field, granted, setState, slice, text } from './reading.ts'

const lazy = (limit: number, more = {}): Partial<SliceRequest> => ({
  filter: { timeline: { limit }, state: { lazy_load_members: true, ...more } },
})
const at = ({ pos, typing }: Slice) => ({ pos, typing })

/** User and name of each member in a state. */
function membersOf(section: JsonObject, part = 'state') {
  return eventsOf(section, part)
    .filter(({ type }) => type === 'm.room.member')
    .map((event) => [text(event['state_key']), field(event, 'content', 'displayname')] as const)
    .toSorted(([a], [b]) => a.localeCompare(b))
}

async function setName(room: TestRoom, user: typeof bob, displayname: string): Promise<void> {
  const change = { sender: user, target: user, membership: 'join', action: 'profile' } as const
  granted(await room.rpc.setMembership({ ...change, profile: { displayname } }))
}

/** Alice's room with Bob and Carol, in which all that is long ago. */
async function oldRoom(): Promise<TestRoom> {
  const room = await publicRoom()
  await setState(room, 'm.room.name', { name: 'no heroes needed' })
  await join(room, bob)
  await join(room, carol)
  await setName(room, bob, 'Bob')
  await setName(room, carol, 'Carol')
  for (const text of ['one', 'two', 'three']) await say(room, alice, text)
  return room
}

describe('a sync that loads members lazily', () => {
  it('gets those who speak, and itself with all of the state', async () => {
    const room = await oldRoom()
    await say(room, bob, 'here I am')
    const { room: told } = await slice(room, carol, lazy(1))
    expect(membersOf(told)).toEqual([
      [bob, 'Bob'],
      [carol, 'Carol'],
    ])
    expect(eventsOf(told, 'state').map(({ type }) => type)).toContain('m.room.create')
    const { room: all } = await slice(room, carol, { filter: { timeline: { limit: 1 } } })
    expect(membersOf(all).map(([user]) => user)).toEqual([alice, bob, carol])
  })

  it('gets nobody twice who has not changed', async () => {
    const room = await oldRoom()
    const first = await slice(room, alice, lazy(1))
    await say(room, bob, 'hello')
    const second = await slice(room, alice, { from: at(first), ...lazy(10) })
    expect(membersOf(second.room)).toEqual([[bob, 'Bob']])
    await say(room, bob, 'again')
    const third = await slice(room, alice, { from: at(second), ...lazy(10) })
    expect(membersOf(third.room)).toEqual([])
    const other = await slice(room, alice, { from: at(second), ...lazy(10), deviceId: 'LAPTOP' })
    expect(membersOf(other.room)).toEqual([[bob, 'Bob']])
    const redundant = await slice(room, alice, { from: at(second), ...lazy(10, { include_redundant_members: true }) })
    expect(membersOf(redundant.room)).toEqual([[bob, 'Bob']])
  })

  it('gets them again when it starts from before it got them, or asks for everything', async () => {
    const room = await oldRoom()
    const first = await slice(room, alice, lazy(1))
    await say(room, bob, 'hello')
    for (let attempt = 0; attempt < 2; attempt++) {
      // The answer may have been lost.
      const told = await slice(room, alice, { from: at(first), ...lazy(10) })
      expect(membersOf(told.room)).toEqual([[bob, 'Bob']])
    }
    const second = await slice(room, alice, { from: at(first), ...lazy(10) })
    const whole = await slice(room, alice, { from: at(second), ...lazy(10), fullState: true })
    expect(membersOf(whole.room).map(([user]) => user)).toEqual([alice])
    await say(room, bob, 'more')
    await room.evict()
    const later = await slice(room, alice, { from: at(second), ...lazy(10) })
    expect(membersOf(later.room)).toEqual([[bob, 'Bob']])
  })

  it('gets whoever changed in what was left out', async () => {
    const room = await oldRoom()
    const first = await slice(room, alice, lazy(1))
    await setName(room, carol, 'Caroline')
    await change(room, 'leave', bob)
    for (const text of ['four', 'five']) await say(room, alice, text)
    const { room: told } = await slice(room, alice, { from: at(first), ...lazy(2) })
    expect(field(told, 'timeline', 'limited')).toBe(true)
    expect(membersOf(told).map(([user]) => user)).toEqual([bob, carol])
  })

  it('shows a speaker as they were when the timeline begins, and with state_after as they are at its end', async () => {
    const room = await oldRoom()
    await say(room, bob, 'as Bob')
    await setName(room, bob, 'Robert')
    const before = await slice(room, alice, lazy(2))
    expect(membersOf(before.room)).toContainEqual([bob, 'Bob'])
    const after = await slice(room, alice, { ...lazy(2), useStateAfter: true })
    expect(membersOf(after.room, 'state_after')).toContainEqual([bob, 'Robert'])
    expect(membersOf(after.room, 'state_after')).not.toContainEqual([bob, 'Bob'])
  })

  it('has every sender of the timeline in state_after, those who joined in it too', async () => {
    const room = await publicRoom()
    await join(room, bob)
    const { room: told } = await slice(room, alice, { ...lazy(20), useStateAfter: true })
    expect(membersOf(told, 'state_after').map(([user]) => user)).toEqual([alice, bob])
  })

  it('gets the members after whom it has to call the room', async () => {
    const room = await oldRoom()
    const first = await slice(room, alice, lazy(1))
    await setState(room, 'm.room.name', {})
    const { room: told } = await slice(room, alice, { from: at(first), ...lazy(10) })
    expect(field(told, 'summary', 'm.heroes')).toEqual(expect.arrayContaining([bob, carol]))
    expect(membersOf(told).map(([user]) => user)).toEqual(expect.arrayContaining([bob, carol]))
  })
})

it('comes with pages of messages', async () => {
  const room = await oldRoom()
  await say(room, carol, 'mine')
  const ask = { reader: alice, dir: 'b', limit: 1 } as const
  const page = granted(await room.rpc.messages({ ...ask, filter: { lazy_load_members: true } }))
  expect(page.state?.map(({ state_key, content }) => [state_key, content['displayname']])).toEqual([[carol, 'Carol']])
  expect(granted(await room.rpc.messages(ask))).not.toHaveProperty('state')
})

it('comes with the context of an event', async () => {
  const room = await oldRoom()
  const eventId = eventIdOf(await say(room, carol, 'mine'))
  const ask = { reader: alice, deviceId: 'PHONE', eventId, limit: 0 }
  const members = (events: readonly { type: string; state_key?: string }[]) =>
    events.filter(({ type }) => type === 'm.room.member').map(({ state_key = '' }) => state_key)
  const lazily = granted(await room.rpc.context({ ...ask, filter: { lazy_load_members: true } }))
  expect(members(lazily.state)).toEqual([carol])
  expect(members(granted(await room.rpc.context(ask)).state).toSorted()).toEqual([alice, bob, carol])
})
