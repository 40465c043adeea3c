/** How long events may be delayed, and how many. MSC4140 (unstable). */

/** A day, in ms. */
export const maxDelay = 24 * 60 * 60_000

/** Waiting events of one user in one room. */
export const maxDelayed = 100
