import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { describe, expect, it } from 'vitest'

import { retryDelay } from '../../../durable-objects/federation-sender/backoff.ts'
import { Outgoing } from '../../../durable-objects/federation-sender/outgoing.ts'
import { Slots } from '../../../durable-objects/federation-sender/slots.ts'

const room = parseRoomId('!room:example.org')
if (!room) throw new Error('no room ID')

describe('what a destination is still to hear', () => {
  it('of a room begins where the earliest news was, and ends at the latest', () => {
    const outgoing = new Outgoing()
    outgoing.addRoom(room, 5, 6)
    outgoing.addRoom(room, 3, 4)
    outgoing.addRoom(room, 8, 9)
    expect(outgoing.rooms.get(room)).toEqual({ after: 3, pos: 9 })
  })

  it('is over when a transaction reached the latest news', () => {
    const outgoing = new Outgoing()
    outgoing.addRoom(room, 3, 9)
    expect(outgoing.roomReached(room, { after: 3, upTo: 9, more: false })).toBe(true)
    expect(outgoing.isEmpty).toBe(true)
  })

  it('goes on behind a page, and with news that came while a transaction was under way', () => {
    const outgoing = new Outgoing()
    outgoing.addRoom(room, 3, 9)
    expect(outgoing.roomReached(room, { after: 3, upTo: 7, more: true })).toBe(false)
    outgoing.addRoom(room, 9, 10)
    expect(outgoing.roomReached(room, { after: 7, upTo: 9, more: false })).toBe(false)
    expect(outgoing.rooms.get(room)).toEqual({ after: 9, pos: 10 })
  })

  it('goes back to what lies before a transaction that is under way', () => {
    const outgoing = new Outgoing()
    outgoing.addRoom(room, 8, 9)
    outgoing.addRoom(room, 3, 9)
    expect(outgoing.roomReached(room, { after: 8, upTo: 9, more: false })).toBe(false)
    expect(outgoing.rooms.get(room)).toEqual({ after: 3, pos: 9 })
    expect(outgoing.roomReached(room, { after: 3, upTo: 9, more: false })).toBe(true)
  })

  it('goes on behind a page, though nobody knew that there is more', () => {
    const outgoing = new Outgoing()
    outgoing.addRoom(room, 3, 3)
    expect(outgoing.roomReached(room, { after: 3, upTo: 7, more: true })).toBe(false)
    expect(outgoing.rooms.get(room)?.after).toBe(7)
    expect(outgoing.roomReached(room, { after: 7, upTo: 9, more: false })).toBe(true)
  })

  it('of passing EDUs is the last one of a key, once, whether it arrives or not', () => {
    const outgoing = new Outgoing()
    outgoing.addPassing('typing alice', { typing: true })
    outgoing.addPassing('typing bob', { typing: true })
    outgoing.addPassing('typing alice', { typing: false })
    expect(outgoing.takePassing(1)).toEqual([{ typing: true }])
    expect(outgoing.takePassing(5)).toEqual([{ typing: false }])
    expect(outgoing.isEmpty).toBe(true)
  })

  it('does not grow without end', () => {
    const outgoing = new Outgoing()
    for (let index = 0; index < 5000; index++) outgoing.addPassing(`receipt ${index}`, {})
    expect(outgoing.takePassing(10_000)).toHaveLength(1000)
  })
})

describe('a server that fails', () => {
  it('is tried again after five seconds, then ever later, at last once a day', () => {
    const delays = [1, 2, 3, 10, 20, 1000].map((failures) => retryDelay(failures, 0.5))
    expect(delays).toEqual([5_000, 10_000, 20_000, 2_560_000, 86_400_000, 86_400_000])
  })

  it('at a time that differs by a fifth either way', () => {
    expect([retryDelay(1, 0), retryDelay(1, 0.999)]).toEqual([4_000, 5_998])
  })
})

it('slots let so many in at once, in order, and go on after a failure', async () => {
  const slots = new Slots(2)
  const running: string[] = []
  const ends = new Map<string, () => void>()
  const work = (name: string) =>
    slots.run(async () => {
      running.push(name)
      await new Promise<void>((resolve) => ends.set(name, resolve))
      if (name === 'a') throw new Error('failed')
    })
  const [a, b, c] = [work('a').catch(() => 'failed'), work('b'), work('c')]
  await Promise.resolve()
  expect(running).toEqual(['a', 'b'])
  ends.get('a')?.()
  expect(await a).toBe('failed')
  await Promise.resolve()
  expect(running).toEqual(['a', 'b', 'c'])
  ends.get('b')?.()
  ends.get('c')?.()
  await Promise.all([b, c])
})
