/** How people in tests send what is sticky, and how time passes for it. */
import type { JsonObject } from '#protocol/json/json.ts'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'

import type { Client } from '../client.ts'
import { at, ok } from '../rooms/rooms.ts'
import type { SyncedRoom, SyncEvent } from '../sync/syncing.ts'

export const minute = 60_000
const parameter = 'org.matrix.msc4354.sticky_duration_ms'

export const stickyFor = (ms: number | string) => `?${parameter}=${ms}`

let transactions = 0
/** Sends a sticky message; returns its ID. */
export async function stick(
  user: Client,
  roomId: string,
  text: string,
  { ms = 5 * minute, delay = '' }: { readonly ms?: number; readonly delay?: string } = {},
): Promise<string> {
  const path = at(roomId, `/send/m.room.message/sticky${++transactions}${stickyFor(ms)}${delay}`)
  return (await ok(user.put<{ event_id: string }>(path, { msgtype: 'm.text', body: text }))).event_id
}

/** What is sticky grows older. */
export async function later(roomId: string, ms: number): Promise<void> {
  const stub = env.ROOM.get(env.ROOM.idFromName(roomId))
  await runInDurableObject(stub, (_, { storage }) => {
    storage.sql.exec('UPDATE sticky_events SET expires_at = expires_at - ?', ms)
    storage.sql.exec('UPDATE room SET sticky_until = sticky_until - ?', ms)
  })
  await evictDurableObject(stub)
}

export const bodyOf = ({ content }: { readonly content: Readonly<Record<string, unknown>> }) => content['body']
export const bodiesOf = (events: readonly SyncEvent[] = []) => events.map(bodyOf)
/** Texts of what is in a room's list of sticky events. */
export const stickyIn = (room: SyncedRoom | undefined) => bodiesOf(room?.msc4354_sticky?.events)
export const shownIn = (room: SyncedRoom | undefined) => bodiesOf(room?.timeline?.events)

export const event = (user: Client, roomId: string, eventId: string) =>
  user.get<JsonObject & { readonly unsigned: JsonObject }>(at(roomId, `/event/${encodeURIComponent(eventId)}`))
