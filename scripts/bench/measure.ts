/** Runs an operation many times and says how long each took and what the server's processes burnt for it. */
import { type Usage } from '../cost/bill.ts'
import { usageOf } from '../cost/counters.ts'
import { cpuOf } from './process-tree.ts'

export interface Row {
  readonly name: string
  /** How often it was done. */
  readonly count: number
  readonly p50: number
  readonly p95: number
  readonly perSecond: number
  /** CPU of the server's whole process tree per operation, in milliseconds; undefined where it was not the server's. */
  readonly cpu?: number | undefined
  /** What the same costs at the least, where that was measured. */
  readonly floor?: Row | undefined
  readonly note?: string | undefined
  /** What one of them would be billed for, by the units of worker/observe/meter.ts. */
  readonly used?: Usage | undefined
}

export interface Load {
  readonly name: string
  readonly pid?: number | undefined
  /** Operations in all. */
  readonly count: number
  /** How many are under way at once. */
  readonly parallel?: number
  readonly floor?: Row | undefined
  readonly note?: string
  /** The `i`th operation; done by client `client` of `parallel`. Resolves with its own milliseconds, or nothing: then we time it. */
  readonly run: (i: number, client: number) => Promise<number | void>
}

/** After so many ms without anything counted, what an operation set off is done. */
const quiet = 400

/** The same, and what one of them uses at the platform; waits before and after until nothing else is counted. */
export async function measureUse(server: Counted, load: Omit<Load, 'pid'>): Promise<Row> {
  const { metrics } = server
  if (metrics === undefined) return measure({ ...load, pid: server.pid })
  await usageOf({ metrics, quiet }, 1, async () => undefined)
  const measured: { row?: Row } = {}
  const used = await usageOf({ metrics, quiet }, load.count, async () => {
    measured.row = await measure({ ...load, pid: server.pid })
  })
  if (!measured.row) throw new Error(`${load.name} was not measured`)
  return { ...measured.row, used }
}

interface Counted {
  readonly pid: number
  readonly metrics?: string
}

export async function measure({ name, pid, count, parallel = 1, floor, note, run }: Load): Promise<Row> {
  const times: number[] = []
  const cpuBefore = pid === undefined ? 0 : cpuOf(pid)
  const start = performance.now()
  let next = 0
  const client = async (own: number): Promise<void> => {
    for (;;) {
      const i = next++
      if (i >= count) return
      const begun = performance.now()
      const told = await run(i, own)
      times.push(told ?? performance.now() - begun)
    }
  }
  await Promise.all(Array.from({ length: parallel }, (_, own) => client(own)))
  const seconds = (performance.now() - start) / 1000
  const cpu = pid === undefined ? undefined : (cpuOf(pid) - cpuBefore) / count
  return rowOf({ name, times, seconds, cpu, floor, note })
}

/** A row from the milliseconds that each operation took, and the seconds of all together. */
export function rowOf({
  times,
  seconds,
  ...rest
}: Pick<Row, 'name' | 'cpu' | 'floor' | 'note'> & { times: readonly number[]; seconds: number }): Row {
  const sorted = times.toSorted((a, b) => a - b)
  const count = sorted.length
  return { ...rest, count, p50: at(sorted, 0.5), p95: at(sorted, 0.95), perSecond: count / seconds }
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}
