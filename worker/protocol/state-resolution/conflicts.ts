/**
 * Which parts of several states agree and which do not.
 *
 * Spec: rooms/v1 "State resolution" and rooms/v2 "Definitions" (unconflicted state map, conflicted state set). They differ
 * in one point: what only some of the states have is a conflict from version 2 on, and none in version 1.
 */
import type { StateMap, StateMapKey } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'

export interface Conflicts {
  readonly unconflicted: Map<StateMapKey, EventId>
  /** For each place in the state the events that claim it. */
  readonly conflicted: Map<StateMapKey, Set<EventId>>
}

/** `absenceConflicts` tells whether a state without the key contradicts one that has it. */
export function separateConflicts(stateSets: readonly StateMap[], absenceConflicts: boolean): Conflicts {
  const unconflicted = new Map<StateMapKey, EventId>()
  const conflicted = new Map<StateMapKey, Set<EventId>>()
  stateSets.forEach((stateSet, index) => {
    for (const [key, id] of stateSet) {
      const claims = conflicted.get(key)
      const agreed = unconflicted.get(key)
      if (claims !== undefined) {
        claims.add(id)
      } else if (agreed === undefined && (index === 0 || !absenceConflicts)) {
        unconflicted.set(key, id)
      } else if (agreed !== id) {
        conflicted.set(key, new Set(agreed === undefined ? [id] : [agreed, id]))
        unconflicted.delete(key)
      }
    }
    if (!absenceConflicts) return
    for (const [key, id] of unconflicted) {
      if (stateSet.has(key)) continue
      conflicted.set(key, new Set([id]))
      unconflicted.delete(key)
    }
  })
  return { unconflicted, conflicted }
}
