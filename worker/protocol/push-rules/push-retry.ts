/** When a push gateway that failed is tried again. Pure. Spec: push-gateway-api/ leaves it to the server. */

const [first, longest] = [5_000, 3_600_000]
const kept = 86_400_000

/** The time of the next attempt after so many failures in a row: 5 seconds, doubling up to an hour. In ms since 1970. */
export function retryAt(failures: number, now: number): number {
  return now + Math.min(first * 2 ** Math.max(0, failures - 1), longest)
}

/** Whether a notification is too old to be of any use. */
export function isGivenUp(queuedAt: number, now: number): boolean {
  return now - queuedAt > kept
}
