/**
 * Every state that Synapse resolved in hundreds of forked rooms, resolved here: the same events must hold the same places.
 * How the rooms came about is told in test/fixtures/generate/state_resolution.py.
 */
import { describe, expect, test } from 'vitest'
import { splitStateMapKey } from '#protocol/events/state-map.ts'
import type { StateMap } from '#protocol/events/state-map.ts'
import { resolveState } from '#protocol/state-resolution/resolve-state.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { idsDigest, readRooms, versionsWithRooms } from './synapse-rooms.ts'
import type { SynapseRoom } from './synapse-rooms.ts'

describe.each(versionsWithRooms)('room version %s', (version) => {
  const rooms = readRooms(version)

  test('events have the IDs that Synapse gave them', () => {
    for (const room of rooms) expect(idsDigest(room.events)).toBe(room.ids)
  })

  test('states resolve as in Synapse', () => {
    let cases = 0
    rooms.forEach((room, number) => {
      room.cases.forEach((one, index) => {
        const resolved = resolveState({ ...room, stateSets: one.stateSets, crypto: nodeCrypto })
        expect(readable(room, resolved), `room ${number}, case ${index}`).toEqual(readable(room, one.resolved))
        cases += 1
      })
    })
    expect(cases).toBeGreaterThan(500)
  })
})

/** Which event, by its place among the room's events, holds what. */
function readable({ graph }: SynapseRoom, state: StateMap): string[] {
  return [...state].map(([key, id]) => `${splitStateMapKey(key).join(' ')} = ${graph.order(id)}`).sort()
}
