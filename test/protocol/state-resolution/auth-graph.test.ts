/** Auth difference and conflicted state subgraph, beside twins that walk everything. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { StateMap } from '#protocol/events/state-map.ts'
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { authDifference, authDifferenceAtMost, conflictedSubgraph } from '#protocol/state-resolution/auth-graph.ts'
import type { AuthGraph } from '#protocol/state-resolution/auth-graph.ts'

function id(name: string | number): EventId {
  const eventId = parseEventId(`$${name}:x`)
  if (eventId === undefined) throw new Error(`${name} makes no event ID`)
  return eventId
}

function ids(...names: (string | number)[]): Set<EventId> {
  return new Set(names.map(id))
}

/** A state of events whose place is their own name, or `place=name`. */
function state(...entries: string[]): StateMap {
  return new Map(
    entries.map((entry) => {
      const [place = '', name = place] = entry.split('=')
      return [stateMapKey(place, ''), id(name)]
    }),
  )
}

/** A graph by its links, oldest event first; counts what it is asked. */
function graphOf(links: Readonly<Record<string, string>>) {
  const auth = new Map(Object.entries(links).map(([name, to]) => [id(name), to === '' ? [] : to.split(' ').map(id)]))
  const orders = new Map([...auth.keys()].map((eventId, order) => [eventId, order]))
  const asked = { authEvents: 0, order: 0 }
  const graph: AuthGraph = {
    authEvents: (eventId) => {
      asked.authEvents += 1
      return auth.get(eventId) ?? []
    },
    order: (eventId) => {
      asked.order += 1
      return orders.get(eventId) ?? -1
    },
  }
  return { graph, asked }
}

/** All that an event leads to, itself included. */
function chainOf(start: Iterable<EventId>, graph: AuthGraph): Set<EventId> {
  const chain = new Set<EventId>()
  const waiting = [...start]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (chain.has(next)) continue
    chain.add(next)
    waiting.push(...graph.authEvents(next))
  }
  return chain
}

function naiveDifference(stateSets: readonly StateMap[], graph: AuthGraph): Set<EventId> {
  const chains = stateSets.map((stateSet) => chainOf(stateSet.values(), graph))
  const union = new Set(chains.flatMap((chain) => [...chain]))
  return new Set([...union].filter((eventId) => !chains.every((chain) => chain.has(eventId))))
}

function naiveSubgraph(conflicted: ReadonlySet<EventId>, graph: AuthGraph): Set<EventId> {
  const onPath = new Set<EventId>()
  for (const from of conflicted) {
    for (const between of chainOf([from], graph)) {
      for (const to of conflicted) {
        if (from !== to && chainOf([between], graph).has(to)) onPath.add(between)
      }
    }
  }
  return onPath
}

describe('the auth difference', () => {
  //  create ◄── alice ◄── powers ◄── topic1
  //                         ▲ ◄───── topic2
  const { graph } = graphOf({
    create: '',
    alice: 'create',
    powers: 'create alice',
    older: 'create alice',
    topic1: 'create alice powers',
    topic2: 'create alice powers',
    topic3: 'create alice older',
  })

  it('is empty for one state and for states that agree', () => {
    expect(authDifference([], graph)).toEqual(ids())
    expect(authDifference([state('topic1')], graph)).toEqual(ids())
    expect(authDifference([state('topic1'), state('topic1'), state('topic1')], graph)).toEqual(ids())
  })

  it('holds what some states lead to and others do not', () => {
    expect(authDifference([state('topic1'), state('topic2')], graph)).toEqual(ids('topic1', 'topic2'))
    expect(authDifference([state('topic1'), state('topic3')], graph)).toEqual(
      ids('topic1', 'topic3', 'powers', 'older'),
    )
    expect(authDifference([state('topic1'), state()], graph)).toEqual(ids('topic1', 'powers', 'alice', 'create'))
  })

  it('counts the events of a state among its chain', () => {
    expect(authDifference([state('powers', 'topic1'), state('powers')], graph)).toEqual(ids('topic1'))
  })

  it('does not stop at common events: there may be a longer way round', () => {
    // From a and b, c is common; e is reached from a only by way of c.
    const tricky = graphOf({ e: '', d: 'e', c: 'd', a: 'c', b: 'c e' })
    expect(authDifference([state('a'), state('b')], tricky.graph)).toEqual(ids('a', 'b'))
  })

  it('tells many states apart', () => {
    const many = graphOf(Object.fromEntries(Array.from({ length: 80 }, (_, n) => [`e${n}`, n === 0 ? '' : 'e0'])))
    const stateSets = Array.from({ length: 79 }, (_, n) => state(`e${n + 1}`))
    const expected = ids(...Array.from({ length: 79 }, (_, n) => `e${n + 1}`))
    expect(authDifference(stateSets, many.graph)).toEqual(expected)
  })

  it('does not walk what lies below the common ground', () => {
    const links: Record<string, string> = { e0: '' }
    for (let n = 1; n < 10_000; n++) links[`e${n}`] = `e${n - 1}`
    const long = graphOf({ ...links, left: 'e9998', right: 'e9999' })
    expect(authDifference([state('left'), state('right')], long.graph)).toEqual(ids('left', 'right', 'e9999'))
    expect(long.asked.authEvents).toBeLessThan(10)
  })
})

describe('the upper bound of the auth difference', () => {
  it('asks nothing about a large common state', () => {
    const members = Array.from({ length: 5000 }, (_, n) => `m${n}`)
    const links = Object.fromEntries(members.map((name) => [name, 'create']))
    const { graph, asked } = graphOf({ create: '', ...links, left: 'create m1', right: 'create m2' })
    const common = ['create', ...members]
    const unconflicted = ids(...common)
    const stateSets = [state(...common, 'topic=left'), state(...common, 'topic=right')]
    expect(authDifferenceAtMost(stateSets, unconflicted, graph)).toEqual(ids('left', 'right'))
    expect(asked.order + asked.authEvents).toBeLessThan(10)
    expect(authDifference(stateSets, graph)).toEqual(ids('left', 'right'))
  })
})

describe('the conflicted state subgraph', () => {
  //  create ◄── p1 ◄── p2 ◄── p3 ◄── join      and join2, which cites p1 again
  const { graph } = graphOf({
    create: '',
    p1: 'create',
    p2: 'p1',
    p3: 'p2',
    join: 'p3',
    join2: 'p1 join',
    apart: 'create',
  })

  it('is what lies on a way from one conflicting event to another', () => {
    expect(conflictedSubgraph(ids('p1', 'join'), graph)).toEqual(ids('p1', 'p2', 'p3', 'join'))
    expect(conflictedSubgraph(ids('p3', 'join2'), graph)).toEqual(ids('p3', 'join', 'join2'))
    expect(conflictedSubgraph(ids('p1', 'join2', 'apart'), graph)).toEqual(ids('p1', 'p2', 'p3', 'join', 'join2'))
  })

  it('is empty where no conflicting event leads to another', () => {
    expect(conflictedSubgraph(ids(), graph)).toEqual(ids())
    expect(conflictedSubgraph(ids('join'), graph)).toEqual(ids())
    expect(conflictedSubgraph(ids('join', 'apart'), graph)).toEqual(ids())
  })

  it('does not walk what is older than all of them', () => {
    const links: Record<string, string> = { e0: '' }
    for (let n = 1; n < 10_000; n++) links[`e${n}`] = `e${n - 1}`
    const long = graphOf({ ...links, top: 'e9999' })
    expect(conflictedSubgraph(ids('e9998', 'top'), long.graph)).toEqual(ids('e9998', 'e9999', 'top'))
    expect(long.asked.authEvents).toBeLessThan(10)
  })
})

it('chains of any length are walked without recursion', () => {
  const links: Record<string, string> = { e0: '' }
  for (let n = 1; n < 60_000; n++) links[`e${n}`] = `e${n - 1}`
  const { graph } = graphOf(links)
  expect(authDifference([state('e59999'), state()], graph).size).toBe(60_000)
  expect(conflictedSubgraph(ids('e0', 'e59999'), graph).size).toBe(60_000)
})

it('a graph whose order is not topological is refused', () => {
  const { graph } = graphOf({ newer: 'older', older: '', other: 'older' })
  expect(() => authDifference([state('newer'), state('other')], graph)).toThrow('not topological')
  expect(() => conflictedSubgraph(ids('newer', 'other'), graph)).toThrow('not topological')
})

describe('in random graphs', () => {
  /** Up to 30 events that each cite a few older ones, numbered with gaps, and some states made of them. */
  const rooms = fc
    .array(fc.tuple(fc.array(fc.nat({ max: 1000 }), { maxLength: 4 }), fc.integer({ min: 1, max: 5 })), {
      minLength: 1,
      maxLength: 30,
    })
    .chain((written) => {
      const links = new Map<EventId, EventId[]>()
      const orders = new Map<EventId, number>()
      let order = 0
      written.forEach(([cited, gap], n) => {
        const older = n === 0 ? [] : [...new Set(cited.map((choice) => choice % n))]
        links.set(id(n), older.map(id))
        orders.set(id(n), (order += gap))
      })
      const graph: AuthGraph = {
        authEvents: (eventId) => links.get(eventId) ?? [],
        order: (eventId) => orders.get(eventId) ?? -1,
      }
      const event = fc.nat({ max: written.length - 1 })
      // Few places, so that states contradict each other, and agree.
      const states = fc.array(
        fc
          .array(fc.tuple(fc.nat({ max: 5 }), event), { maxLength: 6 })
          .map((entries): StateMap => new Map(entries.map(([place, n]) => [stateMapKey(`p${place}`, ''), id(n)]))),
        { minLength: 1, maxLength: 5 },
      )
      const conflicted = fc.uniqueArray(event, { maxLength: 6 }).map((names) => ids(...names))
      return fc.record({ graph: fc.constant(graph), states, conflicted })
    })

  it('the auth difference is what full walks find', () => {
    fc.assert(
      fc.property(rooms, ({ graph, states }) => {
        expect(authDifference(states, graph)).toEqual(naiveDifference(states, graph))
      }),
      { numRuns: 1000 },
    )
  })

  it('the upper bound holds all of it', () => {
    fc.assert(
      fc.property(rooms, ({ graph, states }) => {
        const [first = new Map(), ...others] = states
        const unconflicted = new Set(
          [...first]
            .filter(([key, value]) => others.every((other) => other.get(key) === value))
            .map(([, value]) => value),
        )
        const atMost = authDifferenceAtMost(states, unconflicted, graph)
        for (const eventId of naiveDifference(states, graph)) expect(atMost).toContain(eventId)
      }),
      { numRuns: 1000 },
    )
  })

  it('the conflicted state subgraph is what full walks find', () => {
    fc.assert(
      fc.property(rooms, ({ graph, conflicted }) => {
        expect(conflictedSubgraph(conflicted, graph)).toEqual(naiveSubgraph(conflicted, graph))
      }),
      { numRuns: 1000 },
    )
  })
})
