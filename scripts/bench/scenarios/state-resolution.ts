/** Two sides of a room that went their own way for long become one state again: pure computation, in this process. */
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { resolveState } from '../../../worker/protocol/state-resolution/resolve-state.ts'
import { buildConflict } from '../conflict.ts'
import { measure, type Row } from '../measure.ts'
import type { Bench } from '../setting.ts'

/** The three algorithms: 1, 2 and 2.1. */
const versions = ['1', '11', '12'] as const

export async function* stateResolution({ sizes }: Bench): AsyncGenerator<Row> {
  for (const version of versions) {
    const conflict = { ...buildConflict(version, sizes.conflict), crypto: nodeCrypto }
    // Once before the clock runs, as a room that has been at work for a while is compiled too.
    resolveState(conflict)
    yield measure({
      name: `resolve ${sizes.conflict} events, room version ${version}`,
      pid: process.pid,
      count: sizes.resolutions,
      run: async () => void resolveState(conflict),
    })
  }
}
