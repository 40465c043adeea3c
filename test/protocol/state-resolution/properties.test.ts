/** What holds for every resolution, asked of the rooms that Synapse made with any of the states that they ever had. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { StateMap } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { resolveState } from '#protocol/state-resolution/resolve-state.ts'
import { buildConflict } from '../../../scripts/bench/conflict.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { timeline } from '../../dsl/room-timeline.ts'
import { alice, bob, user } from '../../dsl/users.ts'
import { readRooms, versionsWithRooms } from './synapse-rooms.ts'
import type { SynapseRoom } from './synapse-rooms.ts'

function resolve(room: SynapseRoom, stateSets: readonly StateMap[]): StateMap {
  return resolveState({ ...room, stateSets, crypto: nodeCrypto })
}

/** Numbers only, so that a counterexample can be read. */
const choices = fc.record({
  room: fc.nat(),
  states: fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
  order: fc.array(fc.nat({ max: 4 }), { maxLength: 8 }),
})

describe.each(versionsWithRooms)('in room version %s', (version) => {
  const rooms = readRooms(version).filter((room) => room.events.length < 100)

  function check(holds: (room: SynapseRoom, states: StateMap[], order: readonly number[]) => void): void {
    fc.assert(
      fc.property(choices, (choice) => {
        const room = rooms[choice.room % rooms.length]
        if (room === undefined) throw new Error('there are no rooms')
        const states = choice.states.flatMap((place) => room.states[place % room.states.length] ?? [])
        holds(room, states, choice.order)
      }),
      { numRuns: 150 },
    )
  }

  it('neither the order of the states nor how often one is given makes a difference', () => {
    check((room, states, order) => {
      const again = order.flatMap((place) => states[place] ?? [])
      expect(resolve(room, [...again, ...states.toReversed()])).toEqual(resolve(room, states))
    })
  })

  it('states that are the same resolve to themselves', () => {
    check((room, [state = new Map(), ...others]) => {
      const same = [state, ...others.map(() => new Map([...state].reverse()))]
      expect(resolve(room, same)).toEqual(state)
    })
  })

  it('what was resolved resolves to itself', () => {
    check((room, states) => {
      const resolved = resolve(room, states)
      expect(resolve(room, [resolved, new Map(resolved)])).toEqual(resolved)
    })
  })

  it('what all states agree on stays', () => {
    check((room, states) => {
      const [first = new Map(), ...others] = states
      const resolved = resolve(room, states)
      for (const [key, id] of first) {
        if (others.every((other) => other.get(key) === id)) expect(resolved.get(key)).toBe(id)
      }
    })
  })

  it('nothing comes from anywhere but the states and what they lead to', () => {
    check((room, states) => {
      const reachable = new Set<EventId>()
      const waiting = states.flatMap((state) => [...state.values()])
      for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
        if (reachable.has(id)) continue
        reachable.add(id)
        waiting.push(...room.graph.authEvents(id))
      }
      for (const id of resolve(room, states).values()) expect(reachable).toContain(id)
    })
  })

  it('the states given are left as they were', () => {
    check((room, states) => {
      const copies = states.map((state) => new Map(state))
      resolve(room, states)
      expect(states).toEqual(copies)
    })
  })
})

describe('the work', () => {
  function lookUps(version: '1' | '11' | '12', events: number): number {
    const conflict = buildConflict(version, events)
    let asked = 0
    const count = <T>(answer: T): T => {
      asked += 1
      return answer
    }
    const { lookup, graph } = conflict
    const counting = {
      ...conflict,
      lookup: (id: EventId) => count(lookup(id)),
      graph: {
        authEvents: (id: EventId) => count(graph.authEvents(id)),
        order: (id: EventId) => count(graph.order(id)),
      },
      crypto: nodeCrypto,
    }
    expect(resolveState(counting).size).toBeGreaterThan(events / 10)
    return asked
  }

  it.each(['2', '12'] as const)('of a small conflict does not grow with the room, in room version %s', (version) => {
    const room = timeline(version).publicChat({ creator: alice, moderator: bob })
    for (let n = 0; n < 300; n++) room.join(user(`@member${n}:m.example`))
    const [left, right] = room.fork()
    left.setTopic(alice, 'left')
    right.setTopic(bob, 'right')
    let asked = 0
    const counted = <T>(answer: (id: EventId) => T) => {
      return (id: EventId): T => {
        asked += 1
        return answer(id)
      }
    }
    const { rules, graph, lookup } = room
    const resolved = resolveState({
      rules,
      stateSets: [left.state, right.state],
      lookup: counted(lookup),
      graph: { authEvents: counted((id) => graph.authEvents(id)), order: counted((id) => graph.order(id)) },
      crypto: nodeCrypto,
    })
    expect(resolved).toEqual(right.state)
    expect(asked).toBeLessThan(50)
  })

  it.each(['1', '11', '12'] as const)(
    'grows with the conflict and not with its square, in room version %s',
    (version) => {
      const small = lookUps(version, 2_000)
      const large = lookUps(version, 16_000)
      expect(large).toBeLessThan(small * 8 * 2)
    },
  )
})
