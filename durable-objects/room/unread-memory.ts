/** What was found of unread events, for each reader: see unread.ts. */
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { Lru } from '../shared/lru.ts'

/** An event that notifies, and that its reader may not have read. */
export interface Notifying {
  readonly pos: number
  readonly thread: string
  readonly highlight: boolean
  /** When a message was sent, after which it may be over; never for state. */
  readonly sentAt: number
}

export interface Found {
  /** What it was found by. */
  readonly rules: string
  /** `reader.changes` at the time: stored events were as they are. */
  readonly changes: number
  /** Everything up to here was looked at. */
  readonly upTo: number
  readonly events: readonly Notifying[]
}

/** Unread events kept in memory, of all readers together. */
const maxKept = 100_000

export type UnreadMemory = Lru<UserId, Found>

export function newUnreadMemory(): UnreadMemory {
  return new Lru(maxKept)
}
