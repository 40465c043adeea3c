/** What the stories about relations are told with. */
import type { JsonObject } from '#protocol/json/json.ts'
import type { User } from '../client.ts'
import { at, type ClientEvent, ok } from '../rooms/rooms.ts'

export interface Related {
  readonly chunk: ClientEvent[]
  readonly next_batch?: string
  readonly prev_batch?: string
  readonly recursion_depth?: number
}

/** Sends an event that relates to another, and returns its ID. */
export async function relate(
  user: User,
  roomId: string,
  parent: string,
  relType: string,
  content: JsonObject = {},
  type = 'm.room.message',
): Promise<string> {
  const body = { msgtype: 'm.text', body: relType, ...content }
  const relation = { rel_type: relType, event_id: parent, ...(relType === 'm.annotation' ? { key: '👍' } : {}) }
  const path = at(roomId, `/send/${type}/${crypto.randomUUID()}`)
  return (await ok(user.put<{ event_id: string }>(path, { ...body, 'm.relates_to': relation }))).event_id
}

export const edit = (user: User, roomId: string, original: string, body: string, type = 'm.room.message') =>
  relate(user, roomId, original, 'm.replace', { body: `* ${body}`, 'm.new_content': { body } }, type)

export const redact = (user: User, roomId: string, eventId: string) =>
  ok(user.put(at(roomId, `/redact/${encodeURIComponent(eventId)}/${crypto.randomUUID()}`)))

export const ignore = (user: User, ...ignored: User[]) =>
  ok(
    user.put(`/user/${encodeURIComponent(user.userId)}/account_data/m.ignored_user_list`, {
      ignored_users: Object.fromEntries(ignored.map(({ userId }) => [userId, {}])),
    }),
  )

export const relatedPath = (roomId: string, eventId: string, rest = '') =>
  `/_matrix/client/v1${at(roomId, `/relations/${encodeURIComponent(eventId)}${rest}`)}`

export const related = (user: User, roomId: string, eventId: string, rest = '') =>
  ok(user.get<Related>(relatedPath(roomId, eventId, rest)))

export const ids = ({ chunk }: { readonly chunk: readonly ClientEvent[] }) => chunk.map(({ event_id }) => event_id)

export const eventOf = (user: User, roomId: string, eventId: string) =>
  ok(user.get<ClientEvent>(at(roomId, `/event/${encodeURIComponent(eventId)}`)))

/** The aggregations that come with an event. */
export const relationsOf = (event: ClientEvent | undefined): unknown => event?.unsigned?.['m.relations']
