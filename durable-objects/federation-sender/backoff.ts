/**
 * When a server that did not answer is tried again: a function from failures in a row to a delay. Pure.
 *
 * Doubles from five seconds to one day: a server that is away for a minute is caught up within a minute, one that is dead
 * costs one request a day. Jitter keeps servers that failed together from being tried together.
 */
const first = 5_000
const longest = 24 * 3_600_000

/** Milliseconds until the next try. `random` is in [0, 1). */
export function retryDelay(failures: number, random: number): number {
  const delay = Math.min(first * 2 ** Math.min(failures - 1, 30), longest)
  return Math.round(delay * (0.8 + 0.4 * random))
}
