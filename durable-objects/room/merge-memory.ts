/**
 * What is remembered of state resolutions: which group several groups came to, and the latest whole state.
 *
 * In a room of 10,000 members reading a whole state costs some 100 ms, and telling how the next one differs from it costs
 * next to nothing. Forks come in series.
 */
import type { StateMap } from '#protocol/events/state-map.ts'

import { Lru } from '../shared/lru.ts'
import type { GroupId } from './stored-event.ts'

/** A whole state that was read. */
export interface KnownState {
  readonly group: GroupId
  readonly state: StateMap
}

/** Some 15 MB of an object's 128. A larger state is read anew each time. */
const rememberedPlaces = 50_000

export class MergeMemory {
  /** By the merged groups' IDs in order: a fork that stays open is resolved once. */
  readonly groups = new Lru<string, GroupId>(200)
  #latest: KnownState | undefined

  get latest(): KnownState | undefined {
    return this.#latest
  }

  noteState(group: GroupId, state: StateMap): void {
    this.#latest = state.size <= rememberedPlaces ? { group, state } : undefined
  }

  /** Groups are no longer what they were: a turn was rolled back, and their IDs will be given to others. */
  forget(): void {
    this.groups.clear()
    this.#latest = undefined
  }
}
