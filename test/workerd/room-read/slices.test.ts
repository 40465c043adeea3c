/**
 * Slices chain: a client that applies one slice after the other, from whatever position it has come to, holds the room's
 * state and has been shown each event it may see exactly once, or was told that some were left out and finds exactly those
 * by paging. Spec: client-server-api/#syncing.
 */
import type { JsonObject } from '#protocol/json/json.ts'
import { formatTimelineToken } from '#protocol/sync/timeline-token.ts'
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { messages } from '../../../durable-objects/room/messages.ts'
import type { Room } from '../../../durable-objects/room/room.ts'
import { stateGroupAt } from '../../../durable-objects/room/state-at.ts'
import { stateOfGroup } from '../../../durable-objects/room/state-of-group.ts'
import type { Slice } from '../../../durable-objects/room/slice.ts'
import { syncSlice } from '../../../durable-objects/room/sync-slice.ts'
import { viewOf } from '../../../durable-objects/room/visibility.ts'
import { serverIdentity } from '../../../worker/server-identity.ts'
import { bob, withRoom } from '../room/rooms.ts'
import { eventsOf, everything, field, granted, text } from './reading.ts'
import { allEvents, begin, dice, type Dice, happen, pick, roomWithMallory } from './random-room.ts'

/** A client of Bob's. */
interface Client {
  readonly useStateAfter: boolean
  /** It syncs after one in so many things that happen. */
  readonly pace: number
  from: { pos: number; typing: number } | null
  /** Event IDs by place; undefined while it holds no room. */
  state: Map<string, string> | undefined
}

const idsOf = (events: readonly JsonObject[]) => events.map(({ event_id }) => text(event_id))
const placeOf = ({ type, state_key }: { type?: unknown; state_key?: unknown }) => JSON.stringify([type, state_key])

function stateAt(room: Room, pos: number): Map<string, string> {
  const group = stateGroupAt(room, pos)
  const events = group === undefined ? [] : stateOfGroup(room, group)
  return new Map(events.map((event) => [placeOf(event), event.event_id]))
}

/** What Bob may see of what arrived after one position and up to another, in order of arrival. */
function visible(room: Room, after: number, upTo: number): string[] {
  const view = viewOf(room, bob)
  return allEvents(room)
    .filter(({ pos }) => pos !== undefined && pos > after && pos <= upTo)
    .filter((event) => view.mayRead(event))
    .toSorted((a, b) => (a.pos ?? 0) - (b.pos ?? 0))
    .map(({ event_id }) => event_id)
}

/** What paging back from a slice finds, down to where the client was before. */
function pageBack(room: Room, roll: Dice, slice: Slice, since: number): string[] {
  const found: string[] = []
  const to = formatTimelineToken({ kind: 'live', pos: since })
  for (let from = text(field(slice.room, 'timeline', 'prev_batch')); ;) {
    const page = granted(messages(room, { reader: bob, dir: 'b', from, to, limit: 1 + roll(6) }, 0))
    found.push(...idsOf(page.chunk))
    if (page.end === undefined) return found
    from = page.end
  }
}

function sync(room: Room, roll: Dice, client: Client): void {
  const limit = pick(roll, [0, 1, 2, 5, 1000])
  const { from, useStateAfter } = client
  const request = { ...everything, reader: bob, from, useStateAfter, filter: { timeline: { limit } } }
  const slice = granted(syncSlice(room, request, 0))
  expect(slice.pos).toBe(room.reader.header().pos)
  client.from = { pos: slice.pos, typing: slice.typing }
  const since = from !== null && hadTimeline(room, from.pos) ? from.pos : 0
  if (slice.section === 'join') joined(room, roll, client, slice, since)
  else left(room, client, slice, since)
}

/** Whether a client has a timeline to go on with: a room is new to one whose user had never been in it. */
function hadTimeline(room: Room, upTo: number): boolean {
  return allEvents(room).some(
    ({ pos, state_key, pdu }) =>
      pos !== undefined && pos <= upTo && state_key === bob && pdu.content['membership'] === 'join',
  )
}

/** Whether Bob was joined all the time since. */
function wasThere(room: Room, since: number): boolean {
  const own = allEvents(room).filter(({ pos, state_key }) => pos !== undefined && state_key === bob)
  const memberships = own.map(({ pos, pdu }) => ({ pos: pos ?? 0, membership: pdu.content['membership'] }))
  const before = memberships.findLast(({ pos }) => pos <= since)
  const later = memberships.filter(({ pos }) => pos > since)
  return before?.membership === 'join' && later.every(({ membership }) => membership === 'join')
}

function hasHole(room: Room, since: number): boolean {
  return room.reader.sql.exec('SELECT 1 FROM timeline_gaps WHERE pos > ?', since).toArray().length > 0
}

function joined(room: Room, roll: Dice, client: Client, slice: Slice, since: number): void {
  expect(room.reader.membership(bob)).toBe('join')
  const timeline = eventsOf(slice.room, 'timeline')
  const expected = visible(room, since, slice.pos)
  const isShort = timeline.length < expected.length
  if (wasThere(room, since)) {
    expect(field(slice.room, 'timeline', 'limited')).toBe(isShort || hasHole(room, since))
  }
  if (field(slice.room, 'timeline', 'limited') === false) {
    expect(idsOf(timeline)).toEqual(expected)
  } else {
    expect(idsOf(timeline)).toEqual(expected.slice(expected.length - timeline.length))
    // Late history may lie between as well; it never was in a timeline.
    const isLive = new Set(visible(room, 0, slice.pos))
    const found = pageBack(room, roll, slice, since).filter((id) => isLive.has(id))
    expect(found.toSorted()).toEqual(expected.slice(0, expected.length - timeline.length).toSorted())
  }
  const state = (client.state ??= new Map())
  const given = eventsOf(slice.room, client.useStateAfter ? 'state_after' : 'state')
  for (const event of client.useStateAfter ? given : [...given, ...timeline]) {
    if (event['state_key'] !== undefined) state.set(placeOf(event), text(event['event_id']))
  }
  expect(state).toEqual(stateAt(room, slice.pos))
}

/** Nothing that came after the leave, but for the end of a later invite. */
function left(room: Room, client: Client, slice: Slice, since: number): void {
  const member = room.reader.current('m.room.member', bob)
  expect(room.reader.membership(bob)).not.toBe('join')
  const { standing } = viewOf(room, bob)
  const end = standing.kind === 'departed' ? (standing.until.pos ?? 0) : 0
  // Once told, a client hears of the room no more; its state goes with it.
  if (slice.section !== 'leave') return
  const given = ['timeline', 'state', 'state_after'].flatMap((part) => idsOf(eventsOf(slice.room, part)))
  // The state at the start of the timeline is that of a time when he was there, or about to be.
  const start = Number(text(field(slice.room, 'timeline', 'prev_batch')).slice(1))
  const states = [...stateAt(room, end).values(), ...stateAt(room, Math.min(start, end)).values()]
  const allowed = new Set([...visible(room, since, end), ...states, member?.event_id])
  for (const id of given) expect(allowed).toContain(id)
  if (field(slice.room, 'timeline', 'limited') === false && since < end) {
    const timeline = idsOf(eventsOf(slice.room, 'timeline'))
    expect(timeline.filter((id) => id !== member?.event_id)).toEqual(
      visible(room, since, end).filter((id) => id !== member?.event_id),
    )
  }
  client.state = undefined
}

const seeds = Array.from({ length: 14 }, (_, index) => index + 1)

describe.each(seeds)('a random room, seed %i', (seed) => {
  it.each([
    ['without forks, by `state`', { linear: true, useStateAfter: false }],
    ['without forks, by `state_after`', { linear: true, useStateAfter: true }],
    ['with forks, by `state_after`', { linear: false, useStateAfter: true }],
  ])('%s', async (_, { linear, useStateAfter }) => {
    const roll = dice(seed)
    const identity = await serverIdentity(env)
    await withRoom(await roomWithMallory(), (room) => {
      if (!linear) begin(room)
      const clients = [1, 3, 12].map((pace): Client => ({ useStateAfter, pace, from: null, state: undefined }))
      for (let step = 0; step < 80; step++) {
        happen(room, identity, roll, { linear })
        for (const client of clients) if (roll(client.pace) === 0) sync(room, roll, client)
      }
      for (const client of clients) sync(room, roll, client)
    })
  })
})
