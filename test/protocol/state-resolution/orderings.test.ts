/** The orders in which events are checked, beside the definitions of the specification taken at their word. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Lookup, Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { compareCodePoints } from '#protocol/json/canonical-json.ts'
import { senderLevel } from '#protocol/state-resolution/cited-events.ts'
import { mainlineOrdering, reverseTopologicalPowerOrdering } from '#protocol/state-resolution/orderings.ts'
import { PriorityQueue } from '#protocol/state-resolution/priority-queue.ts'
import { timeline } from '../../dsl/room-timeline.ts'
import type { RoomTimeline } from '../../dsl/room-timeline.ts'
import { alice, bob, carol, dave } from '../../dsl/users.ts'
import { readRooms } from './synapse-rooms.ts'

function orderOf(room: RoomTimeline, events: readonly EventId[]): EventId[] {
  const orders = [events, events.toReversed()].map((ids) =>
    reverseTopologicalPowerOrdering(room.rules, ids, room.lookup),
  )
  expect(orders[0]).toEqual(orders[1])
  return orders[0] ?? []
}

describe('reverse topological power ordering', () => {
  const room = () => timeline('11').publicChat({ creator: alice, moderator: bob, members: [carol] })

  it('takes the sender with more power first, then the earlier event, then the lesser event ID', () => {
    const branches = room().forkInto(4)
    const sent = branches.map((branch, index) => {
      const [sender, at] = (
        [
          [carol, 1],
          [bob, 5],
          [alice, 9],
          [bob, 3],
        ] as const
      )[index] ?? [alice, 0]
      return branch
        .join(sender, { displayname: 'new' })
        .draft('m.room.member', sender, { membership: 'join' }, sender, {
          at,
        })
    })
    const [first = room()] = branches
    for (const pdu of sent) first.append(pdu)
    const ids = sent.map((pdu) => pdu.event_id)
    expect(orderOf(first, ids)).toEqual([ids[2], ids[3], ids[1], ids[0]])

    const twins = room()
    const tied = [1, 2, 3].map((n) => twins.draft('m.room.topic', '', { topic: `${n}` }, alice, { at: 1 }))
    for (const pdu of tied) twins.append(pdu)
    expect(
      orderOf(
        twins,
        tied.map((pdu) => pdu.event_id),
      ),
    ).toEqual(tied.map((pdu) => pdu.event_id).sort(compareCodePoints))
  })

  it('never takes an event before one that it cites, however powerful its sender', () => {
    const branch = room()
    const weak = branch.join(carol, { displayname: 'Carol' }).lastId
    const strong = branch.kick(alice, carol).lastId
    expect(branch.last.pdu.auth_events).toContain(weak)
    expect(orderOf(branch, [strong, weak])).toEqual([weak, strong])
  })

  it('goes by the power that the auth events tell, not by later ones', () => {
    const branch = room()
    const topic = branch.setTopic(bob, 'as a moderator').lastId
    branch.setPowerLevels(alice, { users: { [alice]: 100, [bob]: 10 }, state_default: 0 })
    const later = branch.setTopic(bob, 'as nobody').lastId
    branch.setPowerLevels(alice, { users: { [alice]: 100, [dave]: 20 } })
    const pdus = [topic, later].map(branch.lookup)
    expect(pdus.map((pdu) => pdu && senderLevel(branch.rules, pdu, branch.lookup))).toEqual([50, 10])
  })

  it('counts creators above all, and before there are power levels the creator for 100', () => {
    for (const [version, level] of [
      ['10', 100],
      ['11', 100],
      ['12', Infinity],
    ] as const) {
      const begun = timeline(version).create(alice).join(alice).setTopic(alice, 'new')
      expect(senderLevel(begun.rules, begun.last.pdu, begun.lookup)).toBe(level)
    }
  })

  it('leaves out what is not found', () => {
    const branch = room()
    const ids = [branch.setTopic(bob, 'one').lastId, branch.setTopic(alice, 'two').lastId]
    const lookup: Lookup = (id) => (id === ids[0] ? undefined : branch.lookup(id))
    expect(reverseTopologicalPowerOrdering(branch.rules, ids, lookup)).toEqual([ids[1]])
  })
})

describe('mainline ordering', () => {
  it('takes events of older power levels first, then earlier ones; those without power levels first of all', () => {
    const room = timeline('11').create(alice).join(alice).setTopic(alice, 'before there were power levels')
    const none = room.lastId
    const levels = { users: { [alice]: 100 } }
    const old = room.setPowerLevels(alice, levels).setTopic(alice, 'under the first').lastId
    const late = room.setPowerLevels(alice, { ...levels, ban: 60 }).setTopic(alice, 'under the second').lastId
    const early = room.send('m.room.topic', '', { topic: 'earlier' }, alice, { at: 1 }).lastId
    const mainline = room.setPowerLevels(alice, { ...levels, ban: 70 }).lastId
    const ids = [late, early, none, old]
    expect(mainlineOrdering(ids, mainline, room.lookup)).toEqual([none, old, early, late])
    expect(mainlineOrdering(ids, undefined, room.lookup)).toEqual([early, none, old, late])
  })

  it('walks a long line of power levels that lost once, and not once for each event', () => {
    const [main, side] = timeline('11').publicChat({ creator: alice }).fork()
    const ids = Array.from({ length: 60 }, (_, ban) => {
      side.setPowerLevels(alice, { users: { [alice]: 100 }, ban })
      return side.setTopic(alice, `topic ${ban}`).lastId
    })
    let asked = 0
    const lookup: Lookup = (id) => {
      asked += 1
      return main.lookup(id)
    }
    expect(mainlineOrdering(ids, main.current('m.room.power_levels').event_id, lookup)).toEqual(ids)
    expect(asked).toBeLessThan(60 * 12)
  })

  it('finds the way back to the mainline from power levels that lost', () => {
    const room = timeline('11').publicChat({ creator: alice, members: [bob] })
    const levels = { users: { [alice]: 100 } }
    const [main, side] = room.setPowerLevels(alice, { ...levels, ban: 55 }).fork()
    const onSide = side.setPowerLevels(alice, { ...levels, ban: 60 }).setTopic(alice, 'side').lastId
    const onMain = main.setPowerLevels(alice, { ...levels, ban: 65 }).setTopic(alice, 'main').lastId
    const mainline = main.current('m.room.power_levels').event_id
    expect(mainlineOrdering([onMain, onSide], mainline, room.lookup)).toEqual([onSide, onMain])
  })
})

describe('in rooms that Synapse made', () => {
  const rooms = [...readRooms('6'), ...readRooms('12')].filter((room) => room.events.length < 100)
  // Numbers only, so that a counterexample can be read.
  const samples = fc.record({ room: fc.nat(), events: fc.uniqueArray(fc.nat({ max: 60 })), powerLevels: fc.nat() })

  function sampled(choice: { readonly room: number; readonly events: readonly number[] }) {
    const room = rooms[choice.room % rooms.length]
    if (room === undefined) throw new Error('there are no rooms')
    const accepted = room.events.filter((pdu) => room.lookup(pdu.event_id) !== undefined)
    const pdus = choice.events.flatMap((place) => accepted[place] ?? []).filter((pdu) => pdu.state_key !== undefined)
    return { rules: room.rules, lookup: room.lookup, accepted, pdus, ids: pdus.map((pdu) => pdu.event_id) }
  }

  it('the power ordering is the least of all that keep events after what they cite', () => {
    fc.assert(
      fc.property(samples, (choice) => {
        const { rules, lookup, pdus, ids } = sampled(choice)
        // By the definition: of those whose cited events have all been taken, the least comes next.
        const waiting = new Set(pdus)
        const expected: EventId[] = []
        while (waiting.size > 0) {
          const left = new Set([...waiting].map((pdu) => pdu.event_id))
          const candidates = [...waiting].filter((pdu) => !pdu.auth_events.some((id) => left.has(id)))
          const rank = (pdu: Pdu) => [-senderLevel(rules, pdu, lookup), pdu.origin_server_ts] as const
          const [least] = candidates
            .filter(
              (pdu) => pdu.type === 'm.room.create' || !candidates.some((other) => other.type === 'm.room.create'),
            )
            .sort((x, y) => {
              const [[xLevel, xTs], [yLevel, yTs]] = [rank(x), rank(y)]
              return xLevel === yLevel ? xTs - yTs || (x.event_id < y.event_id ? -1 : 1) : xLevel < yLevel ? -1 : 1
            })
          if (least === undefined) break
          waiting.delete(least)
          expected.push(least.event_id)
        }
        expect(reverseTopologicalPowerOrdering(rules, ids, lookup)).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })

  it('the mainline ordering is that of the written definition', () => {
    fc.assert(
      fc.property(samples, (choice) => {
        const { lookup, accepted, pdus, ids } = sampled(choice)
        const levels = accepted.filter((pdu) => pdu.type === 'm.room.power_levels')
        const start = levels[choice.powerLevels % Math.max(1, levels.length)]
        const cited = (pdu: Pdu | undefined) =>
          pdu?.auth_events.map(lookup).find((auth) => auth?.type === 'm.room.power_levels')
        const mainline: (Pdu | undefined)[] = []
        for (let pdu = start; pdu !== undefined; pdu = cited(pdu)) mainline.push(pdu)
        const position = (pdu: Pdu): number => {
          for (let e = cited(pdu); e !== undefined; e = cited(e)) if (mainline.includes(e)) return mainline.indexOf(e)
          return Infinity
        }
        const expected = pdus.toSorted((x, y) => {
          const [xAt, yAt] = [position(x), position(y)]
          if (xAt !== yAt) return xAt > yAt ? -1 : 1
          return x.origin_server_ts - y.origin_server_ts || (x.event_id < y.event_id ? -1 : 1)
        })
        expect(mainlineOrdering(ids, start?.event_id, lookup)).toEqual(expected.map((pdu) => pdu.event_id))
      }),
      { numRuns: 300 },
    )
  })
})

it('a priority queue yields what it holds in order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.array(fc.integer()), (first, second) => {
      const queue = new PriorityQueue<number>((a, b) => a - b)
      for (const value of first) queue.push(value)
      const taken = first.slice(0, first.length / 2).flatMap(() => queue.pop() ?? [])
      for (const value of second) queue.push(value)
      const rest: number[] = []
      for (let value = queue.pop(); value !== undefined; value = queue.pop()) rest.push(value)
      const ascending = first.toSorted((a, b) => a - b)
      expect(taken).toEqual(ascending.slice(0, taken.length))
      expect(rest).toEqual([...ascending.slice(taken.length), ...second].sort((a, b) => a - b))
      expect(queue.pop()).toBeUndefined()
    }),
  )
})
