/** How long the two sides of a large conflict take to become one state again. */
import { nodeCrypto } from '../../worker/node-crypto.ts'
import { resolveState } from '../../worker/protocol/state-resolution/resolve-state.ts'
import { buildConflict } from './conflict.ts'

export interface ResolutionTime {
  readonly name: string
  /** How many events were sent on the two sides together. */
  readonly events: number
  /** Milliseconds of one resolution. */
  readonly ms: number
}

/** Resolves a conflict of this many events, once to warm up and once by the clock. */
export function benchStateResolution(version: '1' | '11' | '12' = '12', events = 10_000): ResolutionTime {
  const conflict = buildConflict(version, events)
  resolveState({ ...conflict, crypto: nodeCrypto })
  const begun = performance.now()
  resolveState({ ...conflict, crypto: nodeCrypto })
  return { name: `resolve a conflict, room version ${version}`, events, ms: performance.now() - begun }
}
