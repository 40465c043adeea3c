/** From what an operation uses and how often it happens to a month's bill. Pure. */
import { basePrice, type Billed, prices } from './prices.ts'
import type { Profile } from './profiles.ts'

/** What one operation uses: counters of worker/observe/meter.ts. */
export type Usage = Readonly<Record<string, number>>

export interface Line {
  readonly name: string
  readonly aMonth: number
  /** Dollars beyond what is included. */
  readonly cost: number
  readonly fitsFree: boolean
}

export interface Bill {
  readonly profile: string
  readonly lines: readonly Line[]
  /** Dollars a month on the paid plan. */
  readonly total: number
  /** Whether a day fits into what the free plan gives. */
  readonly fitsFree: boolean
}

const daysAMonth = 30
/** An object has 128 MB, whatever it uses of them. */
const gbOfAnObject = 0.128
/** Assumed: at Cloudflare everything is further away than on the machine where it is counted. */
const leastMsOfAnObject = 10
/** No counter tells the CPU time of a request at Cloudflare; assumed. */
const cpuMsOfARequest = 5

/** The bill of a profile. An operation of the profile that was not measured is an error: it would cost nothing. */
export function billOf({ name, perDay }: Profile, measured: ReadonlyMap<string, Usage>): Bill {
  const day: Record<Billed, number> = {
    worker_requests: 0,
    worker_cpu_ms: 0,
    object_requests: 0,
    object_gb_s: 0,
    object_rows_read: 0,
    object_rows_written: 0,
    d1_rows_read: 0,
    d1_rows_written: 0,
    r2_class_a: 0,
    r2_class_b: 0,
  }
  for (const [operation, times] of Object.entries(perDay)) {
    const usage = measured.get(operation)
    if (!usage) throw new Error(`${operation} was not measured`)
    for (const unit of billedUnits) day[unit] += times * (usage[unit] ?? 0)
    day.worker_cpu_ms += times * (usage['worker_requests'] ?? 0) * cpuMsOfARequest
    const ms = Math.max(usage['object_ms'] ?? 0, (usage['object_requests'] ?? 0) * leastMsOfAnObject)
    day.object_gb_s += (times * ms * gbOfAnObject) / 1000
  }
  const lines = billedUnits.map((unit): Line => {
    const { name: title, perMillion, included, freeADay } = prices[unit]
    const aMonth = day[unit] * daysAMonth
    const cost = (Math.max(0, aMonth - included) / 1e6) * perMillion
    return { name: title, aMonth, cost, fitsFree: freeADay === undefined || day[unit] <= freeADay }
  })
  return {
    profile: name,
    lines,
    total: basePrice + lines.reduce((sum, { cost }) => sum + cost, 0),
    fitsFree: lines.every((line) => line.fitsFree),
  }
}

const billedUnits: readonly Billed[] = [
  'worker_requests',
  'worker_cpu_ms',
  'object_requests',
  'object_gb_s',
  'object_rows_read',
  'object_rows_written',
  'd1_rows_read',
  'd1_rows_written',
  'r2_class_a',
  'r2_class_b',
]
