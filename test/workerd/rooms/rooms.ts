/** What the stories about rooms are told with: short names for requests, and for the answers one expects. */
import type { JsonObject } from '#protocol/json/json.ts'
import { expect } from 'vitest'

import type { Answer, Client } from '../client.ts'

/** A server that is not there: nothing listens on that port, and no name has to be looked up for it. */
export const nowhere = '127.0.0.1:1'

/** A path of a room: `/rooms/{roomId}<path>`. */
export const at = (roomId: string, path = ''): string => `/rooms/${encodeURIComponent(roomId)}${path}`

/** The body of an answer that must be a success. */
export async function ok<Body = JsonObject>(answer: Promise<Answer<Body>>): Promise<Body> {
  const { status, body } = await answer
  expect({ status, body }).toMatchObject({ status: 200 })
  return body
}

/** What a refused request looks like. */
export const refused = (status: number, errcode: string) => ({
  status,
  body: { errcode, error: expect.any(String) },
})

export async function createRoom(user: Client, wishes: JsonObject = {}): Promise<string> {
  return (await ok(user.post<{ room_id: string }>('/createRoom', wishes))).room_id
}

export const invite = (user: Client, roomId: string, guest: { userId: string }) =>
  ok(user.post(at(roomId, '/invite'), { user_id: guest.userId }))

export const join = (user: Client, roomId: string) => ok(user.post(`/join/${encodeURIComponent(roomId)}`))

let transactions = 0
/** Sends a text and returns its event ID. */
export async function say(user: Client, roomId: string, text: string): Promise<string> {
  const body = { msgtype: 'm.text', body: text }
  const path = at(roomId, `/send/m.room.message/txn${++transactions}`)
  return (await ok(user.put<{ event_id: string }>(path, body))).event_id
}

export const setState = (user: Client, roomId: string, type: string, content: JsonObject, key = '') =>
  user.put<{ event_id: string }>(at(roomId, `/state/${type}/${encodeURIComponent(key)}`), content)

export const stateOf = (user: Client, roomId: string, type: string, key = '') =>
  ok(user.get(at(roomId, `/state/${type}/${encodeURIComponent(key)}`)))

export interface ClientEvent {
  readonly event_id: string
  readonly type: string
  readonly room_id: string
  readonly sender: string
  readonly state_key?: string
  readonly origin_server_ts: number
  readonly content: JsonObject
  readonly unsigned?: JsonObject
}

export const fullState = (user: Client, roomId: string) => ok(user.get<ClientEvent[]>(at(roomId, '/state')))
