/**
 * The seed of all property tests: always the same, so that a change is judged by its own faults and not by luck.
 * `HEARTH_SEED=7 npm test` draws others; a counterexample that is found so becomes a test of its own.
 */
import * as fc from 'fast-check'

const named = globalThis.process?.env['HEARTH_SEED']

export const seed = named === undefined ? 20_261_121 : Number(named)

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed })
