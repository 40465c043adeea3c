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
  readonly msc4354_sticky?: { readonly duration_ms: number }
}
interface Events {
  readonly events: readonly SyncEvent[]
}
export interface UnreadCounts {
  readonly notification_count: number
  readonly highlight_count: number
}
export interface SyncedRoom {
  readonly timeline?: Events & { readonly limited: boolean; readonly prev_batch?: string }
  readonly state?: Events
  readonly state_after?: Events
  readonly msc4354_sticky?: Events
  readonly ephemeral?: Events
  readonly account_data?: Events
  readonly invite_state?: Events
  readonly knock_state?: Events
  readonly summary?: Readonly<Record<string, unknown>>
  readonly unread_notifications?: UnreadCounts
  readonly unread_thread_notifications?: Readonly<Record<string, UnreadCounts>>
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

/** A person in rooms, saying things. */
export async function createRoom(user: Client, body: object = {}): Promise<string> {
  const answer = await user.post<{ room_id: string }>('/createRoom', body)
  expect(answer.status, answer.text).toBe(200)
  return answer.body.room_id
}

export async function join(user: Client, room: string): Promise<void> {
  expect((await user.post(`/rooms/${encodeURIComponent(room)}/join`)).status).toBe(200)
}

export async function leave(user: Client, room: string): Promise<void> {
  expect((await user.post(`/rooms/${encodeURIComponent(room)}/leave`)).status).toBe(200)
}

export async function invite(user: Client, room: string, other: { readonly userId: string }): Promise<void> {
  expect((await user.post(`/rooms/${encodeURIComponent(room)}/invite`, { user_id: other.userId })).status).toBe(200)
}

let transactions = 0

/** Sends a message and returns its event ID. */
export async function say(user: Client, room: string, body: string): Promise<string> {
  const path = `/rooms/${encodeURIComponent(room)}/send/m.room.message/t${++transactions}`
  const answer = await user.put<{ event_id: string }>(path, { msgtype: 'm.text', body })
  expect(answer.status, answer.text).toBe(200)
  return answer.body.event_id
}

export async function setState(user: Client, room: string, type: string, content: object, key = ''): Promise<string> {
  const path = `/rooms/${encodeURIComponent(room)}/state/${type}/${encodeURIComponent(key)}`
  const answer = await user.put<{ event_id: string }>(path, content)
  expect(answer.status, answer.text).toBe(200)
  return answer.body.event_id
}

/** The bodies of the messages in a list of events. */
export function bodies(list: { readonly events: readonly SyncEvent[] } | undefined): unknown[] {
  return (list?.events ?? []).filter(({ type }) => type === 'm.room.message').map(({ content }) => content['body'])
}

/** The types of the events of a list, with the state key where there is one. */
export function types(list: { readonly events: readonly SyncEvent[] } | undefined): string[] {
  return (list?.events ?? []).map(({ type, state_key: key }) => (key === undefined ? type : `${type}|${key}`))
}
