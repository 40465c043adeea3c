/** Reads the counters of a local server, and what an operation adds to them. */
import type { Usage } from './bill.ts'

const line = /^hearth_billable_units_total\{unit="(\w+)"\} ([\d.e+]+)$/gm

async function read(metrics: string): Promise<Record<string, number>> {
  const text = await (await fetch(metrics)).text()
  return Object.fromEntries([...text.matchAll(line)].map(([, unit = '', count]) => [unit, Number(count)]))
}

/** Asking for the counters is itself a request. */
const own = (unit: string) => (unit === 'worker_requests' ? 1 : 0)

/**
 * What `run` adds for one of `times`, with all that it sets off: it is over when nothing more was counted for `quiet` ms.
 * What can wait, such as the search index, is done seconds later by an alarm.
 */
export async function usageOf(
  { metrics, quiet }: { readonly metrics: string; readonly quiet: number },
  times: number,
  run: () => Promise<unknown>,
): Promise<Usage> {
  const before = await read(metrics)
  await run()
  let last = await read(metrics)
  for (let asked = 1; ; asked++) {
    await new Promise((resolve) => setTimeout(resolve, quiet))
    const now = await read(metrics)
    const isStill = Object.keys(now).every((unit) => (now[unit] ?? 0) - (last[unit] ?? 0) <= own(unit))
    last = now
    if (!isStill) continue
    const added = (unit: string, count: number) => count - (before[unit] ?? 0) - own(unit) * (asked + 1)
    return Object.fromEntries(Object.entries(now).map(([unit, count]) => [unit, added(unit, count) / times]))
  }
}
