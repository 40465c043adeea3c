/**
 * When something may happen again: a token bucket kept as one number.
 *
 * That number is the time at which the bucket would be full again; the past, or undefined, is a full bucket, so buckets
 * that nobody draws from need not be kept.
 */
export interface BucketPolicy {
  /** How many may come at once. */
  readonly burst: number
  /** Milliseconds until one more may. */
  readonly every: number
}

/** Draws one token at time `now`. `wait` is 0 when there was one, else the milliseconds until there is. */
export function drawToken(
  { burst, every }: BucketPolicy,
  fullAt: number | undefined,
  now: number,
): { readonly fullAt: number; readonly wait: number } {
  const next = Math.max(fullAt ?? now, now) + every
  const wait = Math.max(0, next - now - burst * every)
  return wait > 0 ? { fullAt: next - every, wait } : { fullAt: next, wait }
}
