/**
 * Paging is complete: whatever a room's DAG looks like and whatever is hidden, the pages together have each event that the
 * reader may see exactly once. Spec: client-server-api/#get_matrixclientv3roomsroomidmessages; CVE-2026-45076.
 */
import { formatTimelineToken } from '#protocol/sync/timeline-token.ts'
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { messages, type MessagesRequest } from '../../../durable-objects/room/messages.ts'
import type { Room } from '../../../durable-objects/room/room.ts'
import type { StoredEvent } from '../../../durable-objects/room/stored-event.ts'
import { viewOf } from '../../../durable-objects/room/visibility.ts'
import { serverIdentity } from '../../../worker/server-identity.ts'
import { alice, bob, withRoom } from '../room/rooms.ts'
import { granted } from './reading.ts'
import { allEvents, begin, dice, type Dice, happen, pick, roomWithMallory } from './random-room.ts'

type Ask = Omit<MessagesRequest, 'reader' | 'limit'>

/** IDs of all pages of Bob's, of random sizes. */
function idsOf(room: Room, roll: Dice, request: Ask): string[] {
  const ids: string[] = []
  let from = request.from
  let isOver = false
  for (let pages = 0; pages < 1000; pages++) {
    const limit = 1 + roll(5)
    const answer = granted(messages(room, { ...request, reader: bob, limit, ...(from ? { from } : {}) }, 0))
    expect(answer.chunk.length).toBeLessThanOrEqual(limit)
    expect(isOver && answer.chunk.length > 0).toBe(false)
    // Behind a page that is not full there is nothing; forwards one may still ask what has been said since.
    isOver = answer.chunk.length < limit
    if (answer.end !== undefined && isOver) expect(request.dir).toBe('f')
    ids.push(...answer.chunk.map(({ event_id }) => event_id))
    if (answer.end === undefined) return ids
    from = answer.end
  }
  throw new Error('the pages do not end')
}

const inOrder = (events: StoredEvent[]) =>
  events.toSorted((a, b) => a.depth - b.depth || a.nid - b.nid).map(({ event_id }) => event_id)

const isLate = (a: StoredEvent, b: StoredEvent) => a.depth > b.depth || (a.depth === b.depth && a.nid >= b.nid)

describe.each(Array.from({ length: 12 }, (_, index) => index + 1))('a random room, seed %i', (seed) => {
  it('is paged completely, in both directions, from and to any position of the timeline', async () => {
    const roll = dice(seed)
    const identity = await serverIdentity(env)
    await withRoom(await roomWithMallory(), (room) => {
      begin(room)
      for (let step = 0; step < 60; step++) happen(room, identity, roll)
      const view = viewOf(room, bob)
      const visible = allEvents(room).filter((event) => view.mayRead(event))
      const filter = { types: ['m.room.m*'], not_types: ['m.room.message'] }

      expect(idsOf(room, roll, { dir: 'f' })).toEqual(inOrder(visible))
      expect(idsOf(room, roll, { dir: 'f', filter })).toEqual(
        inOrder(visible.filter(({ type }) => type === 'm.room.member')),
      )
      const all = idsOf(room, roll, { dir: 'b' }).toReversed()
      const newest = room.reader.header().pos
      expect(idsOf(room, roll, { dir: 'b', from: live(newest) }).toReversed()).toEqual(inOrder(visible))
      // Who left begins at their leave; what is open to all since then lies after it.
      expect(inOrder(visible)).toEqual(expect.arrayContaining(all))
      if (view.standing.kind === 'joined') expect(all).toEqual(inOrder(visible))

      for (let attempt = 0; attempt < 6; attempt++) {
        const [low = 0, high = 0] = [roll(newest + 1), roll(newest + 1)].toSorted((a, b) => a - b)
        const [from, to] = [live(high), live(low)]
        const upTo = visible.filter(({ pos }) => pos === undefined || pos <= high)
        expect(idsOf(room, roll, { dir: 'b', from }).toReversed()).toEqual(inOrder(upTo))

        const isLive = (id: string) => visible.some(({ event_id, pos }) => event_id === id && pos !== undefined)
        const between = upTo.filter(({ pos }) => pos !== undefined && pos > low)
        expect(idsOf(room, roll, { dir: 'b', from, to }).filter(isLive).toReversed()).toEqual(inOrder(between))
        expect(idsOf(room, roll, { dir: 'f', from: to, to: from }).filter(isLive)).toEqual(inOrder(between))
        const after = visible.filter(({ pos }) => pos !== undefined && pos > low)
        expect(idsOf(room, roll, { dir: 'f', from: to }).filter(isLive)).toEqual(inOrder(after))
      }
    })
  })

  it('can be turned round at any page', async () => {
    const roll = dice(1000 + seed)
    const identity = await serverIdentity(env)
    await withRoom(await roomWithMallory(), (room) => {
      begin(room)
      for (let step = 0; step < 40; step++) happen(room, identity, roll)
      const visible = allEvents(room).filter((event) => viewOf(room, alice).mayRead(event))
      for (const dir of ['b', 'f'] as const) {
        const middle = pick(roll, visible)
        const from = formatTimelineToken({ kind: 'history', at: { depth: middle.depth, nid: middle.nid } })
        const there = granted(messages(room, { reader: alice, dir, from, limit: 4 }, 0))
        const ids = there.chunk.map(({ event_id }) => event_id)
        if (there.end === undefined) continue
        const back = { reader: alice, dir: dir === 'b' ? 'f' : 'b', from: there.end, to: from, limit: 100 } as const
        expect(granted(messages(room, back, 0)).chunk.map(({ event_id }) => event_id)).toEqual(ids.toReversed())
        const first = visible.find(({ event_id }) => event_id === ids[0])
        expect(first && isLate(dir === 'b' ? middle : first, dir === 'b' ? first : middle)).toBe(true)
      }
    })
  })
})

const live = (pos: number) => formatTimelineToken({ kind: 'live', pos })
