/**
 * Events that cite what nobody has: how many of them wait, whose, and what that costs.
 * Security cases 9, 20, 22.
 */
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import { parseServerName, type ServerName } from '#protocol/identifiers/server-name.ts'
import { describe, expect, it } from 'vitest'

import { receiveStaged } from '../../../durable-objects/room/federation/receive-staged.ts'
import { maxStaged, stage, stagedCount, stagedEvents } from '../../../durable-objects/room/federation/staged.ts'
import type { Room } from '../../../durable-objects/room/room.ts'
import { build, store } from '../room/remote-events.ts'
import { makeRoom, mallory, withRoom } from '../room/rooms.ts'

function server(name: string): ServerName {
  const parsed = parseServerName(name)
  if (!parsed) throw new Error(name)
  return parsed
}
const [liar, second, honest] = [server('liar.test'), server('second.test'), server('honest.test')]

let unknown = 0
const unknownId = () => {
  const id = parseEventId(`$${String((unknown += 1)).padStart(43, 'w')}`)
  if (!id) throw new Error('no event ID')
  return id
}

/** A room with Mallory in it, who can say things. */
async function inRoom(work: (room: Room) => void): Promise<void> {
  const room = await makeRoom('11', { preset: 'public_chat' })
  await withRoom(room, (opened) => {
    const [end] = opened.reader.events(opened.reader.header().extremities)
    if (!end) throw new Error('no end')
    store(
      opened,
      build(opened, { type: 'm.room.member', stateKey: mallory, content: { membership: 'join' }, prev: [end] }),
    )
    work(opened)
  })
}

const endsOf = (room: Room) => room.reader.events(room.reader.header().extremities)
const saying = (room: Room, body: string) =>
  build(room, { type: 'm.room.message', content: { body }, prev: endsOf(room) })
/** The same event over and over, each on something else that nobody has. */
function flood(room: Room, from: ServerName, count: number, body = 'x'): number {
  const pdu = saying(room, body)
  let taken = 0
  room.transactor.turn(() => {
    for (let at = 0; at < count; at++) {
      if (stage(room, { ...pdu, event_id: unknownId(), prev_events: [unknownId()] }, from)) taken++
    }
    return { ok: true }
  })
  return taken
}
const waitingOf = (room: Room, origin: ServerName) =>
  stagedEvents(room).filter((event) => event.origin === origin).length

describe('a server that sends events on top of what nobody has', () => {
  it('fills up its own place and not that of others', () =>
    inRoom((room) => {
      expect(flood(room, liar, maxStaged.events + 100)).toBe(maxStaged.events)
      expect(flood(room, honest, 20)).toBe(20)
      expect(flood(room, liar, 20)).toBe(0)
      expect(waitingOf(room, honest)).toBe(20)
      // With a second name it gets as much again at its own cost.
      flood(room, second, maxStaged.events)
      expect(waitingOf(room, honest)).toBe(20)
      expect(stagedCount(room)).toBe(maxStaged.events)
      expect(flood(room, honest, 20)).toBe(20)
    }))

  it('cannot have more kept than fits into memory', () =>
    inRoom((room) => {
      const taken = flood(room, liar, 600, 'x'.repeat(60_000))
      expect(taken).toBeGreaterThan(200)
      expect(taken * 60_000).toBeLessThan(maxStaged.characters)
      expect(flood(room, honest, 20, 'y'.repeat(60_000))).toBe(20)
    }))

  it('does not have others wait until its own were gone for', () =>
    inRoom((room) => {
      flood(room, liar, 500)
      flood(room, honest, 2)
      expect(
        stagedEvents(room)
          .slice(0, 4)
          .map(({ origin }) => origin)
          .filter((origin) => origin === honest),
      ).toHaveLength(2)
    }))
})

describe('a chain of events that wait', () => {
  it('is received in one go, whatever their depths say', () =>
    inRoom((room) => {
      const count = 1_500
      const first = saying(room, 'first')
      let last = first
      const chain = [first]
      for (let at = 1; at < count; at++) {
        // The deeper it lies, the less deep it says it is.
        last = { ...last, event_id: unknownId(), prev_events: [last.event_id], depth: 1_000_000 - at }
        chain.push(last)
      }
      room.transactor.turn(() => {
        for (const pdu of chain) stage(room, pdu, liar)
        return { ok: true }
      })
      let told = 0
      receiveStaged(room, () => (told += 1))
      expect({ told, left: stagedCount(room) }).toEqual({ told: count, left: 0 })
    }))

  it('waits on where an auth event is missing, and goes on when it came', () =>
    inRoom((room) => {
      const topic = build(room, { type: 'm.room.topic', stateKey: '', sender: mallory, prev: endsOf(room) })
      const first = saying(room, 'first')
      const waits = { ...first, event_id: unknownId(), auth_events: [...first.auth_events, topic.event_id] }
      const heir = { ...first, event_id: unknownId(), prev_events: [waits.event_id] }
      room.transactor.turn(() => {
        for (const pdu of [heir, waits]) stage(room, pdu, honest)
        return { ok: true }
      })
      receiveStaged(room, () => undefined)
      expect(stagedCount(room)).toBe(2)
      store(room, topic)
      receiveStaged(room, () => undefined)
      expect(stagedCount(room)).toBe(0)
    }))
})
