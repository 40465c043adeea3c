/** How people in tests use sliding sync: typed answers, and clients that go on from their last position. */
import { expect } from 'vitest'

import type { Answer, Client } from '../client.ts'
import type { SyncEvent } from '../sync/syncing.ts'

export interface SlidRoom {
  readonly initial?: boolean
  readonly expanded_timeline?: boolean
  readonly name?: string
  readonly avatar?: string
  readonly heroes?: readonly { readonly user_id: string; readonly displayname?: string }[]
  readonly is_dm?: boolean
  readonly required_state?: readonly SyncEvent[]
  readonly timeline?: readonly SyncEvent[]
  readonly limited?: boolean
  readonly num_live?: number
  readonly prev_batch?: string
  readonly bump_stamp?: number
  readonly joined_count?: number
  readonly invited_count?: number
  readonly notification_count?: number
  readonly highlight_count?: number
  readonly invite_state?: readonly SyncEvent[]
}
interface Event {
  readonly type: string
  readonly content: Readonly<Record<string, unknown>>
}
export interface SlidBody {
  readonly pos: string
  readonly lists?: Readonly<
    Record<string, { readonly count: number; readonly ops: readonly { readonly room_ids: readonly string[] }[] }>
  >
  readonly rooms: Readonly<Record<string, SlidRoom>>
  readonly extensions: {
    readonly to_device?: { readonly next_batch: string; readonly events: readonly Event[] }
    readonly e2ee?: {
      readonly device_one_time_keys_count: Readonly<Record<string, number>>
      readonly device_unused_fallback_key_types: readonly string[]
      readonly device_lists?: { readonly changed: readonly string[]; readonly left: readonly string[] }
    }
    readonly account_data?: {
      readonly global?: readonly Event[]
      readonly rooms?: Readonly<Record<string, readonly Event[]>>
    }
    readonly receipts?: { readonly rooms: Readonly<Record<string, Event>> }
    readonly typing?: { readonly rooms: Readonly<Record<string, Event>> }
  }
}

export const path = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'

export interface SlidQuery {
  readonly pos?: string
  readonly timeout?: number
}

export function trySlide(client: Client, body: object, query: SlidQuery = {}): Promise<Answer<SlidBody>> {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) parameters.set(name, String(value))
  return client.post<SlidBody>(`${path}?${parameters.toString()}`, body)
}

/** One request, which must succeed. */
export async function slide(client: Client, body: object, query: SlidQuery = {}): Promise<SlidBody> {
  const answer = await trySlide(client, body, query)
  expect(answer.status, answer.text).toBe(200)
  return answer.body
}

/** A client that asks for the same again and again, each time from the last answer. */
export function slider(client: Client, body: object) {
  let pos: string | undefined
  return {
    get pos() {
      return pos
    },
    async next(timeout = 0, other: object = body): Promise<SlidBody> {
      const answer = await slide(client, other, { ...(pos === undefined ? {} : { pos }), timeout })
      pos = answer.pos
      return answer
    },
    /** The same request again, as if the answer had been lost. */
    again: (timeout = 0, other: object = body) =>
      slide(client, other, { ...(pos === undefined ? {} : { pos }), timeout }),
  }
}

/** One list of the newest rooms. */
export function newest(count: number, more: object = {}) {
  const list = { ranges: [[0, count - 1]], required_state: [], timeline_limit: 5, ...more }
  return { lists: { rooms: list } }
}

export function messages(room: SlidRoom | undefined): unknown[] {
  return (room?.timeline ?? []).filter(({ type }) => type === 'm.room.message').map(({ content }) => content['body'])
}

/** State by type and key. */
export function places(events: readonly SyncEvent[] | undefined): string[] {
  return (events ?? []).map(({ type, state_key: key }) => `${type}|${key ?? ''}`)
}

export function idsIn(answer: SlidBody, list = 'rooms'): readonly string[] {
  return (answer.lists?.[list]?.ops ?? []).flatMap(({ room_ids: ids }) => ids)
}
