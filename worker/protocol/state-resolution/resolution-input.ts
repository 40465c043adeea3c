/** What a state resolution reads. It has no other source, and writes nothing. */
import type { Lookup } from '#protocol/events/pdu.ts'
import type { StateMap } from '#protocol/events/state-map.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import type { Crypto } from '#protocol/signing/crypto.ts'
import type { AuthGraph } from './auth-graph.ts'

export interface ResolutionInput {
  readonly rules: RoomVersionRules
  /** The states to resolve. Neither their order nor how often one occurs makes a difference. */
  readonly stateSets: readonly StateMap[]
  /** Finds the room's events. It must not find rejected ones. */
  readonly lookup: Lookup
  readonly graph: AuthGraph
  readonly crypto: Crypto
}
