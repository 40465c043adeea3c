/**
 * What this isolate has answered and used up, as Prometheus reads it. In memory: it begins anew with every start.
 *
 * For the local server, which has one isolate. Cloudflare runs many, and none of them knows the whole: there Analytics
 * Engine does the counting (observe.ts).
 */
import type { Answered } from './request-log.ts'
import type { Units } from './meter.ts'

/** Upper ends of the classes of durations, in seconds. */
const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

interface Durations {
  readonly below: number[]
  count: number
  seconds: number
}

const requests = new Map<string, number>()
const durations = new Map<string, Durations>()

/** Counts an answer. Operations and statuses are few, so what is kept is bounded. */
export function countAnswer({ operation = 'none', status, ms }: Pick<Answered, 'operation' | 'status' | 'ms'>): void {
  const labels = `operation="${operation}",status="${status}"`
  requests.set(labels, (requests.get(labels) ?? 0) + 1)
  let known = durations.get(operation)
  if (!known) durations.set(operation, (known = { below: bounds.map(() => 0), count: 0, seconds: 0 }))
  known.count += 1
  known.seconds += ms / 1000
  const place = bounds.findIndex((bound) => ms / 1000 <= bound)
  if (place >= 0) known.below[place] = (known.below[place] ?? 0) + 1
}

/** The text format of Prometheus, version 0.0.4. */
export function metricsText(units: Units): string {
  const lines = ['# HELP hearth_requests_total Requests answered.', '# TYPE hearth_requests_total counter']
  for (const [labels, count] of requests) lines.push(`hearth_requests_total{${labels}} ${count}`)
  lines.push(
    '# HELP hearth_request_duration_seconds Time until the head of the answer; /sync waits on purpose.',
    '# TYPE hearth_request_duration_seconds histogram',
  )
  for (const [operation, { below, count, seconds }] of durations) {
    const name = 'hearth_request_duration_seconds'
    let sum = 0
    for (const [place, bound] of bounds.entries()) {
      sum += below[place] ?? 0
      lines.push(`${name}_bucket{operation="${operation}",le="${bound}"} ${sum}`)
    }
    lines.push(`${name}_bucket{operation="${operation}",le="+Inf"} ${count}`)
    lines.push(`${name}_sum{operation="${operation}"} ${seconds}`, `${name}_count{operation="${operation}"} ${count}`)
  }
  lines.push(
    '# HELP hearth_billable_units_total What Cloudflare would bill, by unit.',
    '# TYPE hearth_billable_units_total counter',
  )
  for (const [unit, count] of Object.entries(units)) lines.push(`hearth_billable_units_total{unit="${unit}"} ${count}`)
  return `${lines.join('\n')}\n`
}
