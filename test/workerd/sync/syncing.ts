/** How people in tests sync: typed answers, and clients that go on from their last token. */
import { expect } from 'vitest'

import type { Client } from '../client.ts'

export interface SyncEvent {
  readonly type: string
  readonly event_id: string
  readonly sender: string
  readonly state_key?: string
  readonly content: Readonly<Record<string, unknown>>
  readonly unsigned?: Readonly<Record<string, unknown>>
}
interface Events {
  readonly events: readonly SyncEvent[]
}
export interface SyncedRoom {
  readonly timeline?: Events & { readonly limited: boolean; readonly prev_batch?: string }
  readonly state?: Events
  readonly state_after?: Events
  readonly ephemeral?: Events
  readonly account_data?: Events
  readonly invite_state?: Events
  readonly knock_state?: Events
  readonly summary?: Readonly<Record<string, unknown>>
}
export interface SyncBody {
  readonly next_batch: string
  readonly account_data?: Events
  readonly to_device?: Events
  readonly rooms?: {
    readonly join?: Readonly<Record<string, SyncedRoom>>
    readonly invite?: Readonly<Record<string, SyncedRoom>>
    readonly knock?: Readonly<Record<string, SyncedRoom>>
    readonly leave?: Readonly<Record<string, SyncedRoom>>
  }
}

export interface SyncQuery {
  readonly since?: string
  readonly timeout?: number
  /** A filter, or the ID of one. */
  readonly filter?: object | string
  readonly full_state?: boolean
  readonly use_state_after?: boolean
}

/** One sync, which must succeed. */
export async function sync(client: Client, { filter, ...query }: SyncQuery = {}): Promise<SyncBody> {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) parameters.set(name, String(value))
  if (filter !== undefined) parameters.set('filter', typeof filter === 'string' ? filter : JSON.stringify(filter))
  const { status, body } = await client.get<SyncBody>(`/sync?${parameters.toString()}`)
  expect(status, JSON.stringify(body)).toBe(200)
  return body
}

/** Long enough for any test, in ms: what waits this long has waited in vain. */
export const long = 20_000

/** Lets a request that was begun come to where it waits. */
export function aMoment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 40))
}
