/**
 * Random histories of two servers: at every event the room must have the state that plain maps and the core's resolution
 * come to, however the DAG forks and meets.
 */
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { type StateMap, stateMapKey } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { resolveState, stateAfter } from '#protocol/state-resolution/resolve-state.ts'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stateAfterAll } from '../../../durable-objects/room/append.ts'
import { type Room, stateLookup } from '../../../durable-objects/room/room.ts'
import { type GroupId, outcomes, type StoredEvent } from '../../../durable-objects/room/stored-event.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { build, type Remote, store } from './remote-events.ts'
import { alice, bob, join, makeRoom, mallory, user, withRoom } from './rooms.ts'
import { seed } from '../../dsl/seed.ts'

const dave = user('@dave:localhost:1')
const senders = [mallory, dave, bob] as const

/** What may happen; much of it is not allowed in most states. */
function happening(kind: number, sender: number, at: number): Omit<Remote, 'prev'> {
  const by = senders[sender % senders.length] ?? mallory
  const member = (target: typeof bob, membership: string) => ({
    type: 'm.room.member',
    stateKey: target,
    sender: by,
    content: { membership, at },
  })
  switch (kind % 10) {
    case 0:
      return { type: 'm.room.message', sender: by, content: { at } }
    case 1:
      return { type: 'm.room.topic', stateKey: '', sender: by, content: { topic: `${at}` } }
    case 2:
      return member(dave, 'ban')
    case 3:
      return member(dave, 'leave')
    case 4:
      return member(by, 'join')
    case 5:
      return member(by, 'leave')
    case 6:
      return member(bob, 'ban')
    case 7:
      return {
        type: 'm.room.join_rules',
        stateKey: '',
        sender: by,
        content: { join_rule: at % 2 ? 'invite' : 'public' },
      }
    case 8:
      return { type: 'org.example.note', stateKey: `${sender}${at % 3}`, sender: by, content: { at } }
    default:
      return {
        type: 'm.room.power_levels',
        stateKey: '',
        sender: by,
        content: {
          users: { [mallory]: 50, [dave]: at % 2 ? 50 : 0 },
          events: { 'm.room.topic': 0, 'org.example.note': 0 },
        },
      }
  }
}

const step = fc.record({
  kind: fc.nat(9),
  sender: fc.nat(2),
  /** How far back the event's prev_events lie. */
  prev: fc.uniqueArray(fc.nat(5), { minLength: 1, maxLength: 3 }),
})

/** Plain memory of a history: each event with the states around it. */
interface Naive {
  readonly order: Map<EventId, number>
  readonly pdus: Map<EventId, Pdu>
  readonly after: Map<EventId, StateMap>
}

function naiveStateBefore(room: Room, { order, pdus, after }: Naive, prev: readonly StoredEvent[]): StateMap {
  return resolveState({
    rules: room.reader.rules,
    stateSets: prev.map(({ event_id }) => after.get(event_id) ?? new Map()),
    lookup: (id) => pdus.get(id),
    graph: { order: (id) => order.get(id) ?? 0, authEvents: (id) => pdus.get(id)?.auth_events ?? [] },
    crypto: nodeCrypto,
  })
}

function stored(room: Room, group: GroupId | undefined): StateMap {
  const state = room.groups.readAll(group ?? room.groups.empty())
  return new Map([...state].map(([key, nid]) => [key, room.reader.eventOf(nid).event_id]))
}

function note(naive: Naive, pdu: Pdu, before: StateMap, isRejected: boolean): void {
  naive.order.set(pdu.event_id, naive.order.size + 1)
  // A resolution must not find rejected events.
  if (!isRejected) naive.pdus.set(pdu.event_id, pdu)
  naive.after.set(pdu.event_id, isRejected ? before : stateAfter(before, pdu))
}

describe.each(['1', '2', '6', '11', '12'] satisfies RoomVersion[])('room version %s', (version) => {
  it('has the state of plain maps at every event of any history', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const room = await makeRoom(version, {
          preset: 'public_chat',
          powerLevelContentOverride: {
            users: { ...(version === '12' ? {} : { [alice]: 100 }), [mallory]: 50 },
            events: { 'org.example.note': 0 },
          },
        })
        await join(room, bob)
        await withRoom(room, (opened) => {
          const { reader } = opened
          const naive: Naive = { order: new Map(), pdus: new Map(), after: new Map() }
          const history: StoredEvent[] = []
          let state: StateMap = new Map()
          for (let nid = 1; nid <= reader.lastNid(); nid++) {
            const event = reader.eventOf(nid)
            expect(stored(opened, event.stateBefore)).toEqual(state)
            note(naive, event.pdu, state, false)
            state = naive.after.get(event.event_id) ?? state
            history.push(event)
          }
          // From here on both servers talk at once.
          const start = history.length - 1
          for (const [at, { kind, sender, prev }] of steps.entries()) {
            const back = prev.map((distance) => Math.max(start, history.length - 1 - distance))
            const before = [...new Set(back)].map((index) => history[index]).filter((event) => event !== undefined)
            const expected = naiveStateBefore(opened, naive, before)
            const group = stateAfterAll(opened, before)
            expect(stored(opened, group)).toEqual(expected)
            const pdu = build(opened, { ...happening(kind, sender, at), prev: before })
            const verdict = checkAuthRules(reader.rules, pdu, stateLookup(opened, group), nodeCrypto)
            const outcome = verdict.ok ? outcomes.accepted : outcomes.rejected
            const { event } = store(opened, pdu, { outcome, stateBefore: group })
            note(naive, pdu, expected, !verdict.ok)
            expect(stored(opened, event.stateAfter)).toEqual(naive.after.get(pdu.event_id))
            history.push(event)

            // The present: what all ends together amount to, in the group and spread out in the table.
            const ends = reader.events(reader.header().extremities)
            const present = naiveStateBefore(opened, naive, ends)
            expect(stored(opened, reader.header().currentGroup)).toEqual(present)
            const table = reader.sql.exec<{ type: string; state_key: string; event_nid: number }>(
              'SELECT type, state_key, event_nid FROM current_state',
            )
            const places = [...table].map(
              (row) => [stateMapKey(row.type, row.state_key), reader.eventOf(row.event_nid).event_id] as const,
            )
            expect(new Map(places)).toEqual(present)
            const joined = [alice, bob].filter(
              (each) => reader.current('m.room.member', each)?.pdu.content['membership'] === 'join',
            )
            expect(reader.localJoined()).toEqual(new Set(joined))
          }
        })
      }),
      { numRuns: 12, seed },
    )
  })
})
