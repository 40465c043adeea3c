/**
 * What this isolate remembers of access tokens, so that a busy client does not cost a database read per request.
 *
 * Never the authority: another isolate may end a token and this one learns of it only when the memory runs out, which is
 * why it is short. What changes an account asks the database (`fresh`), and waiting syncs of an ended device are ended by
 * the user's object at once.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Requester } from '../operation.ts'

/** Milliseconds for which a token is believed. */
export const believedFor = 30_000
/** The same for requests which the user's object refuses once the device was ended: a client's polls are 30 s apart. */
export const believedForSync = 300_000
const maxKept = 5000

interface Kept {
  readonly requester: Requester
  readonly readAt: number
  readonly expiresAt: number
}
const kept = new Map<string, Kept>()

/** Whose token it is, if it was read no longer than `age` milliseconds ago. */
export function recallToken(hash: string, now: number, age: number = believedFor): Requester | undefined {
  const entry = kept.get(hash)
  return entry && entry.readAt + age > now && entry.expiresAt > now ? entry.requester : undefined
}

/** Remembers a token, no longer than it lives itself (`expiresAt`, null for ever). */
export function rememberToken(hash: string, requester: Requester, expiresAt: number | null, now: number): void {
  // Deleting first moves it to the end: a Map keeps the order of insertion, so the first is the oldest.
  kept.delete(hash)
  const [oldest] = kept.keys()
  if (kept.size >= maxKept && oldest !== undefined) kept.delete(oldest)
  kept.set(hash, { requester, readAt: now, expiresAt: expiresAt ?? Infinity })
}

/** Forgets the tokens of a device, or of all devices of a user. */
export function forgetTokens(userId: UserId, deviceId?: string): void {
  for (const [hash, { requester }] of kept) {
    if (requester.userId !== userId) continue
    if (deviceId === undefined || requester.deviceId === deviceId) kept.delete(hash)
  }
}
